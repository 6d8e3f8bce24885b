//! Several hosts: each has a relay and a bridge, which is a process that can be killed, and all have one NATS server.

use super::super::super::bridge;
use super::super::super::policy::{Cluster, Limits, Pattern, Policy, Rule};
use super::super::super::wire::Kind;
use super::*;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// What makes this program a bridge: its socket, host, server, credentials and authorities, one a line.
const BRIDGE: &str = "RCC_TEST_BRIDGE";

/// Not a test: [`Host::bridge`] runs it.
#[test]
fn is_a_bridge() {
    let Ok(told) = std::env::var(BRIDGE) else { return };
    let told: Vec<&str> = told.split('\n').collect();
    let [socket, host, server, credentials, ca] = told[..] else { panic!("{told:?}") };
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    let cluster = Cluster {
        host: host.parse().unwrap(),
        servers: vec![server.to_owned()],
        credentials: path(credentials),
        ca: path(ca),
        prefix: "rcc".to_owned(),
    };
    let policy = Policy { cluster: Some(cluster), ..Policy::default() };
    bridge::serve(&bridge::Start { socket: socket.into(), load: Box::new(move || Ok(policy.clone())) }).unwrap();
}

/// A NATS server that can be killed and started again where it was.
struct Nats {
    directory: tempfile::TempDir,
    port: u16,
    more: String,
    server: Option<Child>,
}

impl Nats {
    /// `None` where there is none to test with.
    fn new(more: &str) -> Option<Self> {
        let program =
            ["/usr/sbin/nats-server", "/usr/bin/nats-server"].into_iter().find(|path| Path::new(path).exists());
        if program.is_none() {
            eprintln!("SKIPPED: there is no nats-server (Debian's package nats-server)");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let more = more.replace("{dir}", directory.path().to_str().unwrap());
        let mut nats = Self { directory, port, more, server: None };
        nats.start();
        Some(nats)
    }

    fn start(&mut self) {
        let Self { directory, port, more, .. } = self;
        let directory = directory.path();
        let config = directory.join("nats.conf");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {:?}, max_file: 2GB }}\nlog_file: {:?}\n{more}\n",
            directory.join("js"),
            directory.join("log"),
        );
        std::fs::write(&config, text).unwrap();
        let program =
            if Path::new("/usr/sbin/nats-server").exists() { "/usr/sbin/nats-server" } else { "/usr/bin/nats-server" };
        let server = Command::new(program).arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.server = Some(server.unwrap());
        let port = *port;
        until("NATS listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A host: its relay, and what its bridge needs.
struct Host {
    world: World,
    name: &'static str,
    url: String,
    credentials: PathBuf,
    ca: PathBuf,
    bridge: Option<Child>,
}

const KINDS: [Kind; 4] = [Kind::Message, Kind::Prompt, Kind::Command, Kind::Response];

fn rule(from: Pattern, to: Pattern) -> Rule {
    Rule { from, to, kinds: BTreeSet::from(KINDS) }
}

fn project(name: &str) -> Pattern {
    Pattern::Project(name.parse().unwrap())
}

/// What the project `api` of `desk` and the project `web` of `build` need to talk to each other.
fn rules(own: &str, other: &str) -> Vec<Rule> {
    let other = || Pattern::Host(other.parse().unwrap());
    vec![rule(project(own), other()), rule(other(), project(own))]
}

impl Host {
    fn with(name: &'static str, url: &str, rules: Vec<Rule>, limits: Limits) -> Self {
        let cluster = Cluster {
            host: name.parse().unwrap(),
            servers: vec![url.to_owned()],
            credentials: None,
            ca: None,
            prefix: "rcc".to_owned(),
        };
        let limits = Limits { rate: 1_000_000, burst: 1_000_000, ..limits };
        let world = World::with(Policy { rules, limits, cluster: Some(cluster), ..Policy::default() });
        Self { world, name, url: url.to_owned(), credentials: PathBuf::new(), ca: PathBuf::new(), bridge: None }
    }

    fn start(&mut self) {
        let told = [
            self.world.place().socket().to_str().unwrap(),
            self.name,
            &self.url,
            self.credentials.to_str().unwrap(),
            self.ca.to_str().unwrap(),
        ]
        .join("\n");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "relay::daemon::tests::cluster::is_a_bridge", "--nocapture"]).env(BRIDGE, told);
        self.bridge = Some(command.stdout(Stdio::null()).spawn().unwrap());
    }

    fn linked(&self) -> bool {
        self.world.person().done(json!({"type": "query", "query": "status"}))["cluster"]["linked"] == true
    }

    fn bridge(&mut self) {
        self.start();
        until("the bridge is linked", || self.linked());
    }

    fn kill(&mut self) {
        if let Some(mut bridge) = self.bridge.take() {
            bridge.kill().unwrap();
            bridge.wait().unwrap();
        }
    }

    fn waiting(&self) -> u64 {
        self.world.person().done(json!({"type": "query", "query": "status"}))["cluster"]["waiting"].as_u64().unwrap()
    }

    fn audit(&self) -> String {
        let files = std::fs::read_dir(self.world.place().audit()).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Both hosts, with their bridges.
fn two(nats: &Nats) -> (Host, Host) {
    let url = nats.url("nats");
    let mut desk = Host::with("desk", &url, rules("api", "build"), Limits::default());
    let mut build = Host::with("build", &url, rules("web", "desk"), Limits::default());
    desk.bridge();
    build.bridge();
    (desk, build)
}

/// The next messages of a client that subscribed, each acknowledged.
fn next(client: &mut Client, count: usize) -> Vec<Value> {
    (0..count)
        .map(|_| {
            let message = client.message();
            client.done(json!({"type": "ack", "ids": [message["id"]]}));
            message
        })
        .collect()
}

fn subscribed(session: &Session) -> Client {
    let mut client = session.client();
    client.done(json!({"type": "subscribe"}));
    client
}

#[test]
fn a_message_arrives_at_another_host_and_its_answer_comes_back() {
    let Some(nats) = Nats::new("") else { return };
    let (desk, build) = two(&nats);
    let (api, web) = (desk.world.session("api-1", "api"), build.world.session("web-1", "web"));
    let (mut api, mut web) = (subscribed(&api), subscribed(&web));
    let sent = api.send("project:web@build", "hello \u{1b}[31m from /home/dev/api");
    let message = next(&mut web, 1).remove(0);
    assert_eq!(message["from"]["session"], "api-1");
    assert_eq!((&message["from"]["host"], &message["from"]["project"]), (&json!("desk"), &json!("api")));
    assert_eq!((&message["to"], &message["seq"]), (&json!("project:web"), &sent["seq"]));
    assert_eq!(message["id"], format!("{}~desk", sent["id"].as_str().unwrap()));
    assert_eq!(message["text"], "hello \\u{1b}[31m from [api]");
    web.done(json!({"type": "response", "reply_to": message["id"], "text": "hello yourself"}));
    let answer = next(&mut api, 1).remove(0);
    assert_eq!((&answer["text"], &answer["reply_to"]), (&json!("hello yourself"), &sent["id"]));
    assert_eq!((&answer["from"]["host"], &answer["from"]["session"]), (&json!("build"), &json!("web-1")));
    until("the outbox is empty", || desk.waiting() == 0);
}

#[test]
fn a_person_is_answered_on_the_own_host() {
    let Some(nats) = Nats::new("") else { return };
    let (url, me) =
        (nats.url("nats"), || Pattern::User(crate::facts::login_name(rustix::process::geteuid().as_raw()).unwrap()));
    let build = || Pattern::Host("build".parse().unwrap());
    let mut desk = Host::with("desk", &url, vec![rule(me(), build()), rule(build(), me())], Limits::default());
    let mut build = Host::with("build", &url, rules("web", "desk"), Limits::default());
    desk.bridge();
    build.bridge();
    let web = build.world.session("web-1", "web");
    desk.world.person().send("web-1@build", "how far are you?");
    until("it is there", || web.client().texts() == ["how far are you?"]);
    let asked = web.client().done(json!({"type": "inbox"}))["messages"][0].clone();
    assert!(asked["from"]["session"].as_str().unwrap().starts_with("user."));
    web.client().done(json!({"type": "response", "reply_to": asked["id"], "text": "done"}));
    until("the answer is there", || desk.world.person().texts() == ["done"]);
}

#[test]
fn a_project_where_nobody_is_gets_it_later() {
    let Some(nats) = Nats::new("") else { return };
    let (desk, build) = two(&nats);
    let api = desk.world.session("api-1", "api");
    api.client().send("project:web@build", "for the next one");
    until("it is there", || build.audit().contains("for the next one"));
    let web = build.world.session("web-1", "web");
    assert_eq!(web.client().texts(), ["for the next one"]);
}

#[test]
fn while_nats_is_away_messages_wait_and_come_once_and_in_their_order() {
    let Some(mut nats) = Nats::new("") else { return };
    let (desk, build) = two(&nats);
    let (api, web) = (desk.world.session("api-1", "api"), build.world.session("web-1", "web"));
    let (mut sender, mut reader) = (api.client(), subscribed(&web));
    for number in 0..90 {
        if number % 30 == 20 {
            nats.kill();
        }
        if number % 30 == 29 {
            nats.start();
        }
        sender.send("web-1@build", &number.to_string());
    }
    let texts: Vec<String> =
        next(&mut reader, 90).iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (0..90).map(|number| number.to_string()).collect::<Vec<_>>());
    until("the outbox is empty", || desk.waiting() == 0);
    sender.send("web-1@build", "last");
    assert_eq!(next(&mut reader, 1)[0]["text"], "last");
}

#[test]
fn bridges_that_are_killed_lose_nothing_and_double_nothing() {
    let Some(nats) = Nats::new("") else { return };
    let (mut desk, mut build) = two(&nats);
    let (api, web) = (desk.world.session("api-1", "api"), build.world.session("web-1", "web"));
    let (mut sender, mut reader) = (api.client(), subscribed(&web));
    let mut sent = 0;
    for turn in 0..6 {
        for _ in 0..40 {
            sender.send("web-1@build", &sent.to_string());
            sent += 1;
        }
        // In the middle of that, as far as it has come.
        let host = if turn % 2 == 0 { &mut desk } else { &mut build };
        host.kill();
        host.start();
    }
    let texts: Vec<String> =
        next(&mut reader, sent).iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(texts, (0..sent).map(|number| number.to_string()).collect::<Vec<_>>());
    sender.send("web-1@build", "last");
    assert_eq!(next(&mut reader, 1)[0]["text"], "last");
}

#[test]
fn both_ends_ask_their_own_policy() {
    let Some(nats) = Nats::new("") else { return };
    let (desk, build) = two(&nats);
    let (api, other) = (desk.world.session("api-1", "api"), desk.world.session("other-1", "other"));
    let (web, closed) = (build.world.session("web-1", "web"), build.world.session("closed-1", "closed"));
    // The sender's.
    assert_eq!(other.client().refused(json!({"type": "send", "to": "web-1@build", "text": "x"})), "not-allowed");
    assert_eq!(api.client().refused(json!({"type": "send", "to": "web-1@third", "text": "x"})), "not-allowed");
    let eval = json!({"type": "eval", "session_id": "web-1@build", "code": "1"});
    assert_eq!(api.client().refused(eval), "not-allowed");
    // The receiver's.
    api.client().send("closed-1@build", "secret plans");
    api.client().send("project:closed@build", "secret plans");
    api.client().send("user@build", "secret plans");
    api.client().send("web-1@build", "after");
    until("the last one is there", || web.client().texts() == ["after"]);
    assert_eq!(closed.client().texts(), [""; 0]);
    assert_eq!(build.world.person().texts(), [""; 0]);
    let audit = build.audit();
    let refused = audit.lines().find(|line| line.contains("\"refused\"")).expect("an entry");
    assert!(
        refused.contains("relay.cluster") && refused.contains("carry") && refused.contains("api-1@desk"),
        "{refused}"
    );
    assert!(!audit.contains("secret plans"), "{audit}");
}

#[test]
fn nobody_but_the_bridge_carries_and_it_does_nothing_else() {
    let world = World::new();
    let mut person = world.person();
    assert_eq!(person.refused(json!({"type": "link"})), "not-allowed", "without a cluster");
    let host = Host::with("desk", "nats://127.0.0.1:1", rules("api", "build"), Limits::default());
    let api = host.world.session("api-1", "api");
    let message = |id: &str, to: &str, expires: u64| {
        json!({
            "id": id, "from": {"session": "x-1", "user": "root", "uid": 0, "host": "third"}, "to": to, "kind": "message",
            "text": "x\u{202e}", "seq": 1, "accepted": 1, "expires": expires,
        })
    };
    let carry = |from: &str, message: Value| json!({"type": "carry", "from_host": from, "message": message});
    let good = || message("0a", "session:api-1@desk", u64::MAX);
    for client in [&mut api.client(), &mut host.world.person()] {
        assert_eq!(client.refused(carry("build", good())), "not-allowed");
    }
    assert_eq!(api.client().refused(json!({"type": "link"})), "not-allowed");
    let mut bridge = host.world.person();
    assert_eq!(bridge.done(json!({"type": "link"}))["host"], "desk");
    for other in [
        json!({"type": "send", "to": "api-1", "text": "x"}),
        json!({"type": "query", "query": "list_sessions"}),
        json!({"type": "open", "session": "x", "root": "/", "project": "x", "home": "/"}),
        json!({"type": "register", "name": "x"}),
        json!({"type": "stop"}),
    ] {
        assert_eq!(bridge.refused(other), "not-allowed");
    }
    bridge.done(json!({"type": "subscribe"}));
    let mut second = host.world.person();
    second.done(json!({"type": "link"}));
    assert_eq!(second.refused(json!({"type": "subscribe"})), "not-allowed");
    // What is wrong with a message.
    for (reason, from, message) in [
        ("unauthenticated", "desk", good()),
        ("unauthenticated", "build", message("0a", "session:api-1@third", u64::MAX)),
        ("unauthenticated", "build", message("0a", "session:api-1", u64::MAX)),
        ("malformed", "build", message("0a~third", "session:api-1@desk", u64::MAX)),
        ("malformed", "build", message(&"a".repeat(60), "session:api-1@desk", u64::MAX)),
        ("not-found", "build", message("0a", "session:api-1@desk", 1)),
        ("no-recipient", "third", good()),
        ("no-recipient", "build", message("0a", "session:relay.cluster@desk", u64::MAX)),
    ] {
        let line = carry(from, message);
        assert_eq!(second.refused(line.clone()), reason, "{line}");
    }
    assert_eq!(second.done(carry("build", good()))["duplicate"], false);
    assert_eq!(second.done(carry("build", good()))["duplicate"], true);
    let other = message("0a", "session:api-1@desk", u64::MAX).to_string().replace("\"x", "\"y").replace("y-1", "x-1");
    assert_eq!(second.refused(carry("build", serde_json::from_str(&other).unwrap())), "replayed");
    let inbox = api.client().done(json!({"type": "inbox"}))["messages"].clone();
    assert_eq!(inbox.as_array().unwrap().len(), 1);
    let from = &inbox[0]["from"];
    assert_eq!((&from["host"], &from["uid"]), (&json!("build"), &json!(u32::MAX)), "{inbox}");
    assert_eq!(inbox[0]["text"], "x\\u{202e}");
    // Nobody sees it among the sessions, or reaches it.
    let listed = host.world.person().done(json!({"type": "query", "query": "list_sessions"}));
    assert!(!listed.to_string().contains("relay.cluster"), "{listed}");
    let reach = json!({"type": "send", "to": "relay.cluster", "text": "x"});
    assert_eq!(host.world.person().refused(reach), "no-recipient");
}

/// What publishes as anybody.
struct Publisher {
    runtime: tokio::runtime::Runtime,
    client: async_nats::Client,
}

impl Publisher {
    fn new(nats: &Nats) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async_nats::connect(nats.url("nats"))).unwrap();
        Self { runtime, client }
    }

    fn publish(&self, subject: &str, payload: &str) {
        let (subject, payload) = (subject.to_owned(), payload.to_owned());
        self.runtime.block_on(async {
            let context = async_nats::jetstream::new(self.client.clone());
            context.publish(subject, payload.into()).await.unwrap().await.unwrap();
        });
    }
}

#[test]
fn what_a_host_says_of_itself_counts_for_nothing_and_what_is_no_message_for_less() {
    let Some(nats) = Nats::new("") else { return };
    let (_desk, build) = two(&nats);
    let web = build.world.session("web-1", "web");
    let publisher = Publisher::new(&nats);
    let message = |host: &str, id: &str| {
        json!({
            "id": id, "from": {"session": "api-1", "user": "alice", "uid": 1000, "host": host, "project": "web"},
            "to": "session:web-1@build", "kind": "message", "text": id, "seq": 1, "accepted": 1, "expires": u64::MAX,
        })
    };
    for junk in ["", "{}", "null", "[[[[", &"[".repeat(100_000), "{\"id\":\"\u{0}\"}", "\u{feff}{}"] {
        publisher.publish("rcc.desk.build", junk);
    }
    publisher.publish("rcc.NOBODY.build", &message("desk", "a0").to_string());
    publisher.publish("rcc.build.build", &message("desk", "a1").to_string());
    // Nothing is allowed to the third host, whatever name it gives itself.
    publisher.publish("rcc.third.build", &message("desk", "a2").to_string());
    let mut long = message("desk", "a3");
    long["text"] = "\u{1}".repeat(900_000 / 6).into();
    publisher.publish("rcc.third.build", &long.to_string());
    publisher.publish("rcc.desk.build", &message("third", "a4").to_string());
    until("the last one is there", || web.client().texts() == ["a4"]);
    let inbox = web.client().done(json!({"type": "inbox"}));
    assert_eq!(inbox["messages"][0]["from"]["host"], "desk");
    assert!(build.linked());
}

#[test]
fn what_expires_in_the_outbox_is_gone_and_on_record() {
    let Some(mut nats) = Nats::new("") else { return };
    let (desk, build) = two(&nats);
    let (api, web) = (desk.world.session("api-1", "api"), build.world.session("web-1", "web"));
    nats.kill();
    until("it was noticed", || !desk.linked());
    let mut client = api.client();
    let short = client.done(json!({"type": "send", "to": "web-1@build", "text": "old news", "expires_in": 1}));
    client.send("web-1@build", "news");
    assert_eq!(desk.waiting(), 2);
    std::thread::sleep(Duration::from_millis(1100));
    nats.start();
    until("the other one is there", || web.client().texts() == ["news"]);
    until("it is dropped", || desk.waiting() == 0);
    let (audit, id) = (desk.audit(), short["id"].as_str().unwrap());
    assert!(audit.lines().any(|line| line.contains("\"expired\"") && line.contains(id)), "{audit}");
}

#[test]
fn what_nats_does_not_carry_is_refused_at_once() {
    let Some(nats) = Nats::new("max_payload: 20000") else { return };
    let (desk, _build) = two(&nats);
    let api = desk.world.session("api-1", "api");
    let mut client = api.client();
    let send = |count: usize| json!({"type": "send", "to": "web-1@build", "text": "x".repeat(count)});
    assert_eq!(client.refused(send(20_000)), "too-large");
    client.done(send(10_000));
}

/// The users of a server by their nkeys; what each may do is what `docs/relay.md` says.
fn permissions(host: &str, key: &str) -> String {
    format!(
        r#"{{ nkey: {key}, permissions {{
            publish: [ "rcc.{host}.*", "$JS.API.STREAM.INFO.rcc", "$JS.API.CONSUMER.CREATE.rcc.{host}.rcc.*.{host}",
                       "$JS.API.CONSUMER.DURABLE.CREATE.rcc.{host}",
                       "$JS.API.CONSUMER.INFO.rcc.{host}", "$JS.API.CONSUMER.MSG.NEXT.rcc.{host}",
                       "$JS.ACK.rcc.{host}.>" ],
            subscribe: [ "_INBOX.rcc.{host}.>" ] }} }}"#
    )
}

/// A user's seed and public key.
fn key() -> (String, String) {
    let key = nkeys::KeyPair::new_user();
    (key.seed().unwrap(), key.public_key())
}

#[test]
fn with_credentials_a_host_can_be_no_other_one() {
    let [(root, root_key), (desk_seed, desk_key), (build_seed, build_key)] = [key(), key(), key()];
    let users = [permissions("desk", &desk_key), permissions("build", &build_key), format!("{{ nkey: {root_key} }}")];
    let Some(nats) = Nats::new(&format!("authorization {{ users = [ {} ] }}", users.join(",\n"))) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = nats.url("nats");
    let connect = |seed: &str| {
        let options = async_nats::ConnectOptions::with_nkey(seed.to_owned());
        let options = options.custom_inbox_prefix(if seed == desk_seed { "_INBOX.rcc.desk" } else { "_INBOX" });
        let client = runtime.block_on(options.connect(&url)).unwrap();
        let _inside = runtime.enter();
        async_nats::jetstream::new(client)
    };
    // The hosts may use the stream, and not make it.
    let stream = async_nats::jetstream::stream::Config {
        name: "rcc".into(),
        subjects: vec!["rcc.*.*".into()],
        retention: async_nats::jetstream::stream::RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    runtime.block_on(connect(&root).create_stream(stream)).unwrap();
    let mut hosts = [("desk", "api", "build", &desk_seed), ("build", "web", "desk", &build_seed)].map(
        |(name, own, other, seed)| {
            let mut rules = rules(own, other);
            rules.push(rule(project(own), Pattern::Host("third".parse().unwrap())));
            let mut host = Host::with(name, &url, rules, Limits::default());
            host.credentials = host.world.directory.path().join("seed");
            std::fs::write(&host.credentials, format!("{seed}\n")).unwrap();
            host
        },
    );
    for host in &mut hosts {
        // As long as others may read the seed, it is not used.
        std::fs::set_permissions(&host.credentials, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        host.start();
        std::thread::sleep(Duration::from_millis(300));
        assert!(!host.linked());
        std::fs::set_permissions(&host.credentials, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        until("the bridge is linked", || host.linked());
    }
    let [desk, build] = &hosts;
    let (api, web) = (desk.world.session("api-1", "api"), build.world.session("web-1", "web"));
    api.client().send("web-1@build", "hello");
    until("it is there", || web.client().texts() == ["hello"]);
    // Desk publishes as build: NATS does not take it.
    let mut context = connect(&desk_seed);
    context.set_timeout(Duration::from_secs(1));
    let forged = runtime.block_on(async { context.publish("rcc.build.desk", "{}".into()).await.unwrap().await });
    assert!(forged.is_err());
}

#[test]
fn a_host_that_nats_does_not_let_through_holds_up_no_other_one() {
    let deny = r#"
        authorization { users = [ { user: a, password: b, permissions: { publish: { deny: "rcc.desk.third" } } } ] }
        no_auth_user: a
    "#;
    let Some(nats) = Nats::new(deny) else { return };
    let url = nats.url("nats");
    let mut own = rules("api", "build");
    own.push(rule(project("api"), Pattern::Host("third".parse().unwrap())));
    let mut desk = Host::with("desk", &url, own, Limits::default());
    let mut build = Host::with("build", &url, rules("web", "desk"), Limits::default());
    desk.bridge();
    build.bridge();
    let (api, web) = (desk.world.session("api-1", "api"), build.world.session("web-1", "web"));
    let (mut client, mut reader) = (api.client(), subscribed(&web));
    client.send("project:x@third", "one");
    client.send("web-1@build", "two");
    client.send("project:x@third", "three");
    client.send("web-1@build", "four");
    let texts: Vec<Value> = next(&mut reader, 2).iter().map(|message| message["text"].clone()).collect();
    assert_eq!(texts, ["two", "four"]);
    until("the rest waits", || desk.waiting() == 2);
}

#[test]
fn over_tls_only_the_right_server_is_talked_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        Command::new("openssl")
            .args(arguments)
            .current_dir(directory.path())
            .output()
            .is_ok_and(|done| done.status.success())
    };
    std::fs::write(path("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = |name: &str| {
        let (key, cert) = (format!("{name}.key"), format!("{name}.pem"));
        openssl(
            &[&["req", "-x509"][..], &new, &["-keyout", &key, "-out", &cert, "-days", "2", "-subj", "/CN=test"]]
                .concat(),
        )
    };
    let signed = || {
        openssl(
            &[&["req"][..], &new, &["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"]].concat(),
        ) && openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            "server.pem",
            "-days",
            "2",
            "-extfile",
            "ext",
        ])
    };
    if !(ca("ca") && ca("other") && signed()) {
        return eprintln!("SKIPPED: openssl makes no certificates here");
    }
    let tls = format!("tls {{ cert_file: {:?}, key_file: {:?} }}", path("server.pem"), path("server.key"));
    let Some(nats) = Nats::new(&tls) else { return };
    let url = nats.url("tls");
    let mut desk = Host::with("desk", &url, rules("api", "build"), Limits::default());
    let mut build = Host::with("build", &url, rules("web", "desk"), Limits::default());
    for host in [&mut desk, &mut build] {
        host.ca = path("other.pem").into();
        host.start();
        std::thread::sleep(Duration::from_millis(500));
        assert!(!host.linked(), "another authority's server");
        host.kill();
        host.ca = path("ca.pem").into();
        host.bridge();
    }
    let (api, web) = (desk.world.session("api-1", "api"), build.world.session("web-1", "web"));
    api.client().send("web-1@build", "hello");
    until("it is there", || web.client().texts() == ["hello"]);
    // A server without TLS where it was asked for gets nothing.
    let Some(plain) = Nats::new("") else { return };
    let mut third = Host::with("third", &plain.url("tls"), Vec::new(), Limits::default());
    third.ca = path("ca.pem").into();
    third.start();
    std::thread::sleep(Duration::from_millis(500));
    assert!(!third.linked());
}
