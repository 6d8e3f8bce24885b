//! Every wrong value is refused with its file, line, key and what is allowed.

use crate::world::{World, says};

/// A line of a file, the key that the error names, and parts of what it says.
type Case = (&'static str, &'static str, &'static [&'static str]);

#[track_caller]
fn each_is_refused(cases: &[Case], file: &str, put: impl Fn(World, &str) -> World) {
    for (text, key, parts) in cases {
        // Two lines above, so that the line number says something.
        let printed = put(World::new(), &format!("# one\n# two\n{text}\n")).refused();
        says(&printed, &[file, key]);
        says(&printed, parts);
        assert!(printed.contains(&format!("{file}:3:")), "no line in:\n{printed}");
    }
}

fn exception(entry: &str) -> String {
    format!("profiles.work.allow = [{{ {entry} }}]")
}

#[test]
fn exceptions() {
    let cases: &[Case] = &[
        (r#"address = "10.1.2.3/8", ports = [1]"#, "allow[0].address", &["10.0.0.0/8 for the network"]),
        (r#"address = "0.0.0.0/0", ports = [1]"#, "allow[0].address", &["whole internet"]),
        (r#"address = "::/0", ports = [1]"#, "allow[0].address", &["whole internet"]),
        (r#"address = "127.0.0.0/8", ports = [1]"#, "allow[0].address", &["loopback", "single addresses"]),
        (r#"address = "169.254.0.0/16", ports = [1]"#, "allow[0].address", &["metadata", "single addresses"]),
        (r#"address = "fe80::/10", ports = [1]"#, "allow[0].address", &["link-local"]),
        (r#"address = "10.0.0.300", ports = [1]"#, "allow[0].address", &["\"10.0.0.300\" is not an address"]),
        (r#"address = "10.0.0.1\u0000", ports = [1]"#, "allow[0].address", &["is not an address"]),
        (r#"address = "::ffff:10.0.0.1", ports = [1]"#, "allow[0].address", &["write it as IPv4"]),
        (r#"address = 10, ports = [1]"#, "allow[0].address", &["this is of type integer", "expected a string"]),
        (r#"domain = "a..b", ports = [1]"#, "allow[0].domain", &["labels of 1 to 63"]),
        (r#"domain = "a\u0000.lan", ports = [1]"#, "allow[0].domain", &["labels of 1 to 63"]),
        (r#"domain = "a.*.lan", ports = [1]"#, "allow[0].domain", &["a pattern of names is \"*.\""]),
        (r#"domain = "*", ports = [1]"#, "allow[0].domain", &["a pattern of names is \"*.\""]),
        (r#"domain = "10.0.0.1", ports = [1]"#, "allow[0].domain", &["as `address`"]),
        (r#"domain = "x; accept", ports = [1]"#, "allow[0].domain", &["labels of 1 to 63"]),
        (r#"ports = [1]"#, "allow[0]", &["neither `address` nor `domain`"]),
        (r#"address = "10.0.0.1", domain = "a.lan", ports = [1]"#, "allow[0]", &["one entry for each"]),
        (r#"address = "10.0.0.1""#, "allow[0]", &["`ports` is missing"]),
        (r#"address = "10.0.0.1", ports = []"#, "allow[0].ports", &["list of ports is empty"]),
        (r#"address = "10.0.0.1", ports = 443"#, "allow[0].ports", &["expected a list of ports"]),
        (r#"address = "10.0.0.1", ports = [0]"#, "allow[0].ports[0]", &["a port from 1 to 65535"]),
        (r#"address = "10.0.0.1", ports = [1, 65536]"#, "allow[0].ports[1]", &["65536 is out of bounds"]),
        (r#"address = "10.0.0.1", ports = [-1]"#, "allow[0].ports[0]", &["-1 is out of bounds"]),
        (r#"address = "10.0.0.1", ports = ["90-80"]"#, "allow[0].ports[0]", &["the lower port first"]),
        (r#"address = "10.0.0.1", ports = [1.5]"#, "allow[0].ports[0]", &["this is of type float"]),
        (r#"address = "10.0.0.1", ports = [1], protocol = "icmp""#, "allow[0].protocol", &["\"udp\" or \"any\""]),
        (r#"address = "10.0.0.1", port = [1]"#, "allow[0].port", &["unknown key", "did you mean `ports`?"]),
    ];
    for (entry, key, parts) in cases {
        let text = exception(entry);
        let printed = World::new().admin(format!("# one\n# two\n{text}")).refused();
        says(&printed, &[&format!("profiles.work.{key}"), "/w/etc/config.toml:3:"]);
        says(&printed, parts);
    }
}

#[test]
fn overlong_domains() {
    for domain in ["a".repeat(64), vec!["a".repeat(50); 6].join(".")] {
        let text = exception(&format!("domain = \"{domain}\", ports = [1]"));
        says(&World::new().admin(text).refused(), &["profiles.work.allow[0].domain", "253 characters"]);
    }
}

#[test]
fn the_rest_of_roots_file() {
    let cases: &[Case] = &[
        ("userz = []", "userz", &["unknown key", "did you mean `users`?"]),
        ("users = \"alice\"", "users", &["this is of type string", "expected a list"]),
        ("users = [\"root:x\"]", "users[0]", &["a login name has"]),
        ("users = [-1]", "users[0]", &["a uid from 0"]),
        ("users = [4294967295]", "users[0]", &["out of bounds"]),
        ("network.private = [\"203.0.113.7/24\"]", "network.private[0]", &["203.0.113.0/24"]),
        ("network.private = [\"0.0.0.0/0\"]", "network.private[0]", &["whole internet"]),
        ("network.vpn_interfaces = [\"*\"]", "network.vpn_interfaces[0]", &["an interface pattern has"]),
        ("network.vpn_interfaces = [\"a\\\" accept\"]", "network.vpn_interfaces[0]", &["an interface pattern has"]),
        ("network.vpn = []", "network.vpn", &["unknown key", "vpn_interfaces"]),
        ("profiles.offline = {}", "profiles.offline", &["'offline' is built in"]),
        ("profiles.\"Work Net\" = {}", "profiles.\"Work Net\"", &["1 to 24 characters"]),
        ("profiles.work.deny = []", "profiles.work.deny", &["unknown key"]),
        ("profiles.work = 1", "profiles.work", &["expected a table"]),
        ("limits.memory = \"8 Gigs\"", "limits.memory", &["\"8 Gigs\" is not an amount", "8GiB"]),
        ("limits.memory = 1", "limits.memory", &["4MiB"]),
        ("limits.memory = \"0%\"", "limits.memory", &["\"0%\" is not an amount", "50%"]),
        ("limits.memory = \"101%\"", "limits.memory", &["\"101%\" is not an amount"]),
        ("limits.memory = \"+5%\"", "limits.memory", &["\"+5%\" is not an amount"]),
        ("limits.pids = \"nothing\"", "limits.pids", &["write it without quotes"]),
        ("limits.pids = 0", "limits.pids", &["0 is out of bounds"]),
        ("limits.cpus = 0", "limits.cpus", &["0.01 to 8192"]),
        ("limits.cpus = nan", "limits.cpus", &["0.01 to 8192"]),
        ("limits.cpus = inf", "limits.cpus", &["0.01 to 8192"]),
        ("users = [] \nusers = []", "not valid TOML", &["duplicate key"]),
    ];
    let (last, cases) = cases.split_last().unwrap();
    each_is_refused(cases, "/w/etc/config.toml", |world, text| world.admin(text));
    says(&World::new().admin(last.0).refused(), last.2);
}

#[test]
fn the_users_file() {
    let cases: &[Case] = &[
        ("timeouts.start = \"0s\"", "timeouts.start", &["from 1s to 1h"]),
        ("timeouts.stop = \"2h\"", "timeouts.stop", &["from 1s to 1h"]),
        ("timeouts.engine = 30", "timeouts.engine", &["a string"]),
        ("timeouts.strt = \"1s\"", "timeouts.strt", &["did you mean `start`?"]),
        ("profile = \"nowhere\"", "profile", &["no network profile 'nowhere'", "known profiles: offline, public"]),
        ("profile = \"No Where\"", "profile", &["1 to 24 characters"]),
        ("exclude = [\"../x\"]", "exclude[0]", &["stays inside the project"]),
        ("exclude = [\"a\", \"[\"]", "exclude[1]", &["is not a pattern"]),
        ("exclude = \".env\"", "exclude", &["expected a list of strings"]),
        ("exclude_defaults = \"no\"", "exclude_defaults", &["expected true or false"]),
        ("mounts = [{ target = \"/x\" }]", "mounts[0]", &["`source` is missing"]),
        ("mounts = [{ source = \"x\" }]", "mounts[0].source", &["an absolute path"]),
        ("mounts = [{ source = \"/x/../etc\" }]", "mounts[0].source", &["without '..'"]),
        ("mounts = [{ source = \"/x\", mode = \"rwx\" }]", "mounts[0].mode", &["\"ro\" (the default) or \"rw\""]),
        ("mounts = [{ source = \"/x\", target = \"/\" }]", "mounts[0].target", &["rcc's own inside"]),
        ("mounts = [{ source = \"/x\", target = \"/proc/self\" }]", "mounts[0].target", &["/proc is rcc's own"]),
        ("mounts = [{ source = \"/sys\" }]", "mounts[0]", &["/sys is rcc's own", "another target"]),
        ("environment.pass = [\"A=B\"]", "environment.pass[0]", &["a name has 1 to 255"]),
        ("environment.set = { \"A B\" = \"\" }", "environment.set.\"A B\"", &["a name has 1 to 255"]),
        ("environment.set.A = 1", "environment.set.A", &["expected a string"]),
        ("environment.set.A = \"\\u0000\"", "environment.set.A", &["no NUL"]),
        ("handover.writable = [\"/etc\"]", "handover.writable[0]", &["relative to the project"]),
        ("handover.writable = [\"../x\"]", "handover.writable[0]", &["without '..'"]),
        ("users = []", "users", &["unknown key"]),
    ];
    each_is_refused(cases, "/w/home/.config/rcc/config.toml", |world, text| world.user(text));
}

#[test]
fn the_projects_file_cannot_loosen() {
    let cases: &[Case] = &[
        ("exclude = [\"!.env\"]", "exclude[0]", &["only exclude more", "~/.config/rcc/config.toml"]),
        ("exclude_defaults = false", "exclude_defaults", &["not allowed in this file", "~/.config/rcc/config.toml"]),
        ("mounts = [{ source = \"/\" }]", "mounts", &["not allowed in this file", "~/.config/rcc/config.toml"]),
        ("environment.pass = [\"TOKEN\"]", "environment", &["not allowed", "~/.config/rcc/config.toml"]),
        ("handover.writable = [\".git\"]", "handover", &["not allowed", "~/.config/rcc/config.toml"]),
        ("exclude_defaults = false", "exclude_defaults", &["not allowed", "~/.config/rcc/config.toml"]),
        ("users = [0]", "users", &["not allowed in this file", "/etc/rcc/config.toml"]),
        ("network.vpn_interfaces = []", "network", &["not allowed in this file", "/etc/rcc/config.toml"]),
        ("profiles.public.allow = []", "profiles", &["not allowed in this file", "/etc/rcc/config.toml"]),
        ("exlude = []", "exlude", &["unknown key", "did you mean `exclude`?"]),
        ("profile = \"work\"", "profile", &["'work' reaches what 'public' (default) does not", "--profile work"]),
        ("profile = \"nowhere\"", "profile", &["known profiles: offline, public, allowlist, work"]),
        ("limits.memory = \"none\"", "limits.memory", &["a project can only lower limits"]),
        ("limits.pids = \"none\"", "limits.pids", &["a project can only lower limits"]),
        ("limits.pids = 101", "limits.pids", &["101 is above the ceiling of 100", "at most 100 here"]),
    ];
    let admin = "limits.pids = 100\nprofiles.work.allow = [{ address = \"10.0.0.1\", ports = [1] }]";
    each_is_refused(cases, "/w/home/project/.rcc.toml", |world, text| world.admin(admin).project(text));
}

#[test]
fn every_mistake_of_every_file_is_shown_at_once() {
    let world =
        World::new().admin("userz = 1\nlimits.pids = 0\nusers = [\"a b\"]").user("mount = 1").project("mounts = 1");
    let printed = world.refused();
    says(&printed, &["3 mistakes", "userz", "limits.pids", "users[0]", "did you mean `mounts`?", "not allowed"]);
}

#[test]
fn thousands_of_mistakes_are_counted_not_printed() {
    let printed = World::new().admin(format!("users = [{}]", "true,".repeat(5000))).refused();
    says(&printed, &["5000 mistakes", "the first 20 are shown"]);
    assert!(printed.len() < 20_000, "{} bytes", printed.len());
}

#[test]
fn one_profile_too_many() {
    let profiles = |count: usize| (0..count).map(|i| format!("[profiles.p{i}]\n")).collect::<String>();
    assert_eq!(World::new().admin(profiles(30)).loaded().admin.profiles.len(), 32);
    assert_eq!(
        World::new().admin(profiles(30) + "[profiles.allowlist]\n[profiles.public]").loaded().admin.profiles.len(),
        32
    );
    says(&World::new().admin(profiles(31)).refused(), &["profiles.p30: one profile too many", "at most 32"]);
}
