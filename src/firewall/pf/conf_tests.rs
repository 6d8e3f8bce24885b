use super::*;
use proptest::prelude::*;

/// As macOS ships it, without its comments.
const STOCK: &str = "\
# Default PF configuration file.
scrub-anchor \"com.apple/*\"
nat-anchor \"com.apple/*\"
rdr-anchor \"com.apple/*\"
dummynet-anchor \"com.apple/*\"
anchor \"com.apple/*\"
load anchor \"com.apple\" from \"/etc/pf.anchors/com.apple\"
";

fn with(text: &str) -> String {
    String::from_utf8(with_reference(text.as_bytes()).unwrap()).unwrap()
}

fn without(text: &str) -> String {
    String::from_utf8(without_reference(text.as_bytes()).unwrap()).unwrap()
}

/// Where the line went: before this text.
fn goes_before(text: &str, rest: &str) {
    let at = text.len() - rest.len();
    assert_eq!(with(text), format!("{}{}{rest}", &text[..at], line()));
}

#[test]
fn the_line_comes_after_translation_and_before_the_first_filter_rule() {
    goes_before(STOCK, &STOCK[STOCK.find("anchor \"com.apple/*\"\nload").unwrap()..]);
    assert_eq!(without(&with(STOCK)), STOCK);
    assert_eq!(with(&with(STOCK)), with(STOCK));
    for (text, rest) in [
        ("set skip on lo0\npass all\nanchor x\n", "pass all\nanchor x\n"),
        ("nat on en0 from any to any -> (en0)\nblock all\n", "block all\n"),
        ("load anchor \"a\" from \"/f\"\nnat-anchor a\nantispoof for en0\n", "antispoof for en0\n"),
        ("\tanchor{\npass all\n}\n", "\tanchor{\npass all\n}\n"),
        ("pass = \"em0\"\nset skip on $pass\n", ""),
        ("", ""),
    ] {
        goes_before(text, rest);
        assert_eq!(without(&with(text)), text);
    }
}

#[test]
fn what_only_looks_like_a_filter_rule_is_none() {
    let nat = "anchor a\n";
    for text in [
        "# comment \\\nanchor \"evil\"\nanchor a\n",
        "rdr on en0 from any \\\n  to any \\\npass -> 1.2.3.4\nanchor a\n",
        "table <t> { 10.0.0.1,\nblock\n}\nanchor a\n",
        "x = \"\nanchor b\n\"\nanchor a\n",
        "x = 'it\"s\npass all\n'\nanchor a\n",
        "# it's { not\nanchor a\n",
    ] {
        goes_before(text, nat);
    }
}

#[test]
fn a_file_without_an_end_of_its_last_line_keeps_every_byte() {
    assert_eq!(with("set skip on lo0"), format!("set skip on lo0\n{}", line()));
    assert_eq!(with("anchor a"), format!("{}anchor a", line()));
}

#[test]
fn our_line_moves_back_to_the_front_and_somebody_elses_stays() {
    let moved = format!("anchor a\n{}block all\n", line());
    assert_eq!(with(&moved), format!("{}anchor a\nblock all\n", line()));
    for theirs in ["anchor a\nanchor \"rcc\"\n", "anchor rcc all # mine\n"] {
        assert_eq!(with(theirs), theirs);
        assert_eq!(without(theirs), theirs);
        assert!(refers(theirs.as_bytes()));
    }
    let conditional = "anchor \"rcc\" on en0\n";
    assert!(!refers(conditional.as_bytes()));
    goes_before(conditional, conditional);
}

#[test]
fn our_line_inside_something_else_is_not_ours() {
    let inside = format!("anchor a {{\n{}}}\n", line());
    assert_eq!(without(&inside), inside);
    assert!(!refers(inside.as_bytes()));
    let commented = format!("# \\\n{}", line());
    assert_eq!(without(&commented), commented);
}

#[test]
fn a_file_that_is_not_clear_is_refused() {
    for text in ["anchor a {\n", "x = \"abc\n", "table <t> { 'a\n}\n", "anchor a\\\n", "# x \\"] {
        assert_eq!(with_reference(text.as_bytes()), Err(ConfError::Unclosed), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_other_byte_stays_and_a_second_time_changes_nothing(
        text in proptest::collection::vec(prop_oneof![
            Just("anchor a"), Just("anchor \"rcc\""), Just("nat-anchor x"), Just("pass all"), Just("\n"), Just("\n"),
            Just("{"), Just("}"), Just("\\\n"), Just("#"), Just("\""), Just("'"), Just(" "), Just("\u{ff}"), Just("\0"),
        ], 0..30).prop_map(|words| words.concat()),
    ) {
        if let Ok(changed) = with_reference(text.as_bytes()) {
            prop_assert_eq!(&with_reference(&changed).unwrap(), &changed);
            let restored = without_reference(&changed).unwrap();
            let without_end = restored.strip_suffix(b"\n").unwrap_or(&restored);
            prop_assert!(restored == text.as_bytes() || without_end == text.as_bytes());
            prop_assert!(refers(&changed));
        }
    }
}
