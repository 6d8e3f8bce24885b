//! `[relay]`: what a relay does, and who may say so.

use crate::world::{World, chmod, says};
use rcc::config::{self, LoadedPolicy, Origin};
use rcc::relay::policy::{Otherwise, Pattern, Policy, Rule};
use rcc::relay::wire::Kind;
use rcc::settings::Join;
use std::time::Duration;

const DAY: u64 = 24 * 3600;

fn system(world: &World) -> LoadedPolicy {
    config::load_relay_admin(&world.sources.admin, world.sources.admin_owner).unwrap()
}

fn own(world: &World) -> LoadedPolicy {
    config::load_relay_user(&world.sources.config_dir, &world.sources.home, world.sources.uid).unwrap()
}

fn join(world: &World) -> Join {
    world.loaded().settings.relay
}

const EVERYTHING: &str = r#"
[relay]
default = "deny"
max_message_size = "4MiB"
rate_limit = 600
rate_burst = 20
stored_messages = 5
stored_bytes = "1GiB"
message_expiry = "12h"
session_timeout = "2d"
heartbeat_expiry = "2m30s"
max_sessions = 7
max_schedules = 0
require_session_auth = false
mask_paths = false
audit_retention = "90d"

[[relay.allow]]
from = "group:front"
to = "project:api"
kinds = ["message", "response"]

[[relay.allow]]
from = "*"
to = "host:build"

[relay.groups]
front = ["project:web", "user:bob", "project:/srv/styles"]

[relay.cluster]
backend = "nats"
host = "desk"
servers = ["tls://nats1.example.org:4222", "tls://nats2.example.org"]
credentials = "/etc/rcc/nats.creds"
"#;

#[test]
fn no_file_and_an_empty_section_mean_the_defaults() {
    for world in [World::new(), World::new().admin("relay = {}").user("relay = {}")] {
        for relay in [system(&world), own(&world)] {
            assert_eq!(relay.policy, Policy::default());
            assert!(relay.warnings.is_empty());
        }
        assert_eq!(join(&world), Join::Claude);
    }
    // As the Nix modules render it.
    assert_eq!(system(&World::new().admin("relay.cluster = {}")).policy.cluster, None);
}

#[test]
fn every_key_is_what_the_relay_then_does() {
    for policy in [system(&World::new().admin(EVERYTHING)).policy, own(&World::new().user(EVERYTHING)).policy] {
        let limits = policy.limits;
        assert_eq!(policy.otherwise, Otherwise::Deny);
        assert_eq!((limits.message_size, limits.rate, limits.burst), (4 << 20, 600, 20));
        assert_eq!((limits.stored_messages, limits.stored_bytes), (5, 1 << 30));
        assert_eq!((limits.sessions, limits.schedules), (7, 0));
        let times = [limits.message_expiry, limits.session_timeout, limits.heartbeat_expiry, policy.audit_retention];
        assert_eq!(times.map(|time| time.as_secs()), [DAY / 2, 2 * DAY, 150, 90 * DAY]);
        assert!(!policy.require_session_auth && !policy.mask_paths);

        let front = "front".parse().unwrap();
        let [first, second] = &policy.rules[..] else { panic!("{:?}", policy.rules) };
        assert_eq!(first.kinds, [Kind::Message, Kind::Response].into());
        assert_eq!((&first.from, &first.to), (&Pattern::Group(front), &Pattern::Project("api".parse().unwrap())));
        let all = [Kind::Message, Kind::Prompt, Kind::Command, Kind::Response].into();
        assert_eq!(*second, Rule { from: Pattern::Any, to: Pattern::Host("build".parse().unwrap()), kinds: all });
        let members = vec![
            Pattern::Project("web".parse().unwrap()),
            Pattern::User("bob".into()),
            Pattern::Root("/srv/styles".into()),
        ];
        assert_eq!(policy.groups.into_values().collect::<Vec<_>>(), [members]);

        let cluster = policy.cluster.unwrap();
        assert_eq!((cluster.host.as_str(), cluster.prefix.as_str(), cluster.ca), ("desk", "rcc", None));
        assert_eq!(cluster.servers, ["tls://nats1.example.org:4222", "tls://nats2.example.org"]);
        assert_eq!(cluster.credentials.unwrap().to_str(), Some("/etc/rcc/nats.creds"));
    }
}

#[test]
fn only_the_users_file_has_a_home() {
    let world = World::new().user(
        "relay.allow = [{ from = \"project:~/web\", to = \"*\" }]\nrelay.cluster = { backend = \"nats\", host = \"a\", \
         servers = [\"tls://a\"], ca = \"~/ca.pem\" }",
    );
    let policy = own(&world).policy;
    assert_eq!(policy.rules[0].from, Pattern::Root(world.path("home/web")));
    assert_eq!(policy.cluster.unwrap().ca, Some(world.path("home/ca.pem")));
}

#[test]
fn what_is_not_said_follows_from_what_is() {
    let limits = |text: &str| own(&World::new().user(text)).policy.limits;
    assert_eq!(limits("relay.rate_limit = 7").burst, 7);
    assert_eq!(limits("relay.audit_retention = \"2d\"").message_expiry, Duration::from_secs(2 * DAY));
    assert_eq!(limits("relay.session_timeout = \"1m\"").heartbeat_expiry, Duration::from_secs(60));
}

#[test]
fn each_relay_has_its_own_file() {
    let world = World::new().admin("relay.rate_limit = 1").user("relay.rate_limit = 2");
    assert_eq!((system(&world).policy.limits.rate, own(&world).policy.limits.rate), (1, 2));
}

#[test]
fn the_user_says_which_sandboxes_join_and_the_project_that_its_own_do_not() {
    for (text, expected) in [("claude", Join::Claude), ("always", Join::Always), ("never", Join::Never)] {
        assert_eq!(join(&World::new().user(format!("relay.join = \"{text}\""))), expected);
    }
    assert_eq!(join(&World::new().user("relay.join = \"always\"").project("relay = false")), Join::Refused);
}

#[test]
fn wrong_values_are_refused_in_both_files() {
    let cluster = |rest: &str| format!("relay.cluster = {{ backend = \"nats\", host = \"a\", {rest} }}");
    let allow = |rule: &str| format!("relay.allow = [{{ {rule} }}]");
    let cases: &[(String, &str, &[&str])] = &[
        ("relay = true".into(), "relay", &["expected a table"]),
        ("relay.rate = 1".into(), "relay.rate", &["unknown key", "known here: ", "rate_limit"]),
        ("relay.rate_limits = 1".into(), "relay.rate_limits", &["did you mean `rate_limit`?"]),
        ("relay.default = \"allow\"".into(), "relay.default", &["\"same-user\"", "\"deny\""]),
        ("relay.max_message_size = \"1023\"".into(), "relay.max_message_size", &["from 1KiB to 4MiB"]),
        ("relay.max_message_size = 4194305".into(), "relay.max_message_size", &["out of bounds", "1KiB to 4MiB"]),
        ("relay.max_message_size = \"1 meg\"".into(), "relay.max_message_size", &["a number with KiB"]),
        ("relay.rate_limit = 0".into(), "relay.rate_limit", &["messages a minute from 1 to 1000000"]),
        ("relay.rate_limit = 1000001".into(), "relay.rate_limit", &["out of bounds"]),
        ("relay.rate_limit = \"100\"".into(), "relay.rate_limit", &["this is of type string"]),
        ("relay.rate_burst = 0".into(), "relay.rate_burst", &["messages at once from 1"]),
        ("relay.stored_messages = 0".into(), "relay.stored_messages", &["from 1 to 10000000"]),
        ("relay.stored_bytes = \"1MiB\"".into(), "relay.stored_bytes", &["from 16MiB to 1TiB"]),
        ("relay.message_expiry = 60".into(), "relay.message_expiry", &["this is of type integer"]),
        ("relay.message_expiry = \"soon\"".into(), "relay.message_expiry", &["90s, 30m, 2h, 1d", "from 1m"]),
        ("relay.message_expiry = \"31d\"".into(), "relay.message_expiry", &["kept for 30d", "`audit_retention`"]),
        ("relay.session_timeout = \"59s\"".into(), "relay.session_timeout", &["from 1m to 3653d"]),
        ("relay.heartbeat_expiry = \"4s\"".into(), "relay.heartbeat_expiry", &["from 5s to 1d"]),
        ("relay.max_sessions = 100001".into(), "relay.max_sessions", &["from 1 to 100000"]),
        ("relay.max_schedules = -1".into(), "relay.max_schedules", &["from 0 to 100000"]),
        ("relay.require_session_auth = \"no\"".into(), "relay.require_session_auth", &["true or false"]),
        ("relay.mask_paths = 0".into(), "relay.mask_paths", &["true or false"]),
        ("relay.audit_retention = \"23h\"".into(), "relay.audit_retention", &["from 1d to 3653d"]),
        ("relay.audit_retention = \"99999d\"".into(), "relay.audit_retention", &["from 1d to 3653d"]),
        (allow("from = \"*\""), "relay.allow[0]", &["`to` is missing"]),
        (allow("to = \"*\""), "relay.allow[0]", &["`from` is missing"]),
        (allow("from = \"web\", to = \"*\""), "relay.allow[0].from", &["\"project:NAME\"", "\"*\" for every"]),
        (allow("from = \"*\", to = \"group:x\""), "relay.allow[0].to", &["no group x", "[relay.groups]"]),
        (allow("from = \"user:a b\", to = \"*\""), "relay.allow[0].from", &["a login name has"]),
        (allow("from = \"project:a~1\", to = \"*\""), "relay.allow[0].from", &["all projects of that name"]),
        (allow("from = \"project:/a/../b\", to = \"*\""), "relay.allow[0].from", &["without '..'"]),
        (allow("from = \"project:Web\", to = \"*\""), "relay.allow[0].from", &["1 to 64 characters"]),
        (allow("from = \"*\", to = \"*\", kinds = []"), "relay.allow[0].kinds", &["allows nothing"]),
        (allow("from = \"*\", to = \"*\", kinds = [\"all\"]"), "relay.allow[0].kinds[0]", &["\"command\""]),
        (allow("from = \"*\", to = \"*\", kind = \"eval\""), "relay.allow[0].kind", &["did you mean `kinds`?"]),
        ("relay.groups.\"A B\" = []".into(), "relay.groups.\"A B\"", &["not the name of a group"]),
        ("relay.groups.a = \"*\"".into(), "relay.groups.a", &["expected a list of patterns"]),
        ("relay.groups = { a = [], b = [\"group:a\"] }".into(), "relay.groups.b[0]", &["groups do not nest"]),
        (
            "relay.cluster = { prefix = \"x\" }".into(),
            "relay.cluster",
            &["`backend`", "`host`", "`servers` is missing"],
        ),
        ("relay.cluster = { backend = \"redis\" }".into(), "relay.cluster.backend", &["expected \"nats\""]),
        (cluster(""), "relay.cluster", &["`servers` is missing"]),
        (cluster("servers = []"), "relay.cluster.servers", &["no server in it"]),
        (cluster("servers = [\"a:4222\"]"), "relay.cluster.servers[0]", &["write tls://HOST:PORT"]),
        (cluster("servers = [\"tls://u:p@a\"]"), "relay.cluster.servers[0]", &["`credentials` names"]),
        (cluster("servers = [\"tls://a:0\"]"), "relay.cluster.servers[0]", &["after tls:// comes"]),
        (cluster("servers = [\"tls://a\"], credentials = \"x\""), "relay.cluster.credentials", &["absolute path"]),
        (cluster("servers = [\"tls://a\"], ca = 1"), "relay.cluster.ca", &["expected a string"]),
        (cluster("servers = [\"tls://a\"], prefix = \"a.b\""), "relay.cluster.prefix", &["1 to 32 characters"]),
        ("relay.cluster = { host = \"A\" }".into(), "relay.cluster.host", &["1 to 31 characters"]),
    ];
    for (text, key, parts) in cases {
        let text = format!("# one\n# two\n{text}\n");
        for (printed, file) in [
            (World::new().admin(&text).refused(), "/w/etc/config.toml:3:"),
            (World::new().user(&text).refused(), "/w/home/.config/rcc/config.toml:3:"),
        ] {
            says(&printed, &[file, key]);
            says(&printed, parts);
        }
    }
}

#[test]
fn what_only_one_file_may_say_is_refused_in_the_other() {
    says(&World::new().admin("relay.join = \"always\"").refused(), &["relay.join", "unknown key"]);
    says(&World::new().user("relay.join = \"sometimes\"").refused(), &["relay.join", "\"claude\"", "\"never\""]);
    let printed = World::new().admin("relay.allow = [{ from = \"project:~/web\", to = \"*\" }]").refused();
    says(&printed, &["relay.allow[0].from", "nobody's home in root's file"]);
    let cluster = "relay.cluster = { backend = \"nats\", host = \"a\", servers = [\"tls://a\"], ca = \"~/x\" }";
    says(&World::new().admin(cluster).refused(), &["relay.cluster.ca", "nobody's home in root's file"]);
}

#[test]
fn a_pair_is_two_projects_by_roots_word_alone() {
    let pairs = |text: &str| World::new().admin(text).loaded().admin.pairs().to_vec();
    let [plain] =
        &pairs("[[relay.pair]]\nname = \"a\"\none = { project = \"/srv/a\" }\nother.project = \"/srv/b/\"")[..]
    else {
        panic!("one pair")
    };
    assert_eq!(plain.ends.each_ref().map(|end| end.project.to_str().unwrap()), ["/srv/a", "/srv/b"]);
    assert!(plain.ends.iter().all(|end| end.user.is_none()) && !plain.joins_users());
    assert_eq!(plain.kinds, [Kind::Message, Kind::Prompt, Kind::Command, Kind::Response].into());
    let one_user =
        "relay.pair = [{ name = \"a\", one = { project = \"/a\", user = \"bob\" }, other.project = \"/b\" }]";
    assert!(pairs(one_user)[0].ends.iter().all(|end| end.user.as_deref() == Some("bob")));

    let good = "{ name = \"a\", one.project = \"/a\", other.project = \"/b\"";
    let cases: &[(String, &str, &[&str])] = &[
        ("relay.pair = {}".into(), "relay.pair", &["[[relay.pair]]"]),
        ("relay.pair = [{}]".into(), "relay.pair[0]", &["`name` is missing", "`one`", "`other`"]),
        (format!("relay.pair = [{good} }}, {good} }}]"), "relay.pair[1].name", &["line 3 is called so"]),
        (good.replace("\"a\"", "\"../a\"") + " }", "relay.pair[0].name", &["a pair's name has"]),
        (good.replace("/b", "/a") + " }", "relay.pair[0]", &["both ends are the same", "one project of two users"]),
        (good.replace("/b", "b") + " }", "relay.pair[0].other.project", &["absolute path"]),
        (good.replace("/b", "~/b") + " }", "relay.pair[0].other.project", &["nobody's home in root's file"]),
        (format!("{good}, one.user = \"a b\" }}"), "relay.pair[0].one.user", &["a login name has"]),
        (format!("{good}, kinds = [] }}"), "relay.pair[0].kinds", &["carries nothing"]),
        (format!("{good}, kinds = [\"eval\"] }}"), "relay.pair[0].kinds[0]", &["code goes by the relay"]),
        (format!("{good}, from = \"*\" }}"), "relay.pair[0].from", &["unknown key"]),
    ];
    for (text, key, parts) in cases {
        let text = if text.starts_with('{') { format!("relay.pair = [{text}]") } else { text.clone() };
        let printed = World::new().admin(format!("# one\n# two\n{text}\n")).refused();
        says(&printed, &["/w/etc/config.toml:3:", key]);
        says(&printed, parts);
    }
    for text in [format!("relay.pair = [{good} }}]"), "relay.pair = []".into(), "relay.pair = 1".into()] {
        let printed = World::new().user(&text).refused();
        says(&printed, &["relay.pair: not allowed in this file", "root's /etc/rcc/config.toml"]);
        let printed = World::new().project(&text).refused();
        says(&printed, &["a project can only keep", "any pair of sandboxes, in root's /etc/rcc/config.toml"]);
    }
}

#[test]
fn two_keys_that_contradict_each_other_are_refused() {
    let printed = World::new().admin("relay = { audit_retention = \"2d\", message_expiry = \"3d\" }").refused();
    says(&printed, &["relay.message_expiry", "kept for 2d", "at most 2d"]);
    let printed = World::new().admin("relay = { session_timeout = \"2m\", heartbeat_expiry = \"3m\" }").refused();
    says(&printed, &["relay.heartbeat_expiry", "silent for 2m is ended", "`session_timeout`"]);
    World::new().admin("relay = { audit_retention = \"3d\", message_expiry = \"3d\" }").loaded();
}

#[test]
fn a_project_can_only_stay_away() {
    for text in [
        "relay = true",
        "relay = \"never\"",
        "relay = {}",
        "relay.join = \"always\"",
        "[[relay.allow]]\nfrom = \"*\"\nto = \"*\"\nkinds = [\"eval\"]",
        "relay.rate_limit = 1",
    ] {
        let printed = World::new().project(text).refused();
        says(&printed, &["relay: a project can only keep its sandboxes away", "write relay = false"]);
        says(&printed, &["~/.config/rcc/config.toml", "/etc/rcc/config.toml"]);
    }
}

#[test]
fn what_gives_away_more_than_it_seems_is_a_warning() {
    let warnings = |text: &str| {
        let relay = system(&World::new().admin(text));
        relay.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    says(
        &warnings("relay.allow = [{ from = \"*\", to = \"*\", kinds = [\"eval\"] }]"),
        &["relay.allow[0].kinds[0]: what is allowed here is code"],
    );
    says(&warnings("relay.allow = [{ from = \"*\", to = \"host:x\" }]"), &["belongs to no cluster"]);
    says(
        &warnings("relay.cluster = { backend = \"nats\", host = \"a\", servers = [\"nats://b\"] }"),
        &["relay.cluster.servers[0]: nothing here sees to it that this connection is encrypted"],
    );
    let elsewhere = "profiles.work.allow = [{ address = \"127.0.0.1\", ports = [1] }]";
    assert_eq!(warnings(elsewhere), "", "a warning of another section");
    assert!(!World::new().admin(elsewhere).loaded().warnings.is_empty());
}

#[test]
fn a_relay_takes_no_file_that_others_could_write() {
    let world = World::new().admin("").user("");
    chmod(&world.sources.admin, 0o666);
    chmod(&world.user_path(), 0o666);
    assert!(config::load_relay_admin(&world.sources.admin, world.sources.admin_owner).is_err());
    let sources = &world.sources;
    assert!(config::load_relay_user(&sources.config_dir, &sources.home, sources.uid).is_err());
}

#[test]
fn what_the_files_decide_is_shown_with_its_place() {
    let world = World::new()
        .admin(
            "relay.rate_limit = 9\nrelay.groups.front = [\"project:web\"]\n[[relay.pair]]\n\
         name = \"p\"\none.project = \"/a\"\nother.project = \"/b\"",
        )
        .user(
            "[relay]\njoin = \"always\"\nmessage_expiry = \"36h\"\n[[relay.allow]]\nfrom = \"project:~/w\"\nto = \"*\"",
        );
    let loaded = world.loaded();
    let (admin, user) = (loaded.admin.entries(&world.sources.admin), loaded.entries);
    let shown = |key: &str| {
        let entry = admin.iter().chain(&user).find(|entry| entry.key == key).unwrap_or_else(|| panic!("no {key}"));
        let Origin::File { path, line } = &entry.origin else { panic!("{key} is {:?}", entry.origin) };
        format!("{} {}:{line}", entry.value, path.file_name().unwrap().to_str().unwrap())
    };
    assert_eq!(shown("relay.rate_limit"), "9 config.toml:1");
    assert_eq!(shown("relay.groups.front"), "[\"project:web\"] config.toml:2");
    assert_eq!(shown("relay.join"), "\"always\" config.toml:2");
    says(&shown("relay.pair[]"), &["\"name\":\"p\"", "\"one\":{\"project\":\"/a\"}", "config.toml:3"]);
    assert_eq!(shown("relay.message_expiry"), "\"1d12h\" config.toml:3");
    says(&shown("relay.allow[]"), &["\"from\":\"project:/", "/home/w\"", "config.toml:4"]);

    let refused = World::new().user("relay.join = \"always\"").project("# one\nrelay = false").loaded();
    let entry = refused.entries.iter().find(|entry| entry.key == "relay").unwrap();
    says(&entry.to_string(), &["relay = false", ".rcc.toml:2"]);
}
