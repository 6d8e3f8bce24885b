//! The one line of `/etc/pf.conf` that is ours: the reference to our anchor, for when the system
//! loads that file, which it does at boot. Pure.
//!
//! pf.conf(5) wants options, normalization, queueing, translation and filtering in this order, and
//! of filtering the first `quick` rule that matches decides: so the line stands before the first
//! other filter rule.

use super::ANCHOR;
use std::ops::Range;

/// Says whose line it is.
const MARK: &str = "# written by rcc init; rcc init --undo removes it";

/// Words that filter rules begin with (pf.conf(5), "GRAMMAR").
const FILTERS: [&[u8]; 4] = [b"anchor", b"antispoof", b"block", b"pass"];

/// The file can't be changed with certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// A quotation, a brace or a continued line is open at the end.
    #[error("a quotation mark, a brace or a continued line in it has no end")]
    Unclosed,
}

/// The line, with its end.
fn line() -> String {
    format!("anchor \"{ANCHOR}\" {MARK}\n")
}

/// The file with the reference before its first filter rule. A reference that somebody else wrote
/// stays, wherever it is. Nothing else changes, and doing it again changes nothing.
///
/// # Errors
/// If the structure of the file is not clear.
pub fn with_reference(text: &[u8]) -> Result<Vec<u8>, ConfError> {
    let text = without_reference(text)?;
    let statements = statements(&text)?;
    let rules = || statements.iter().filter(|statement| FILTERS.contains(&statement.word(&text)));
    if rules().any(|statement| statement.is_reference(&text)) {
        return Ok(text);
    }
    let at = rules().next().map_or(text.len(), |statement| statement.range.start);
    let (before, after) = text.split_at(at);
    let newline: &[u8] = if before.is_empty() || before.ends_with(b"\n") { b"" } else { b"\n" };
    Ok([before, newline, line().as_bytes(), after].concat())
}

/// The file without our line.
///
/// # Errors
/// If the structure of the file is not clear.
pub fn without_reference(text: &[u8]) -> Result<Vec<u8>, ConfError> {
    let ours = line();
    let (mut kept, mut from) = (Vec::with_capacity(text.len()), 0);
    for statement in statements(text)? {
        let bytes = &text[statement.range.clone()];
        // An editor may have dropped the end of the last line.
        if bytes == ours.as_bytes() || bytes == ours.trim_end().as_bytes() {
            kept.extend_from_slice(&text[from..statement.range.start]);
            from = statement.range.end;
        }
    }
    kept.extend_from_slice(&text[from..]);
    Ok(kept)
}

/// Whether the file refers to our anchor, by our line or by another.
pub fn refers(text: &[u8]) -> bool {
    let found = statements(text).unwrap_or_default();
    found.iter().any(|statement| statement.is_reference(text))
}

/// Whole lines that belong together: continued, or within braces or quotation marks.
struct Statement {
    range: Range<usize>,
}

impl Statement {
    fn content<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text[self.range.clone()].trim_ascii()
    }

    /// The word that it begins with; empty for comments and blank lines.
    fn word<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let content = self.content(text);
        let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let end = content.iter().position(|byte| !in_word(byte)).unwrap_or(content.len());
        // A macro may have the name of a rule.
        let is_macro = content[end..].trim_ascii_start().first() == Some(&b'=');
        if is_macro { &[] } else { &content[..end] }
    }

    /// Our anchor without conditions: `anchor "rcc"` and at most `all` and a comment.
    fn is_reference(&self, text: &[u8]) -> bool {
        let content = String::from_utf8_lossy(self.content(text));
        let rule = content.split('#').next().unwrap_or_default();
        let words: Vec<&str> = rule.split_ascii_whitespace().collect();
        let quoted = format!("\"{ANCHOR}\"");
        matches!(words[..], ["anchor", name] | ["anchor", name, "all"] if name == ANCHOR || name == quoted)
    }
}

/// Cuts the file as pfctl's lexer reads it: a backslash before the end of a line continues it, in
/// comments too; quotations by `"` or `'` may span lines, and know no escapes.
fn statements(text: &[u8]) -> Result<Vec<Statement>, ConfError> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let (mut quote, mut comment) = (None, false);
    for (at, &byte) in text.iter().enumerate() {
        let continued = at > 0 && text[at - 1] == b'\\' && quote.is_none();
        match (byte, quote) {
            (_, Some(mark)) if byte == mark => quote = None,
            (_, Some(_)) => {}
            (b'\n', None) if continued => {}
            (b'\n', None) => {
                comment = false;
                if depth == 0 {
                    found.push(Statement { range: start..at + 1 });
                    start = at + 1;
                }
            }
            _ if comment => {}
            (b'#', None) => comment = true,
            (b'"' | b'\'', None) => quote = Some(byte),
            (b'{', None) => depth += 1,
            (b'}', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let goes_on = text.ends_with(b"\\") || text.ends_with(b"\\\n");
    if depth > 0 || quote.is_some() || goes_on {
        return Err(ConfError::Unclosed);
    }
    if start < text.len() {
        found.push(Statement { range: start..text.len() });
    }
    Ok(found)
}

#[cfg(test)]
#[path = "conf_tests.rs"]
mod tests;
