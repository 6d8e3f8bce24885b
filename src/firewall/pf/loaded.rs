//! What pf says is loaded: the output of pfctl(8), reduced to what we ask of it.

use super::{ANCHOR, Label};
use ipnet::IpNet;

/// Our anchor as `pfctl -a rcc -s rules` lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    labels: Vec<Option<Label>>,
    /// Where the packets come from that its rules are about: the sandboxes' networks.
    pub sources: Vec<IpNet>,
}

impl Loaded {
    /// Reads the list.
    pub fn parse(text: &str) -> Self {
        let lines = || text.lines().filter(|line| !line.trim().is_empty());
        let label = |line: &str| line.split_once(" label \"")?.1.split_once('"').and_then(|(it, _)| Label::parse(it));
        let source = |line: &str| after(line, "from").and_then(|word| word.parse().ok());
        let mut sources: Vec<IpNet> = lines().filter_map(source).collect();
        sources.sort_unstable();
        sources.dedup();
        Self { labels: lines().map(label).collect(), sources }
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The label, if each of the rules has it and none is missing.
    pub fn label(&self) -> Option<&Label> {
        let label = self.labels.first()?.as_ref()?;
        let whole = self.labels.len() == label.rules() && self.labels.iter().all(|it| it.as_ref() == Some(label));
        whole.then_some(label)
    }

    /// The label of any rule.
    pub fn any_label(&self) -> Option<&Label> {
        self.labels.iter().flatten().next()
    }
}

fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.split_ascii_whitespace().skip_while(|it| *it != word).nth(1)
}

/// How the main ruleset refers to our anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// Not at all: no packet meets our rules.
    Absent,
    /// Before every other rule.
    First,
    /// After others: what one of them passes or blocks with `quick` does not meet our rules.
    Behind,
}

impl Reference {
    /// Reads what `pfctl -s rules` lists.
    pub fn parse(text: &str) -> Self {
        let filters = ["anchor", "pass", "block"];
        let rules = text.lines().filter(|line| filters.contains(&line.split(' ').next().unwrap_or_default()));
        let ours = format!("anchor \"{ANCHOR}\" all");
        match rules.map(str::trim_end).position(|line| line == ours) {
            None => Self::Absent,
            Some(0) => Self::First,
            Some(_) => Self::Behind,
        }
    }
}

/// The token that `pfctl -E` prints: `Token : 18446744073709551615`.
pub fn token(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.trim().strip_prefix("Token")?.trim_start().strip_prefix(':')?.trim().parse().ok())
}

/// Whether `pfctl -s References` lists the token. The program's name in the list is whatever its
/// process called itself, so only the columns after it count: the token and its age.
pub fn holds(text: &str, token: u64) -> bool {
    let token = token.to_string();
    text.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words.iter().skip(2).any(|word| *word == token)
    })
}
