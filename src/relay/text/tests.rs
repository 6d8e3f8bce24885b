use super::*;
use crate::relay::name::ProjectName;
use proptest::prelude::*;
use std::path::Path;

const LIMIT: usize = 1 << 20;

fn cleaned(text: &str) -> String {
    let api: ProjectName = "api".parse().unwrap();
    let roots =
        Roots { root: Some(Path::new("/home/al/work/api")), project: Some(&api), home: Some(Path::new("/home/al")) };
    clean(text, Some(&roots), LIMIT).unwrap().text
}

fn with(root: &str, home: &str, text: &str) -> String {
    let roots = Roots { root: Some(Path::new(root)), project: None, home: Some(Path::new(home)) };
    clean(text, Some(&roots), LIMIT).unwrap().text
}

#[test]
fn what_acts_without_being_seen_is_seen() {
    for (text, shown) in [
        ("a\u{1b}]52;c;eA==\u{7}b", r"a\u{1b}]52;c;eA==\u{7}b"),
        ("\u{9b}2J\u{7f}\0", r"\u{9b}2J\u{7f}\u{0}"),
        ("one\r\ntwo\rthree\tfour\n", "one\ntwo\\u{d}three\tfour\n"),
        ("user\u{202e}txt.exe\u{2066}", r"user\u{202e}txt.exe\u{2066}"),
        ("zero\u{200b}\u{feff}\u{ad}width", r"zero\u{200b}\u{feff}\u{ad}width"),
        ("\u{e0069}\u{e006e}\u{e0100}", r"\u{e0069}\u{e006e}\u{e0100}"),
        ("a\u{2028}b\u{2029}c\u{85}", r"a\u{2028}b\u{2029}c\u{85}"),
        ("\u{2764}\u{fe0f} 1\u{fe0f}\u{20e3}", "\u{2764}\u{fe0f} 1\u{fe0f}\u{20e3}"),
        ("\u{2764}\u{fe0f}\u{fe01}\u{fe02} a\u{fe00}", "\u{2764}\u{fe0f}\\u{fe01}\\u{fe02} a\\u{fe00}"),
        ("Größe, 日本語, مرحبا, e\u{301}", "Größe, 日本語, مرحبا, e\u{301}"),
    ] {
        assert_eq!(cleaned(text), shown);
    }
    assert_eq!(clean("\u{1b}\u{202e}x", None, LIMIT).unwrap().escaped, 2);
}

#[test]
fn the_senders_own_places_read_as_paths_without_the_host() {
    for (text, shown) in [
        ("see /home/al/work/api/src/main.rs:3", "see [api]/src/main.rs:3"),
        ("/home/al/work/api", "[api]"),
        ("in /home/al/work/api.", "in [api]."),
        ("`/home/al/work/api2/x` \"/home/al/.ssh\"", "`~/work/api2/x` \"~/.ssh\""),
        ("/home/al/work/api.old/x", "~/work/api.old/x"),
        ("PATH=/home/al/bin:/usr/bin:/home/al", "PATH=~/bin:/usr/bin:~"),
        (
            "file:///home/al/x file://box/home/al/x vscode://file/home/al/x:3",
            "file://~/x file://box~/x vscode://file~/x:3",
        ),
        ("sqlite:////home/al/x.db", "sqlite://~/x.db"),
        ("?p=%2Fhome%2Fal%2Fwork%2Fapi%2fsrc", "?p=[api]%2fsrc"),
        ("file%3A%2F%2F%2Fhome%2Fal%2Fx", "file%3A~%2Fx"),
        (r#"{"p":"\/home\/al\/x\n/home/al/y"}"#, r#"{"p":"~\/x\n~/y"}"#),
        ("cc -I/home/al/include -isystem/home/al/x", "cc -I~/include -isystem~/x"),
        ("//home///al//x", "~//x"),
        ("\u{1b}[31m/home/al/x\u{1b}[0m", r"\u{1b}[31m~/x\u{1b}[0m"),
        ("\u{202a}/home/al/x", r"\u{202a}~/x"),
        ("在/home/al/x", "在~/x"),
    ] {
        assert_eq!(cleaned(text), shown);
    }
}

#[test]
fn other_users_and_rccs_own_places_are_masked() {
    for (text, shown) in [
        ("/home/alice/x /home/bob.", "[HOME]/x [HOME]."),
        ("/Users/bob/x,/root/.ssh;/root", "[HOME]/x,[HOME]/.ssh;[HOME]"),
        ("/var/home/bob@corp.example/x", "[HOME]/x"),
        ("/home/b%6fb/x", "[HOME]/x"),
        ("/home/bob./x", "[HOME]/x"),
        ("/run/user/1000/bus", "[RUN]/bus"),
        (
            "/run/rcc/1000/sessions /run/rcc-relay/relay.sock /var/lib/rcc-relay",
            "[RCC]/sessions [RCC]/relay.sock [RCC]",
        ),
        ("/home/bob/home/carol", "[HOME]/home/carol"),
    ] {
        assert_eq!(cleaned(text), shown);
    }
}

#[test]
fn what_tells_nothing_of_the_host_stays() {
    for text in [
        "src/home/al/x ./home/al ../root/x ~/x @/home/page.ts #/home/al **/home/al",
        "https://example.com/home/al http://home/al http://root/x",
        "/usr/bin/env /etc/passwd /tmp/x /rooted /root-x /root.d /homes/al",
        "/home /home/ /home/* /home/$USER /home/<name> /home/../etc /Users/",
        "/run/rcc/relay.sock /run/user/name /run/rcc-relayed /run/user/1000x",
        "$(pwd)/home/al ${x}/home/al 1/home/al",
        "and/or 50% a\\b %2 %zz",
    ] {
        assert_eq!(cleaned(text), text);
    }
    assert_eq!(clean("/home/al", None, LIMIT).unwrap().text, "/home/al");
}

#[test]
fn a_place_of_the_senders_may_have_any_name() {
    assert_eq!(with("/Users/al/My Project", "/Users/al", "/Users/al/My%20Project/x"), "[PROJECT]/x");
    assert_eq!(with("/srv/größe", "/", "/srv/größe/x /srv/gr%C3%B6%C3%9Fe /etc"), "[PROJECT]/x [PROJECT] /etc");
    assert_eq!(with("/", "relative", "/etc relative"), "/etc relative");
    assert_eq!(with("/home/al", "/home/al", "/home/al/x"), "[PROJECT]/x");
    assert_eq!(with("/srv/../x", "/root", "/srv/../x /root/y"), "/srv/../x ~/y");
    // What a mask could make is not looked for.
    assert_eq!(with("/p ~", "/home/al", "/p /home/al"), "/p ~");
}

#[test]
fn a_text_has_a_limit_before_and_after() {
    assert_eq!(clean("12345", None, 4), Err(TooLong { limit: 4 }));
    assert_eq!(clean("\u{1b}", None, 5), Err(TooLong { limit: 5 }));
    assert_eq!(clean("\u{1b}", None, 6).unwrap().text.len(), 6);
    let name = "a".repeat(64).parse().unwrap();
    let roots = Roots { root: Some(Path::new("/x")), project: Some(&name), home: None };
    assert_eq!(clean("/x /x", Some(&roots), 100), Err(TooLong { limit: 100 }));
}

#[test]
fn no_text_takes_long() {
    let roots = Roots { root: Some(Path::new("/a /a /a /b")), project: None, home: Some(Path::new("/////a/a/a")) };
    for piece in
        ["/", "%2F", "\\/", "://", "/home/", "/a ", "-", "\\u{1b}", ".", "/home/al.", "%2", "file://a", "m", "[1;"]
    {
        let text = piece.repeat((256 << 10) / piece.len());
        let begun = std::time::Instant::now();
        clean(&text, Some(&roots), LIMIT).unwrap();
        // Tens of milliseconds without optimisation; what is quadratic takes minutes.
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{piece:?} took {:?}", begun.elapsed());
    }
}

#[test]
fn a_quoted_text_stays_in_its_quotes() {
    assert_eq!(quoted("one\ntwo\n"), "> one\n> two\n> ");
    assert_eq!(quoted(""), "> ");
    assert_eq!(quoted("a\r\u{2028}\u{1b}b"), r"> a\u{d}\u{2028}\u{1b}b");
}

#[test]
fn a_line_of_a_list_is_as_wide_as_its_column() {
    for (text, width, shown) in [
        ("one\n two\tthree", 40, "one two three"),
        ("one two", 7, "one two"),
        ("one two", 6, "one t…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("\u{1b}[1m", 40, r"\u{1b}[1m"),
        ("anything", 1, "…"),
        (&format!("e{}", "\u{301}".repeat(100)), 2, &format!("e{}…", "\u{301}".repeat(14))),
        ("anything", 0, ""),
        ("", 5, ""),
    ] {
        assert_eq!(one_line(text, width), shown);
    }
}

/// Texts of what paths and masks are made of.
fn texts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/", "//", "%2F", "\\/", "home", "al", "work", "api", "root", "run", "user", "1000", "Users", "rcc", "~", "[",
        "]", " ", ".", "..", ":", "://", "file", "-I", "-", "%20", "%3A", "%", "2", "F", "\\", "n", "\n", "\r",
        "\u{1b}", "[1m", "m", "}", "{", "\\u{1b}", "é", "日", "\u{fe0f}", "\u{200b}", "\u{2764}", "[HOME]", "[api]",
        "@", "x", "p ",
    ]);
    prop_oneof![
        4 => prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

fn places() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "home", "al", "work", "api", "p ", "~", "[x]", "x ~", "x [", "a~b", "-I~", "é", "m", "file:", "a%2Fb", ".x",
    ]);
    prop::collection::vec(parts, 0..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_clean_stays_as_it_is(text in texts(), root in places(), home in places()) {
        let roots = Roots { root: Some(Path::new(&root)), project: None, home: Some(Path::new(&home)) };
        let once = clean(&text, Some(&roots), LIMIT).unwrap();
        let again = clean(&once.text, Some(&roots), LIMIT).unwrap();
        prop_assert_eq!(&again, &Cleaned { text: once.text.clone(), escaped: 0, masked: 0 });
        prop_assert!(!once.text.contains(|c| crate::shown::is_unseen(c) && !matches!(c, '\n' | '\t')));
    }

    #[test]
    fn a_home_is_found_wherever_it_stands_alone(before in "[ \"'(=:,;|<>]", after in "[ \"')/:,;|<>\n]") {
        let shown = cleaned(&[&before, "/home/al", &after, " ", &before, "/home/somebody", &after].concat());
        let told = shown.contains("/home/al") || shown.contains("somebody");
        prop_assert!(!told, "{}", shown);
    }

    #[test]
    fn every_line_of_a_quoted_text_is_quoted(text in any::<String>()) {
        const ENDS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];
        let quoted = quoted(&text);
        prop_assert!(quoted.split(ENDS).all(|line| line.starts_with("> ")));
    }

    #[test]
    fn a_line_is_never_wider_than_its_column(text in texts(), width in 0_usize..30) {
        let line = one_line(&text, width);
        prop_assert!(textwrap::core::display_width(&line) <= width && !line.contains(['\n', '\r', '\t']));
        prop_assert!(line.len() <= width * COLUMN_MAX);
    }
}
