//! What the text of a message goes through before it is stored, and how it is put before a reader.
//!
//! A sandboxed agent writes it, so it is hostile: to terminals (escape sequences), to people (characters that
//! nobody sees), to other agents (text that looks as if it stood outside of the message). And an honest agent
//! tells more than it means to: paths name the host's users.

mod paths;
#[cfg(test)]
mod tests;

pub use paths::Roots;

use crate::shown::is_unseen;

/// A text as it may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// The text.
    pub text: String,
    /// Characters that are escaped in it.
    pub escaped: u32,
    /// Paths that are masked in it.
    pub masked: u32,
}

/// A text is longer than allowed, as it came or with its characters escaped and its paths masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message's text has at most {limit} bytes, unseen characters count as they are escaped: send less at once")]
pub struct TooLong {
    /// Bytes.
    pub limit: usize,
}

/// Escapes what is not seen, and masks the host's paths; without `roots` these stay. What is clean stays as it
/// is. Takes time in proportion to the text.
///
/// # Errors
/// If the text or what becomes of it has more than `limit` bytes.
pub fn clean(text: &str, roots: Option<&Roots<'_>>, limit: usize) -> Result<Cleaned, TooLong> {
    let (text, escaped) = escape(text, limit)?;
    let (text, masked) = match roots {
        Some(roots) => paths::mask(text, roots, limit)?,
        None => (text, 0),
    };
    Ok(Cleaned { text, escaped, masked })
}

/// Escapes what is not seen as `\u{1b}`. Lines end with LF alone, and tabulators stay.
fn escape(text: &str, limit: usize) -> Result<(String, u32), TooLong> {
    if text.len() > limit {
        return Err(TooLong { limit });
    }
    let mut out = String::with_capacity(text.len());
    let (mut escaped, mut before) = (0, None);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        if (is_unseen(c) && !matches!(c, '\n' | '\t')) || (is_selector(c) && !before.is_some_and(takes_selector)) {
            out.extend(c.escape_unicode());
            escaped += 1;
        } else {
            out.push(c);
        }
        if out.len() > limit {
            return Err(TooLong { limit });
        }
        before = Some(c);
    }
    Ok((out, escaped))
}

/// Variation selectors (Unicode 23.4). One of them after an emoji tells how that looks; a row of them, or one
/// after what has no variants, is a way to carry bytes that nobody sees.
fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}')
}

fn takes_selector(before: char) -> bool {
    // `1`, `#` and `*` are the bases of keycaps, and a masked path ends with `~` or `]`: what stays after the
    // path has to stay after its mask.
    let base = !before.is_ascii() || before.is_ascii_digit() || matches!(before, '#' | '*' | '~' | ']');
    base && !is_selector(before) && !is_unseen(before) && !before.is_whitespace()
}

/// Every line with `> ` in front, so that no text can look like something outside of it.
pub fn quoted(text: &str) -> String {
    // Whatever else ends a line somewhere is not seen, and escaped.
    let mut out = String::with_capacity(text.len() + 2);
    for (at, line) in text.split('\n').enumerate() {
        out.push_str(if at == 0 { "> " } else { "\n> " });
        for c in line.chars() {
            if is_unseen(c) && c != '\t' { out.extend(c.escape_unicode()) } else { out.push(c) }
        }
    }
    out
}

/// Bytes that a column of [`one_line`] takes at most: what is written with several accents to a letter takes as
/// many; hundreds of them take no column either.
const COLUMN_MAX: usize = 16;

/// One line of a list on a terminal, of at most `width` columns and 16 bytes for each; `…` stands for the rest.
/// White space is one space. A long text is read no further than it is shown.
pub fn one_line(text: &str, width: usize) -> String {
    let mut line = Line { text: String::new(), width, columns: 0, fits: 0 };
    for word in text.split_whitespace() {
        let space = (!line.text.is_empty()).then_some(' ');
        if !space.into_iter().chain(word.chars()).all(|c| line.push(c)) {
            line.text.truncate(line.fits);
            line.text.push_str(if width == 0 { "" } else { "…" });
            break;
        }
    }
    line.text
}

/// What [`one_line`] has so far.
struct Line {
    text: String,
    width: usize,
    columns: usize,
    /// How much of the text is left if `…` has to follow.
    fits: usize,
}

impl Line {
    /// Whether there is room for it.
    fn push(&mut self, c: char) -> bool {
        let begin = self.text.len();
        if is_unseen(c) {
            self.text.extend(c.escape_unicode())
        } else {
            self.text.push(c)
        }
        // Most of a text; the rest is looked up.
        let plain = c == ' ' || c.is_ascii_graphic();
        self.columns += if plain { 1 } else { textwrap::core::display_width(&self.text[begin..]) };
        let room = self.width * COLUMN_MAX;
        if self.columns < self.width && self.text.len() + '…'.len_utf8() <= room {
            self.fits = self.text.len();
        }
        self.columns <= self.width && self.text.len() <= room
    }
}
