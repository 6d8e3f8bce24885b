//! Profiles that deny by default, and groups of names.

use crate::world::{World, says};
use rcc::config::Admin;
use rcc::policy::{Listed, ProfileName, Reach};

fn admin(text: &str) -> Admin {
    World::new().admin(text).loaded().admin
}

/// `PATTERN TRANSPORT PORTS` of each listed name; none for a public profile.
fn listed(admin: &Admin, profile: &str) -> Option<Vec<String>> {
    let text = |listed: &Listed| {
        let ports: Vec<String> = listed.ports.ranges().iter().map(ToString::to_string).collect();
        let protocol = serde_json::to_value(listed.protocol).unwrap();
        format!("{} {} {}", listed.pattern, protocol.as_str().unwrap(), ports.join(","))
    };
    match &admin.profile(&profile.parse().unwrap()).unwrap().reach {
        Reach::Public => None,
        Reach::Listed(list) => Some(list.iter().map(text).collect()),
    }
}

#[test]
fn the_built_in_allowlist_holds_every_built_in_group() {
    let admin = Admin::default();
    let list = listed(&admin, "allowlist").unwrap();
    for name in [
        "api.anthropic.com tcp 443",
        "registry.npmjs.org tcp 443",
        "files.pythonhosted.org tcp 443",
        "static.crates.io tcp 443",
        "codeload.github.com tcp 443",
        "deb.debian.org tcp 80,443",
        "proxy.golang.org tcp 443",
        "cache.nixos.org tcp 443",
    ] {
        assert!(list.contains(&name.to_owned()), "{name}: {list:?}");
    }
    let all: usize = admin.groups.iter().map(|group| group.names.len()).sum();
    assert_eq!(list.len(), all);
    assert_eq!(listed(&admin, "public"), None);
}

#[test]
fn the_allowlist_is_edited_like_any_profile() {
    let text = "[profiles.allowlist]\ngroups = [\"claude\", \"own\", \"claude\"]\nnames = [\"example.com\", \
                { name = \"*.Example.org\", ports = [8443, \"9000-9010\"], protocol = \"any\" }]\n\
                [groups.own]\nnames = [\"registry.example.com\"]\n[groups.claude]\nnames = [\"api.example.com\"]\n";
    let list = listed(&admin(text), "allowlist").unwrap();
    assert_eq!(
        list,
        [
            "example.com tcp 443",
            "*.example.org any 8443,9000-9010",
            "api.example.com tcp 443",
            "registry.example.com tcp 443"
        ]
    );
    // What is added keeps the default groups.
    let more = listed(&admin("profiles.allowlist.names = [\"example.com\"]"), "allowlist").unwrap();
    assert!(more.contains(&"example.com tcp 443".to_owned()) && more.contains(&"pypi.org tcp 443".to_owned()));
    // A new group is in no profile that did not ask for it.
    let other = listed(&admin("groups.own.names = [\"x.example\"]"), "allowlist").unwrap();
    assert!(!other.iter().any(|name| name.starts_with("x.example")));
}

#[test]
fn a_profile_of_ones_own_denies_only_if_it_says_so() {
    let text = "[profiles.open]\n[profiles.shut]\ndefault = \"deny\"\n\
                allow = [{ domain = \"*.corp.lan\", ports = [22] }]\n";
    let admin = admin(text);
    assert_eq!(listed(&admin, "open"), None);
    assert_eq!(listed(&admin, "shut"), Some(vec![]));
    assert_eq!(admin.profile(&"shut".parse().unwrap()).unwrap().exceptions.len(), 1);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("profiles.work.names = [\"a.example\"]", "profiles.work.names", &["reaches all public names already"]),
        ("profiles.work.groups = [\"npm\"]", "profiles.work.groups", &["default = \"deny\""]),
        ("profiles.public.names = []", "profiles.public.names", &["reaches all public names already"]),
        ("profiles.public.default = \"deny\"", "profiles.public.default", &["profile = \"allowlist\""]),
        ("profiles.allowlist.default = \"public\"", "profiles.allowlist.default", &["only what is listed"]),
        ("profiles.work.default = \"allow\"", "profiles.work.default", &["expected \"public\""]),
        ("profiles.allowlist.groups = [\"nmp\"]", "profiles.allowlist.groups[0]", &["did you mean `npm`?"]),
        ("profiles.allowlist.groups = [\"\\u001b[2J\"]", "profiles.allowlist.groups[0]", &["known here: claude"]),
        ("profiles.allowlist.names = [\"*\"]", "profiles.allowlist.names[0]", &["a pattern of names is"]),
        ("profiles.allowlist.names = [\"a.*.b\"]", "profiles.allowlist.names[0]", &["no other place"]),
        ("profiles.allowlist.names = [\"a\\u0000.b\"]", "profiles.allowlist.names[0]", &["labels of 1 to 63"]),
        ("profiles.allowlist.names = [\"10.0.0.1\"]", "profiles.allowlist.names[0]", &["as `address`"]),
        ("profiles.allowlist.names = [\"a.b:443\"]", "profiles.allowlist.names[0]", &["labels of 1 to 63"]),
        ("profiles.allowlist.names = [{ ports = [1] }]", "profiles.allowlist.names[0]", &["`name` is missing"]),
        ("profiles.allowlist.names = [{ name = \"a.b\", ports = [] }]", "names[0].ports", &["list of ports is empty"]),
        ("profiles.allowlist.names = [443]", "profiles.allowlist.names[0]", &["expected a table"]),
        ("groups.Own.names = []", "groups.Own", &["1 to 24 characters"]),
        ("groups.own = {}", "groups.own", &["`names` is missing"]),
        ("groups.own.names = \"a.b\"", "groups.own.names", &["a list of names"]),
    ];
    for (text, key, parts) in cases {
        let printed = World::new().admin(text).refused();
        says(&printed, &[key]);
        says(&printed, parts);
    }
}

#[test]
fn what_gives_more_than_it_seems_is_a_warning() {
    for (text, part) in [
        ("profiles.allowlist.names = [\"*.com\"]", "anybody may register"),
        ("profiles.allowlist.names = [\"git.corp.lan\"]", "belongs to no public space"),
        ("profiles.work.allow = [{ domain = \"*.com\", ports = [443] }]", "point it into your network"),
        ("profiles.work.allow = [{ address = \"127.0.0.1\", ports = [5432] }]", "is this machine itself"),
        ("profiles.work.allow = [{ address = \"169.254.169.254\", ports = [80] }]", "cloud metadata"),
        ("profiles.work.allow = [{ address = \"168.63.129.16\", ports = [80] }]", "metadata service"),
        ("profiles.work.allow = [{ address = \"fd00:ec2::/32\", ports = [80] }]", "narrower prefix"),
    ] {
        let warnings = World::new().admin(text).loaded().warnings;
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        says(&warnings[0].to_string(), &[]);
        says(&format!("{} {}", warnings[0], miette::Diagnostic::help(&warnings[0]).unwrap()), &[part]);
    }
    for text in [
        "profiles.allowlist.names = [\"*.example.com\"]",
        "profiles.work.allow = [{ domain = \"*.lan\", ports = [443] }]",
        "profiles.work.allow = [{ address = \"10.0.0.1\", ports = [443] }]",
    ] {
        assert!(World::new().admin(text).loaded().warnings.is_empty(), "{text}");
    }
}

#[test]
fn show_prints_every_part_with_its_line() {
    let world = World::new().admin(
        "[profiles.allowlist]\ngroups = [\"own\"]\nnames = [\n  \"a.example\",\n  \"b.example\",\n]\n\
         [[profiles.allowlist.allow]]\naddress = \"10.0.0.1\"\nports = [1]\n[groups.own]\nnames = [\"c.example\"]\n",
    );
    let file = &world.sources.admin;
    let rows: Vec<String> = world.loaded().admin.entries(file).iter().map(|entry| entry.to_string()).collect();
    for (key, line) in [
        ("profiles.allowlist.groups = [\"own\"] ", "config.toml:2"),
        ("profiles.allowlist.names[] = \"a.example\" ", "config.toml:4"),
        ("profiles.allowlist.names[] = \"b.example\" ", "config.toml:5"),
        ("profiles.allowlist.allow[] = { address", "config.toml:7"),
        ("groups.own.names = [\"c.example\"] ", "config.toml:10"),
        ("profiles.public.default = \"public\" ", "default"),
        ("groups.pypi.names = [\"pypi.org\", \"files.pythonhosted.org\"] ", "default"),
        ("groups.debian.names = [{ name = \"deb.debian.org\"", "default"),
    ] {
        let row = rows.iter().find(|row| row.starts_with(key)).unwrap_or_else(|| panic!("{key}: {rows:#?}"));
        assert!(row.ends_with(line), "{row}");
    }
}

#[test]
fn a_project_may_choose_the_allowlist_and_nothing_that_lists_more() {
    let admin = "[profiles.wide]\ndefault = \"deny\"\ngroups = [\"claude\", \"npm\"]\n\
                 [profiles.narrow]\ndefault = \"deny\"\nnames = [\"registry.npmjs.org\"]\n\
                 [profiles.other]\ndefault = \"deny\"\nnames = [\"x.example\"]\n\
                 [profiles.private]\ndefault = \"deny\"\nallow = [{ domain = \"git.corp.lan\", ports = [22] }]\n";
    let chosen = |user: &str, project: &str| {
        let world = World::new().admin(admin).user(format!("profile = {user:?}"));
        world.project(format!("profile = {project:?}")).load().map(|loaded| loaded.settings.profile)
    };
    for (user, project) in [("public", "allowlist"), ("public", "narrow"), ("wide", "narrow"), ("allowlist", "wide")] {
        assert_eq!(chosen(user, project).unwrap(), project.parse::<ProfileName>().unwrap(), "{user} {project}");
    }
    for (user, project) in [
        ("allowlist", "public"),
        ("narrow", "wide"),
        ("wide", "other"),
        ("allowlist", "private"),
        ("public", "private"),
    ] {
        assert!(chosen(user, project).is_err(), "{user} {project}");
    }
}
