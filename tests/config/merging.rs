//! What each layer may decide, and who wins.

use crate::world::{World, says};
use rcc::config::UserRef;
use rcc::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use rcc::settings::{DefaultLimits, Limits};

const PROFILES: &str = r#"
[profiles.wide]
allow = [{ address = "10.0.0.0/8", ports = ["1-65535"], protocol = "any" }]
[profiles.narrow]
allow = [{ address = "10.1.0.0/16", ports = [443] }]
[profiles.other]
allow = [{ domain = "Git.Corp.LAN.", ports = [22] }]
"#;

fn chosen(requested: Option<&str>, user: &str, project: &str) -> Result<String, String> {
    let world = World::new().admin(PROFILES);
    let world = if user.is_empty() { world } else { world.user(format!("profile = \"{user}\"")) };
    let world = if project.is_empty() { world } else { world.project(format!("profile = \"{project}\"")) };
    let world = match requested {
        Some(profile) => world.requesting(profile),
        None => world,
    };
    world.load().map(|loaded| loaded.settings.profile.to_string()).map_err(|_| world.refused())
}

#[test]
fn the_project_can_only_choose_a_stricter_profile() {
    for (requested, user, project, expected) in [
        (None, "", "", "public"),
        (None, "wide", "", "wide"),
        (None, "wide", "wide", "wide"),
        (None, "wide", "narrow", "narrow"),
        (None, "wide", "public", "public"),
        (None, "narrow", "offline", "offline"),
        (None, "offline", "offline", "offline"),
        (Some("wide"), "", "", "wide"),
        (Some("wide"), "offline", "narrow", "narrow"),
        (Some("offline"), "", "wide", "offline"),
        (Some("public"), "wide", "narrow", "public"),
        (Some("narrow"), "", "wide", "narrow"),
    ] {
        assert_eq!(chosen(requested, user, project).as_deref(), Ok(expected), "{requested:?} {user} {project}");
    }
    for (requested, user, project) in [
        (None, "", "narrow"),
        (None, "narrow", "wide"),
        (None, "offline", "public"),
        (None, "wide", "other"),
        (Some("narrow"), "wide", "other"),
        (Some("other"), "", "wide"),
    ] {
        let printed = chosen(requested, user, project).expect_err("a looser profile was taken");
        let base = requested.unwrap_or(if user.is_empty() { "public" } else { user });
        says(&printed, &[&format!("'{project}' reaches what '{base}'"), ".rcc.toml:1:"]);
    }
}

#[test]
fn an_unknown_profile_on_the_command_line_is_answered_with_the_known_ones() {
    let printed = chosen(Some("nowhere"), "", "").unwrap_err();
    says(
        &printed,
        &["no network profile 'nowhere'", "known profiles: offline, public, allowlist, wide, narrow, other"],
    );
}

#[test]
fn profiles_are_in_the_order_of_the_file_and_the_built_in_ones_are_first() {
    let text = "[profiles.zebra]\n[profiles.ape]\n[[profiles.public.allow]]\naddress = \"10.0.0.1\"\nports = [1]\n\
                [profiles.bee]\n";
    let admin = World::new().admin(text).loaded().admin;
    let policy = admin.policy(vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).unwrap()]);
    let names: Vec<&str> = policy.profiles.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["public", "allowlist", "zebra", "ape", "bee"]);
    assert_eq!(policy.profiles[0].exceptions.len(), 1);
    assert_eq!(policy.users[0].uid, 1000);
}

#[test]
fn roots_file_says_everything_about_the_network() {
    let text =
        "users = [\"alice\", 1001, \"alice\"]\n[network]\nvpn_interfaces = [\"wg*\"]\nprivate = [\"203.0.113.0/24\"]\n";
    let admin = World::new().admin(format!("{text}{PROFILES}")).loaded().admin;
    assert_eq!(admin.users, [UserRef::Name("alice".into()), UserRef::Uid(1001)]);
    let policy = serde_json::to_value(admin.policy(Vec::new())).unwrap();
    assert_eq!(policy["vpn_interfaces"], serde_json::json!(["wg*"]));
    assert_eq!(policy["private"], serde_json::json!(["203.0.113.0/24"]));
    let other = &policy["profiles"][4]["exceptions"][0];
    assert_eq!(*other, serde_json::json!({"target": {"domain": "git.corp.lan"}, "ports": ["22"], "protocol": "tcp"}));
}

#[test]
fn the_lowest_limit_holds() {
    let world = World::new()
        .admin("[limits]\nmemory = \"8GiB\"\npids = 100\ncpus = 4")
        .user("[limits]\nmemory = \"4GiB\"\npids = 200")
        .project("[limits]\ncpus = 0.5");
    let loaded = world.loaded();
    let limits = loaded.settings.limits;
    assert_eq!((limits.memory, limits.pids, limits.cpus), (Some(4 << 30), Some(100), Some(0.5)));
    assert_eq!(loaded.warnings.len(), 1);
    says(&loaded.warnings[0].to_string(), &["200 is above root's ceiling of 100"]);
    let origins: Vec<String> =
        loaded.entries.iter().filter(|e| e.key.starts_with("limits")).map(|e| e.to_string()).collect();
    for (row, file) in
        origins.iter().zip(["home/.config/rcc/config.toml:2", "etc/config.toml:3", "project/.rcc.toml:2"])
    {
        says(row, &[file]);
    }
}

/// The ceilings of memory and processes, with their rows.
fn ceilings(admin: &str, user: &str, project: &str) -> (Limits, DefaultLimits, String) {
    let limits = |lines: &str| format!("[limits]\n{lines}");
    let loaded = World::new().admin(limits(admin)).user(limits(user)).project(limits(project)).loaded();
    let rows = loaded.entries.iter().filter(|entry| entry.key.starts_with("limits")).map(|entry| format!("{entry}\n"));
    (loaded.settings.limits, loaded.settings.default_limits, rows.collect())
}

#[test]
fn without_a_word_ceilings_follow_from_the_machine_and_say_how() {
    let (asked, default, rows) = ceilings("", "", "");
    assert_eq!((asked, default.memory, default.pids), (Limits::default(), Some(12 << 30), Some(8192)));
    says(&rows, &["limits.memory = 12884901888", "# default: three quarters of this machine's 16.0 GiB"]);
    says(&rows, &["limits.pids = 8192", "# default: a quarter of this machine's 32768"]);
    let (asked, default, _) = ceilings("", "memory = \"1GiB\"", "");
    assert_eq!((asked.memory, default.memory, default.pids), (Some(1 << 30), None, Some(8192)));
    assert_eq!(default.why.len(), 1);
}

#[test]
fn none_takes_the_default_away_but_not_roots_ceiling() {
    let (asked, default, rows) = ceilings("", "memory = \"none\"\npids = \"none\"", "");
    assert_eq!((asked, default), (Limits::default(), DefaultLimits::default()));
    says(&rows, &["limits.memory = \"none\"", "config.toml:2"]);
    let (asked, _, _) = ceilings("memory = \"none\"", "", "");
    assert_eq!(asked.memory, None);
    let (asked, default, _) = ceilings("memory = \"2GiB\"", "memory = \"none\"", "");
    assert_eq!((asked.memory, default.memory), (Some(2 << 30), None));
    let (asked, _, _) = ceilings("memory = \"none\"", "memory = \"2GiB\"", "memory = \"1GiB\"");
    assert_eq!(asked.memory, Some(1 << 30));
}

#[test]
fn a_share_is_one_of_the_machine_and_compares_with_amounts() {
    assert_eq!(ceilings("", "memory = \"50%\"", "").0.memory, Some(8 << 30));
    assert_eq!(ceilings("memory = \"4GiB\"", "memory = \"50%\"", "memory = \"10%\"").0.memory, Some((16 << 30) / 10));
    let world = World::new().user("limits.memory = \"25%\"").project("limits.memory = \"5GiB\"");
    says(&world.refused(), &["5368709120 is above the ceiling of 4294967296", ".rcc.toml:1:"]);
}

#[test]
fn a_project_that_was_made_for_a_larger_machine_gets_what_this_one_has() {
    let (asked, default, rows) = ceilings("", "", "memory = \"15GiB\"\npids = 9000");
    assert_eq!((asked.memory, asked.pids, default.memory), (Some(12 << 30), Some(8192), None));
    says(&rows, &["limits.memory = 12884901888", "# default"]);
    assert_eq!(ceilings("", "", "memory = \"2GiB\"").0.memory, Some(2 << 30));
    assert_eq!(ceilings("", "memory = \"none\"", "memory = \"15GiB\"").0.memory, Some(15 << 30));
}

#[test]
fn only_the_user_says_how_long_rcc_waits() {
    let default = World::new().loaded().settings.timeouts;
    assert_eq!((default.start.as_secs(), default.stop.as_secs()), (30, 5));
    let world = World::new().user("[timeouts]\nstart = \"2m\"\nengine = \"10m\"\n");
    let loaded = world.loaded();
    let held = loaded.settings.timeouts;
    assert_eq!((held.start.as_secs(), held.engine.as_secs(), held.death), (120, 600, default.death));
    let rows = loaded.entries.iter().map(|entry| format!("{entry}\n")).collect::<String>();
    says(&rows, &["timeouts.start = \"2m\"", "config.toml:2", "timeouts.death = \"10s\"", "# default"]);
    assert_eq!(rcc::config::load_timeouts(&world.sources).unwrap(), held);
    says(&World::new().project("timeouts.stop = \"1m\"").refused(), &["timeouts", "not allowed in this file"]);
}

#[test]
fn excludes_add_up_and_the_projects_come_last() {
    let world = World::new().user("exclude = [\"/private\", \"!.env\"]").project("exclude = [\".env\"]");
    let exclude = world.loaded().settings.exclude;
    assert_eq!(exclude.first().map(String::as_str), Some(".env"));
    assert_eq!(exclude[exclude.len() - 3..], ["/private", "!.env", ".env"]);
    let world = World::new().user("exclude_defaults = false\nexclude = [\"*.key\"]");
    assert_eq!(world.loaded().settings.exclude, ["*.key"]);
}

fn plugins(user: &str, project: &str) -> (Option<String>, Vec<String>) {
    let loaded = World::new().user(user).project(project).loaded();
    let names =
        |tools: std::collections::BTreeSet<_>| tools.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let entries = loaded.entries.iter().filter(|entry| entry.key.starts_with("plugins"));
    (loaded.settings.plugins.map(names), entries.map(ToString::to_string).collect())
}

#[test]
fn a_project_has_the_plugins_that_both_its_file_and_the_users_name() {
    assert_eq!(plugins("", ""), (None, Vec::new()));
    for (user, project, expected) in [
        ("", "plugins = false", ""),
        ("", "plugins = [\"git\", \"gh\"]", "gh git"),
        ("plugins = [\"git\", \"gh\"]", "", "gh git"),
        ("plugins = [\"git\", \"gh\"]", "plugins = [\"git\", \"npm\"]", "git"),
        ("plugins = [\"git\"]", "plugins = [\"npm\"]", ""),
        ("plugins = false", "plugins = [\"npm\"]", ""),
        ("plugins = [\"git\"]", "plugins = false", ""),
    ] {
        assert_eq!(plugins(user, project).0.as_deref(), Some(expected), "{user} {project}");
    }
    let (_, rows) = plugins("plugins = [\"git\", \"gh\"]", "\nplugins = [\"git\"]");
    says(&rows.join("\n"), &["plugins[] = \"git\"", "project/.rcc.toml:2"]);
    says(&plugins("plugins = false", "").1.join("\n"), &["plugins = false", "config.toml:1"]);
    for wrong in ["plugins = true", "plugins = \"git\"", "plugins = [1]", "plugins = [\"../git\"]", "plugins = {}"] {
        says(&World::new().project(wrong).refused(), &["plugins", ".rcc.toml:1:"]);
    }
}

#[test]
fn the_users_choices_arrive() {
    let world = World::new().user(
        r#"
        [[mounts]]
        source = "~/reference"
        [[mounts]]
        source = "/opt/data"
        target = "/data"
        mode = "rw"
        [environment]
        pass = ["LANG"]
        set = { RUST_LOG = "debug", EMPTY = "" }
        [handover]
        writable = [".claude", ".vscode/"]
        "#,
    );
    let loaded = world.loaded();
    let mounts = &loaded.settings.mounts;
    assert_eq!((&mounts[0].source, mounts[0].writable), (&world.path("home/reference"), false));
    assert_eq!(mounts[0].source, mounts[0].target);
    assert_eq!((mounts[1].target.to_str(), mounts[1].writable), (Some("/data"), true));
    assert_eq!(loaded.settings.environment.pass, ["LANG"]);
    assert_eq!(loaded.settings.environment.set["RUST_LOG"], "debug");
    assert_eq!(loaded.settings.writable, [".claude", ".vscode"]);
}

#[test]
fn what_leads_out_of_the_sandbox_is_warned_of() {
    for (text, part) in [
        ("environment.pass = [\"SSH_AUTH_SOCK\"]", "SSH_AUTH_SOCK names is not in the sandbox"),
        ("environment.set.DOCKER_HOST = \"unix:///x\"", "DOCKER_HOST names is not in the sandbox"),
        ("mounts = [{ source = \"/var/run/docker.sock\" }]", "shows /var/run/docker.sock to the agent"),
        ("mounts = [{ source = \"/run\", target = \"/mnt\" }]", "shows /run/docker.sock to the agent"),
        ("mounts = [{ source = \"~\" }]", "shows your whole home"),
    ] {
        let warnings = World::new().user(text).loaded().warnings;
        assert_eq!(warnings.len(), 1, "{text}");
        says(&warnings[0].to_string(), &[part]);
    }
    let admin = "profiles.a.allow = [{ address = \"100.64.0.0/10\", ports = [1] }]";
    says(&World::new().admin(admin).loaded().warnings[0].to_string(), &["100.100.100.200, a metadata service"]);
}
