//! The words of a command: `pr create`.

use std::fmt;
use std::str::FromStr;

/// Words of one command.
const WORDS_MAX: usize = 4;
/// Bytes of a word.
const WORD_MAX: usize = 64;

/// The words of a command. Where a set of commands is meant, the last one may be `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command(pub(super) Vec<String>);

/// Not the words of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a command is 1 to {WORDS_MAX} words with a space between them, like \"pr create\"; no option, and `*` as the last \
     word stands for any"
)]
pub struct BadCommand;

impl FromStr for Command {
    type Err = BadCommand;

    fn from_str(text: &str) -> Result<Self, BadCommand> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let plain = |word: &String| {
            let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+@/".contains(&byte);
            (1..=WORD_MAX).contains(&word.len()) && !word.starts_with('-') && word.bytes().all(of_names)
        };
        let (last, before) = words.split_last().ok_or(BadCommand)?;
        let star = last == "*" && !before.is_empty();
        let good = words.len() <= WORDS_MAX && before.iter().all(plain) && (star || plain(last));
        if good { Ok(Self(words)) } else { Err(BadCommand) }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl Command {
    /// Whether this is that command, or stands for it.
    pub(super) fn covers(&self, command: &Self) -> bool {
        match self.0.split_last() {
            Some((star, group)) if star == "*" => command.0.len() > group.len() && command.0.starts_with(group),
            _ => self == command,
        }
    }

    /// Whether the tool could take the command for this or for one that begins so. Tools differ in case and dashes
    /// (npm reads `distTag` as `dist-tag`), and some complete a name (`abbreviated`).
    pub(super) fn could_be(&self, command: &Self, abbreviated: bool) -> bool {
        let own: Vec<&String> = self.0.iter().filter(|word| *word != "*").collect();
        let alike = |own: &str, given: &str| {
            let (own, given) = (plain(own), plain(given));
            own == given || (abbreviated && !given.is_empty() && own.starts_with(&given))
        };
        // Of a group that is spelt in another way, the next word was not read as a part of the command.
        let whole = command.0.len() >= own.len() || own.iter().zip(&command.0).any(|(own, given)| *own != given);
        whole && own.iter().zip(&command.0).all(|(own, given)| alike(own, given))
    }

    /// Each command of which this one's next word is a part.
    pub fn groups(&self) -> impl Iterator<Item = Self> {
        (1..self.0.len()).map(|length| Self(self.0[..length].to_vec()))
    }

    /// Whether it stands for several.
    pub fn is_several(&self) -> bool {
        self.0.last().is_some_and(|word| word == "*")
    }
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}
