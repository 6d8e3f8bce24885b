//! What is shown while something is pulled or built: bars on a terminal, else a line for each step.

use crate::{output, shown};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most parts that have a bar, or a last word that is remembered: an image has a hundred layers at most, and says
/// itself how many.
const PARTS_MAX: usize = 256;
/// The longest word, in characters.
const WORD_MAX: usize = 200;
const TICK: Duration = Duration::from_millis(120);

/// One word of an engine about what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// About which part, a layer mostly; the whole if empty.
    pub part: String,
    /// What is done.
    pub status: String,
    /// How many octets are done, of how many.
    pub amount: Option<(u64, Option<u64>)>,
}

/// Where it is shown.
#[derive(Debug)]
pub enum Progress {
    /// Nowhere.
    Quiet,
    /// On standard error, line by line.
    Lines(Lines),
    /// On a terminal.
    Bars(Bars),
}

impl Progress {
    /// `terminal` is whether standard error is one.
    pub fn new(quiet: bool, terminal: bool) -> Self {
        match (quiet, terminal) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bars(Bars::default()),
            (false, false) => Self::Lines(Lines::default()),
        }
    }

    /// Shows it.
    pub fn tell(&mut self, told: &Told) {
        match self {
            Self::Quiet => {}
            Self::Lines(lines) => lines.of(told).iter().for_each(output::tell_line),
            Self::Bars(bars) => bars.show(told),
        }
    }

    /// A word of rcc's own.
    pub fn say(&mut self, status: &str) {
        self.tell(&Told { status: status.to_owned(), ..Told::default() });
    }
}

/// The last word about each part.
#[derive(Debug, Default)]
pub struct Lines(BTreeMap<String, String>);

impl Lines {
    /// What is new, as lines: amounts alone are not.
    fn of(&mut self, told: &Told) -> Vec<String> {
        let part = word(&told.part);
        if matches!(told.amount, Some((_, None))) {
            return Vec::new();
        }
        let mut new = Vec::new();
        for status in told.status.lines().map(word).filter(|status| !status.is_empty()) {
            if self.0.get(&part) == Some(&status) {
                continue;
            }
            new.push(if part.is_empty() { status.clone() } else { format!("{part}: {status}") });
            if self.0.len() < PARTS_MAX || self.0.contains_key(&part) {
                self.0.insert(part.clone(), status);
            }
        }
        new
    }
}

/// A bar for each part.
#[derive(Debug, Default)]
pub struct Bars {
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn show(&mut self, told: &Told) {
        let part = word(&told.part);
        if !self.bars.contains_key(&part) && self.bars.len() >= PARTS_MAX {
            return;
        }
        let all = &self.all;
        let bar = self.bars.entry(part).or_insert_with_key(|part| {
            let bar = all.add(ProgressBar::new_spinner());
            bar.set_prefix(part.clone());
            bar.enable_steady_tick(TICK);
            bar
        });
        let template = match told.amount {
            Some((_, Some(_))) => "{prefix:>14} {wide_bar} {bytes}/{total_bytes} {msg:!24}",
            Some((_, None)) => "{prefix:>14} {spinner} {bytes} {wide_msg}",
            None => "{prefix:>14} {spinner} {wide_msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if let Some((done, total)) = told.amount {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
        if let Some(status) = told.status.lines().map(word).rfind(|status| !status.is_empty()) {
            bar.set_message(status);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // What comes now stands where they were.
        self.bars.values().for_each(ProgressBar::finish_and_clear);
    }
}

fn word(text: &str) -> String {
    shown::text(text.trim().chars().take(WORD_MAX).collect::<String>().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(part: &str, status: &str, amount: Option<(u64, Option<u64>)>) -> Told {
        Told { part: part.to_owned(), status: status.to_owned(), amount }
    }

    #[test]
    fn without_a_terminal_each_step_is_a_line_and_amounts_are_none() {
        let mut lines = Lines::default();
        let of = |told: Told, lines: &mut Lines| lines.of(&told).join("\n");
        assert_eq!(of(told("3a5f", "Downloading", Some((1, Some(9)))), &mut lines), "3a5f: Downloading");
        assert_eq!(of(told("3a5f", "Downloading", Some((5, Some(9)))), &mut lines), "");
        assert_eq!(of(told("3a5f", "Download complete", None), &mut lines), "3a5f: Download complete");
        assert_eq!(of(told("", "STEP 1\n\nSTEP 2\n", None), &mut lines), "STEP 1\nSTEP 2");
    }

    #[test]
    fn what_a_registry_says_cannot_act_or_go_on_for_ever() {
        let mut lines = Lines::default();
        let line = lines.of(&told("\u{1b}[2J", &"\u{7}x".repeat(1000), None)).join("");
        assert!(line.len() < 4000 && !line.chars().any(char::is_control), "{line:?}");
        for part in 0..2 * PARTS_MAX {
            lines.of(&told(&part.to_string(), "Waiting", None));
        }
        assert_eq!(lines.0.len(), PARTS_MAX);
    }

    #[test]
    fn quiet_is_quiet_on_a_terminal_as_well() {
        assert!(matches!(Progress::new(true, true), Progress::Quiet));
        assert!(matches!(Progress::new(false, false), Progress::Lines(_)));
    }
}
