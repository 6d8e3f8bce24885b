use super::*;
use proptest::prelude::*;

fn ports(text: &str) -> Ports {
    Ports::new(text.split(',').map(|range| range.parse().unwrap()).collect()).unwrap()
}

fn target(text: &str) -> Target {
    text.parse().map_or_else(|_| Target::Domain(text.parse().unwrap()), Target::Address)
}

fn except(to: &str, on: &str, protocol: Protocol) -> Change {
    Change::Except(Exception { target: target(to), ports: ports(on), protocol })
}

fn list(name: &str, on: &str) -> Change {
    Change::List(Listed { pattern: name.parse().unwrap(), ports: ports(on), protocol: Protocol::Tcp })
}

fn take(to: &str, on: &str, protocol: Protocol) -> Change {
    Change::Take { target: target(to), protocol, ports: on.parse().unwrap() }
}

fn change(text: &str, profile: &str, change: &Change) -> Result<Option<String>, AmendError> {
    let amended = amended(Path::new("/etc/rcc/config.toml"), text, &profile.parse().unwrap(), change)?;
    Ok(amended.map(|amended| amended.text))
}

#[track_caller]
fn becomes(before: &str, profile: &str, what: &Change, after: &str) {
    let text = change(before, profile, what).unwrap_or_else(|error| panic!("{error}: {before}")).unwrap();
    assert_eq!(text, after);
    assert_eq!(change(&text, profile, what).unwrap(), None, "a second time");
}

#[test]
fn the_first_exception_makes_the_section() {
    let what = except("10.1.2.3/32", "443", Protocol::Tcp);
    let section = "\n[profiles.public]\nallow = [\n  { address = \"10.1.2.3\", ports = [443] },\n]\n";
    for before in
        ["# only\n# comments\n", "[limits]\npids = 9 # p\n# tail\n", include_str!("../../setup/config.template.toml")]
    {
        becomes(before, "public", &what, &format!("{before}{section}"));
    }
    becomes("# end", "public", &what, &format!("# end\n{section}"));
    becomes("", "public", &what, "\n[profiles.public]\nallow = [\n  { address = \"10.1.2.3\", ports = [443] },\n]\n");
    becomes(
        "# mine\nusers = [1000] # me\n",
        "public",
        &what,
        "# mine\nusers = [1000] # me\n\n[profiles.public]\nallow = [\n  { address = \"10.1.2.3\", ports = [443] },\n]\n",
    );
}

#[test]
fn an_entry_is_added_as_the_list_is_written_and_comments_stay_where_they_are() {
    let what = except("git.corp.lan", "22,8000-8100", Protocol::Any);
    let new = "{ domain = \"git.corp.lan\", ports = [22, \"8000-8100\"], protocol = \"any\" }";
    for (before, after) in [
        (
            "[profiles.work]   # w\nallow = [\n    # db\n    { address = \"10.0.0.1\", ports = [1] }, # one\n    # end\n]\n# tail",
            "[profiles.work]   # w\nallow = [\n    # db\n    { address = \"10.0.0.1\", ports = [1] }, # one\n    # end\n    NEW,\n]\n# tail",
        ),
        (
            "profiles.work.allow = [{ address = \"10.0.0.1\", ports = [1] }]\n",
            "profiles.work.allow = [{ address = \"10.0.0.1\", ports = [1] }, NEW]\n",
        ),
        ("[profiles]\nwork = { allow = [] }\n", "[profiles]\nwork = { allow = [\n  NEW,\n] }\n"),
        ("[profiles]\nwork = {}\n", "[profiles]\nwork = { allow = [\n  NEW,\n] }\n"),
        (
            "[profiles.work]\nallow = [\n  { address = \"10.0.0.1\", ports = [1] } # one\n]\n[limits]\npids = 9\n",
            "[profiles.work]\nallow = [\n  { address = \"10.0.0.1\", ports = [1] }, # one\n  NEW,\n]\n[limits]\npids = 9\n",
        ),
        ("[profiles.work]\nallow = [ # all\n]\n", "[profiles.work]\nallow = [ # all\n  NEW,\n]\n"),
    ] {
        becomes(before, "work", &what, &after.replace("NEW", new));
    }
    let tables = "[[profiles.work.allow]]\naddress = \"10.0.0.1\"\nports = [1]\n\n[limits] # l\npids = 9\n";
    let after = change(tables, "work", &what).unwrap().unwrap();
    assert!(after.starts_with("[[profiles.work.allow]]\naddress = \"10.0.0.1\"\nports = [1]\n"), "{after}");
    assert!(after.contains("\n\n[[profiles.work.allow]]\ndomain = \"git.corp.lan\"\n"), "{after}");
    assert!(after.contains("[limits] # l\npids = 9\n"), "{after}");
}

#[test]
fn a_listed_name_goes_into_the_profiles_own_names() {
    becomes(
        "[profiles.allowlist]\ngroups = [\"claude\"]\n",
        "allowlist",
        &list("*.example.com", "443"),
        "[profiles.allowlist]\ngroups = [\"claude\"]\nnames = [\n  \"*.example.com\",\n]\n",
    );
    becomes(
        "[profiles.allowlist]\nnames = [\"a.example\"]\n",
        "allowlist",
        &list("b.example", "8443"),
        "[profiles.allowlist]\nnames = [\"a.example\", { name = \"b.example\", ports = [8443] }]\n",
    );
    assert_eq!(change("", "public", &list("a.example", "443")).unwrap(), None);
}

#[test]
fn what_is_taken_leaves_the_rest_of_its_entry_and_its_neighbours() {
    let text = "[profiles.work]\nallow = [\n  # first\n  { address = \"10.0.0.1\", ports = [1, 443] }, # one\n  # second\n  \
                { domain = \"a.lan\", ports = [\"8000-8100\"], protocol = \"any\" }, # two\n  # third\n  \
                { address = \"10.0.0.2\", ports = [1] }, # three\n]\n";
    for (what, from, to) in [
        (take("10.0.0.1/32", "443", Protocol::Any), "ports = [1, 443] }, # one", "ports = [1] }, # one"),
        (
            take("10.0.0.1/32", "1-65535", Protocol::Any),
            "  # first\n  { address = \"10.0.0.1\", ports = [1, 443] }, # one\n",
            "",
        ),
        (
            take("a.lan", "8050", Protocol::Any),
            "ports = [\"8000-8100\"], protocol = \"any\"",
            "ports = [\"8000-8049\", \"8051-8100\"], protocol = \"any\"",
        ),
        (
            take("a.lan", "8000-8100", Protocol::Any),
            "  # second\n  { domain = \"a.lan\", ports = [\"8000-8100\"], protocol = \"any\" }, # two\n",
            "",
        ),
        (
            take("a.lan", "1-65535", Protocol::Udp),
            "ports = [\"8000-8100\"], protocol = \"any\"",
            "ports = [\"8000-8100\"], protocol = \"tcp\"",
        ),
        (
            take("10.0.0.2/32", "1", Protocol::Tcp),
            "  # third\n  { address = \"10.0.0.2\", ports = [1] }, # three\n",
            "",
        ),
    ] {
        assert!(text.contains(from));
        becomes(text, "work", &what, &text.replace(from, to));
    }
    for what in [
        take("10.0.0.1/32", "2", Protocol::Any),
        take("10.0.0.1/32", "1", Protocol::Udp),
        take("10.0.0.0/8", "1", Protocol::Any),
        take("*.lan", "8000", Protocol::Any),
        take("b.lan", "8000", Protocol::Any),
    ] {
        assert_eq!(change(text, "work", &what).unwrap(), None, "{what:?}");
    }
}

#[test]
fn an_entry_whose_transports_part_becomes_two() {
    let before = "[profiles.work]\nallow = [\n  { domain = \"a.lan\", ports = [1, 2], protocol = \"any\" },\n]\n";
    let after = "[profiles.work]\nallow = [\n  { domain = \"a.lan\", ports = [2], protocol = \"tcp\" },\n  \
                 { domain = \"a.lan\", ports = [\"1-2\"], protocol = \"udp\" },\n]\n";
    becomes(before, "work", &take("a.lan", "1", Protocol::Tcp), after);
    let tables = "[[profiles.work.allow]]\ndomain = \"a.lan\" # a\nports = [1, 2]\nprotocol = \"any\"\n";
    let after = change(tables, "work", &take("a.lan", "1", Protocol::Tcp)).unwrap().unwrap();
    assert!(after.contains("# a\nports = [2]\nprotocol = \"tcp\"\n"), "{after}");
    let emptied = change(tables, "work", &take("a.lan", "1-2", Protocol::Any)).unwrap().unwrap();
    assert_eq!(emptied.trim(), "[profiles.work]\nallow = []");
}

#[test]
fn names_of_groups_are_not_taken() {
    let what = take("pypi.org", "443", Protocol::Any);
    assert_eq!(change("", "allowlist", &what).unwrap(), None);
    becomes(
        "profiles.allowlist.names = [\"pypi.org\", \"a.example\"]\n",
        "allowlist",
        &what,
        "profiles.allowlist.names = [\"a.example\"]\n",
    );
}

#[test]
fn line_ends_and_a_byte_order_mark_stay() {
    let before = "\u{feff}# c\r\n[profiles.work]\r\nallow = [\r\n  { address = \"10.0.0.1\", ports = [1] },\r\n]\r\n";
    let after = change(before, "work", &except("10.0.0.2/32", "1", Protocol::Tcp)).unwrap().unwrap();
    assert_eq!(after, before.replace("[1] },\r\n]", "[1] },\r\n  { address = \"10.0.0.2\", ports = [1] },\r\n]"));
}

#[test]
fn what_cannot_be_changed_is_left_alone() {
    let what = except("10.0.0.2/32", "1", Protocol::Tcp);
    for text in ["profiles = 1", "users = [", "[profiles.work]\nallow = 7", "unknown = 1", "profiles.work.allow = {}"] {
        assert!(matches!(change(text, "work", &what), Err(AmendError::Config(_))), "{text}");
    }
    assert!(matches!(change("", "nowhere", &what), Err(AmendError::NoProfile { .. })));
    assert!(matches!(change("", "offline", &what), Err(AmendError::NoProfile { .. })));
}

/// Files in every shape that TOML has for the same thing.
fn shapes() -> impl Strategy<Value = String> {
    let entry = prop::sample::select(vec![
        "{ address = \"10.0.0.1\", ports = [1, 443] }",
        "{ports=[443],domain='git.corp.lan',protocol='any'}",
        "{ \"address\" = \"10.0.0.0/8\",\tports = [\"1-9\"] }",
    ]);
    let separator = prop::sample::select(vec![", ", ",\n  ", " # c\n  , ", ", # d, ]\n\n  # e\n  ", ","]);
    let end = prop::sample::select(vec!["", "\n", ",", ",\n", " # f\n", ", # g\n  # h\n"]);
    let list = (proptest::collection::vec((entry, separator), 0..4), end).prop_map(|(entries, end)| {
        let mut text = String::new();
        let count = entries.len();
        for (at, (entry, separator)) in entries.into_iter().enumerate() {
            text += entry;
            text += if at + 1 < count { separator } else { "" };
        }
        let end = if count == 0 { end.trim_start_matches(',') } else { end };
        format!("[{text}{end}]")
    });
    let place = prop::sample::select(vec![
        "[profiles.work]\nallow = LIST\n",
        "profiles.work.allow = LIST # after\n[limits]\npids = 7\n",
        "[profiles]\nwork = { allow = LIST }\npublic = {}\n",
        "profiles = { work = { allow = LIST } }\n",
        "[profiles.public]\n\n[profiles.work] # w\n# before\nallow = LIST\n\n[groups.own]\nnames = []\n",
        "[profiles.public]\n[profiles]\n'work'.\"allow\" = LIST\n",
    ]);
    (list, place, any::<bool>()).prop_map(|(list, place, crlf)| {
        let text = place.replace("LIST", &list);
        if crlf { text.replace('\n', "\r\n") } else { text }
    })
}

proptest! {
    #[test]
    fn a_change_changes_that_and_keeps_every_comment(text in shapes(), pick in 0usize..6) {
        let what = [
            except("10.9.9.9/32", "443", Protocol::Tcp),
            take("10.0.0.1/32", "443", Protocol::Any),
            take("git.corp.lan", "1-65535", Protocol::Tcp),
            take("10.0.0.0/8", "1-65535", Protocol::Any),
            except("*.corp.lan", "1-2", Protocol::Udp),
            take("git.corp.lan", "443", Protocol::Any),
        ][pick].clone();
        let path = Path::new("/etc/rcc/config.toml");
        let profile: ProfileName = "work".parse().unwrap();
        let document = Document { path: path.to_owned(), text: text.clone() };
        prop_assume!(Admin::read(&document).is_ok());
        // That nothing else changed is `amended`'s own check; here it must not need to refuse.
        let amended = amended(path, &text, &profile, &what).unwrap();
        if let Some(amended) = amended {
            prop_assert!(super::amended(path, &amended.text, &profile, &what).unwrap().is_none());
            if !matches!(what, Change::Take { .. }) {
                let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                let after = words(&amended.text);
                for comment in text.lines().filter_map(|line| line.split_once('#').map(|(_, comment)| comment)) {
                    let word = words(comment);
                    prop_assert!(after.windows(word.len()).any(|some| some == word), "{comment} {}", amended.text);
                }
            }
        }
    }
}
