//! Requirements as a table. Pure.

use super::requirement::{Requirement, Verdict};
use std::fmt::Write;

/// Whether to colour a terminal's output; <https://no-color.org>.
pub fn wants_colour(is_terminal: bool, no_color: Option<&str>, term: Option<&str>) -> bool {
    is_terminal && no_color.is_none_or(str::is_empty) && term != Some("dumb")
}

/// One aligned line for each requirement; below what is not ok, what it is for and what mends it.
pub fn table(requirements: &[Requirement], colour: bool) -> String {
    let width = requirements.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for it in requirements {
        let (word, code) = match it.verdict {
            Verdict::Ok => ("ok", 32),
            Verdict::Missing => ("missing", 31),
            Verdict::TooOld => ("too old", 31),
            Verdict::Degraded => ("degraded", 33),
        };
        let word = if colour { format!("\x1b[{code}m{word:<8}\x1b[0m") } else { format!("{word:<8}") };
        // Writing to a string can't fail.
        let _ = writeln!(text, "{word}  {:width$}  {}", it.name, printable(&it.state));
        if let Some(remedy) = &it.remedy {
            let _ = writeln!(text, "{:10}{:width$}  {}", "", "", it.why);
            let _ = writeln!(text, "{:10}{:width$}  mend: {}", "", "", printable(remedy));
        }
    }
    text
}

/// What other programs said must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::requirement::Mender;
    use super::*;

    fn requirement(name: &'static str, state: &str, verdict: Verdict, remedy: Option<&str>) -> Requirement {
        let (state, remedy) = (state.to_owned(), remedy.map(str::to_owned));
        Requirement { name, why: "a reason", state, verdict, remedy, need: None, mender: Mender::Person }
    }

    #[test]
    fn columns_align_and_remedies_follow() {
        let found = [
            requirement("nft", "1.0.6", Verdict::Ok, None),
            requirement("longer", "absent", Verdict::TooOld, Some("do it")),
        ];
        let expected = "\
ok        nft     1.0.6
too old   longer  absent
                  a reason
                  mend: do it
";
        assert_eq!(table(&found, false), expected);
        assert!(table(&found, true).starts_with("\x1b[32mok      \x1b[0m  nft"));
    }

    #[test]
    fn control_characters_of_other_programs_do_not_reach_the_terminal() {
        let found = [requirement("nft", "\x1b]52;c;x\x07\u{9b}", Verdict::Ok, None)];
        assert!(!table(&found, false).trim_end().chars().any(char::is_control));
    }

    #[test]
    fn colours_are_for_terminals_whose_user_wants_them() {
        assert!(wants_colour(true, None, Some("xterm")));
        assert!(wants_colour(true, Some(""), None));
        assert!(!wants_colour(true, Some("1"), Some("xterm")));
        assert!(!wants_colour(true, None, Some("dumb")));
        assert!(!wants_colour(false, None, Some("xterm")));
    }
}
