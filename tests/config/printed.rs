//! Errors as they are printed.

use crate::world::{World, says};

#[test]
fn host_bits() {
    let world = World::new().admin("[profiles.work]\nallow = [\n  { address = \"10.1.2.3/8\", ports = [443] },\n]\n");
    assert_eq!(world.refused(), include_str!("printed/host_bits.txt"));
}

#[test]
fn an_unknown_key() {
    let world = World::new().user("exclud = [\"x\"]\n");
    assert_eq!(world.refused(), include_str!("printed/an_unknown_key.txt"));
}

#[test]
fn a_projects_attempt_to_widen() {
    let world = World::new().project("# tighten\n[environment]\npass = [\"TOKEN\"]\n");
    assert_eq!(world.refused(), include_str!("printed/a_projects_attempt_to_widen.txt"));
}

#[test]
fn a_duplicate_key() {
    let world = World::new().admin("users = [1]\nlimits.pids = 10\nusers = [2]\n");
    assert_eq!(world.refused(), include_str!("printed/a_duplicate_key.txt"));
}

#[test]
fn an_agents_escape_sequences_do_not_reach_the_terminal() {
    // Clears the screen, sets the title, fills the clipboard (OSC 52), reorders text, as raw
    // bytes, by TOML's escapes, in keys, in values, in comments, before and after the mistake.
    let raw = "\x1b[2J\x1b]0;t\x07\x1b]52;c;cm0gLXJmIH4=\x07\u{9b}31m\u{202e}\u{200b}\r";
    let escaped = r"\u001b]52;c;cm0gLXJmIH4=\u0007\u009b\u202e";
    for text in [
        format!("# {raw}\nmounts = 1 # {raw}\n# {raw}"),
        format!("\"{escaped}\" = 1"),
        format!("exclude = [\"!{escaped}\"]"),
        format!("exclude = [\"{escaped}\"]"),
        format!("profile = \"{escaped}\""),
        format!("limits.memory = \"{escaped}\""),
        format!("limits.\"{escaped}\" = 1"),
        format!("profile = '{raw}'"),
        raw.to_owned(),
        format!("a = {raw}"),
    ] {
        let printed = World::new().project(&text).refused();
        says(&printed, &[".rcc.toml"]);
        let steers = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{200b}');
        assert!(!printed.contains(steers), "{text:?} prints {printed:?}");
    }
}
