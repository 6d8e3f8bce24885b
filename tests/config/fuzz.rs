//! No text and no bytes make the reader panic, overflow the stack or steer the terminal.

use crate::world::{World, render, says};
use proptest::prelude::*;
use rcc::config::{self, Kind};

fn every_kind(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file\u{1b}[2J");
    std::fs::write(&path, bytes).unwrap();
    for kind in [Kind::Admin, Kind::User, Kind::Project] {
        if let Err(error) = config::check(&path, kind, dir.path()) {
            let printed = render(&error);
            let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!printed.contains(steers), "{printed:?}");
        }
    }
}

/// Pieces of real files, so that the reader gets past the parser.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "users",
        "profiles.work.allow",
        "network",
        "limits.memory",
        "exclude",
        "mounts",
        "profiles.work.names",
        "groups.own.names",
        "relay.allow",
        "relay.cluster.servers",
        "[relay.groups]\n",
        "from",
        "kinds",
        "\"project:~/x\"",
        "\"tls://[::1]:1\"",
        "\"30d\"",
        "default",
        "[profiles.x]\n",
        "[[mounts]]\n",
        "environment.set",
        "ports",
        "address",
        " = ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\n",
        "\"",
        "\"10.0.0.0/8\"",
        "443",
        "\"8GiB\"",
        "'",
        "\"\"\"",
        ".",
        "#",
        "true",
        "1e400",
        "-0",
        "\u{1b}",
        "\u{202e}",
        "\0",
        "ä",
        "\r\n",
        "\\u001b",
        "\"\\u001b]0;x\\u0007\"",
        "0x7fffffffffffffffffff",
        "1979-05-27",
        "!",
        "..",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in any::<String>()) {
        every_kind(text.as_bytes());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        every_kind(&bytes);
    }

    #[test]
    fn nearly_a_file(text in pieces()) {
        every_kind(text.as_bytes());
    }

    #[test]
    fn any_string_as_a_value(value in any::<String>()) {
        let quoted = serde_json::to_string(&value).unwrap().replace('\u{7f}', "\\u007f");
        every_kind(format!("exclude = [{quoted}]\nprofile = {quoted}\nlimits.memory = {quoted}\nusers = [{quoted}]\n\
            profiles.a.allow = [{{ address = {quoted}, domain = {quoted}, ports = [{quoted}] }}]\n\
            profiles.a.names = [{quoted}, {{ name = {quoted} }}]\nprofiles.a.groups = [{quoted}]\n\
            groups.{quoted}.names = [{quoted}]\n{quoted} = 1").as_bytes());
    }
}

#[test]
fn deep_nesting_is_refused_before_it_overflows_the_stack() {
    let keys = vec!["a"; 79].join(".");
    let bombs = [
        format!("[{keys}]\n{keys}={}1{}", format!("{{{keys}=").repeat(79), "}".repeat(79)),
        format!("a={}1{}", "[".repeat(50_000), "]".repeat(50_000)),
        format!("{}=1", vec!["a"; 50_000].join(".")),
        format!("{} = 1", vec!["\"a.b\""; 20_000].join(" . ")),
    ];
    for bomb in bombs {
        says(&World::new().project(bomb).refused(), &["nested too deeply"]);
    }
    // Brackets that close nothing don't hide what opens; whatever the parser makes of it, it ends.
    every_kind(format!("a={}", "{a=[]]".repeat(20_000)).as_bytes());
    every_kind(format!("a={}", format!("{{{}=]", ["a"; 11].join(".")).repeat(5_000)).as_bytes());
}

#[test]
fn a_hundred_thousand_exceptions_are_read() {
    let mut text = String::from("[profiles.work]\nallow = [\n");
    for i in 0..100_000_u32 {
        let [_, b, c, d] = i.to_be_bytes();
        text += &format!("  {{ address = \"10.{b}.{c}.{d}\", ports = [443, \"8000-8100\"], protocol = \"tcp\" }},\n");
    }
    let loaded = World::new().admin(text + "]\n").user("profile = \"work\"").project("profile = \"work\"").loaded();
    assert_eq!(loaded.admin.profiles[2].exceptions.len(), 100_000);
}
