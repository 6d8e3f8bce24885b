//! One mistake in a configuration file, shown with the line that holds it.
//!
//! A project's file may be written by the agent, so everything that is quoted from a file goes
//! through [`printable`]: no byte of it reaches the terminal as a control sequence.

use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents,
};
use std::borrow::Cow;
use std::fmt::{self, Display, Write};
use std::ops::Range;
use std::path::PathBuf;

/// The text of a configuration file and where it came from.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// Where the text was read.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

impl Document {
    /// The line of a byte offset, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count()
    }
}

/// The lines of a text, for many offsets in it.
pub(super) struct LineIndex(Vec<usize>);

impl LineIndex {
    pub(super) fn new(document: &Document) -> Self {
        let newline = |(at, byte): (usize, u8)| (byte == b'\n').then_some(at);
        Self(document.text.bytes().enumerate().filter_map(newline).collect())
    }

    /// As [`Document::line`].
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|newline| *newline < offset)
    }
}

/// A mistake or a warning. Displays as `key: what is wrong`, and as a [`Diagnostic`] also shows
/// the line and says what is allowed.
#[derive(Clone, Debug)]
pub struct Problem {
    key: String,
    message: String,
    allowed: String,
    severity: Severity,
    excerpt: Excerpt,
}

impl Problem {
    /// `key` is the path of the key, empty for the file as a whole; `allowed` says what to write instead.
    pub(super) fn new(
        document: &Document,
        span: Range<usize>,
        key: impl Display,
        message: impl Display,
        allowed: impl Display,
    ) -> Self {
        Self {
            key: printable(&key.to_string()).into_owned(),
            message: printable(&message.to_string()).into_owned(),
            allowed: printable(&allowed.to_string()).into_owned(),
            severity: Severity::Error,
            excerpt: Excerpt::new(document, span),
        }
    }

    /// The same as something to know, not to refuse.
    pub(super) fn into_warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The path of the key, like `profiles.work.allow[3].ports`; empty for the file as a whole.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The line of the mistake, counted from 1.
    pub fn line(&self) -> usize {
        self.excerpt.line
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.key, self.message) }
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        (!self.allowed.is_empty()).then(|| Box::new(&self.allowed) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.excerpt)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, self.excerpt.marked))))
    }
}

/// Bytes of a line that are shown on either side of the marked part.
const AROUND: usize = 60;
/// Bytes of the marked part that are shown.
const MARKED: usize = 80;

/// The marked line with its neighbours, escaped, so that a problem neither keeps a file of
/// megabytes nor prints one.
#[derive(Clone, Debug)]
struct Excerpt {
    file: String,
    text: String,
    /// Where the marked part lies in `text`.
    marked: SourceSpan,
    /// Line of the marked part in the file, from 1.
    line: usize,
    /// Column of the marked part in its line of the file, in characters from 0.
    column: usize,
    /// Lines of `text` before the marked one.
    before: usize,
}

impl Excerpt {
    fn new(document: &Document, span: Range<usize>) -> Self {
        let text = document.text.as_str();
        let start = char_floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = char_floor(text, span.end.clamp(start, line_end.min(start + MARKED)));
        let head = char_floor(text, line_start.max(start.saturating_sub(AROUND)));
        let tail = char_floor(text, line_end.min(end + AROUND));

        let mut shown = String::new();
        let before = usize::from(line_start > 0);
        if line_start > 0 {
            let previous = text[..line_start - 1].rfind('\n').map_or(0, |newline| newline + 1);
            shown.push_str(&neighbour(&text[previous..line_start - 1]));
            shown.push('\n');
        }
        if head > line_start {
            shown.push('…');
        }
        shown.push_str(&printable(&text[head..start]));
        let offset = shown.len();
        shown.push_str(&printable(&text[start..end]));
        let marked = SourceSpan::from(offset..shown.len());
        shown.push_str(&printable(text[end..tail].trim_end_matches('\r')));
        if tail < line_end {
            shown.push('…');
        }
        shown.push('\n');
        if line_end + 1 < text.len() {
            let next = &text[line_end + 1..];
            shown.push_str(&neighbour(&next[..next.find('\n').unwrap_or(next.len())]));
            shown.push('\n');
        }
        let column = text[line_start..start].chars().count();
        let file = printable(&document.path.to_string_lossy()).into_owned();
        Self { file, text: shown, marked, line: document.line(start), column, before }
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.as_str().read_span(span, lines_before, lines_after)?;
        let line = self.line - 1 - self.before + inner.line();
        // The renderer asks without context only to learn the position for its heading.
        let column = if lines_before == 0 && *span == self.marked { self.column } else { inner.column() };
        let (data, span, count) = (inner.data(), *inner.span(), inner.line_count());
        Ok(Box::new(MietteSpanContents::new_named(self.file.clone(), data, span, line, column, count)))
    }
}

/// A line beside the marked one, shortened.
fn neighbour(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let end = char_floor(line, line.len().min(MARKED + AROUND));
    let more = if end < line.len() { "…" } else { "" };
    format!("{}{more}", printable(&line[..end]))
}

/// The last character boundary at or before `offset`.
pub(super) fn char_floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Escapes what a terminal would act on or would not show as it is: control characters, and
/// those that change the direction of text or have no width.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\t' => escaped.push(' '),
            hidden if is_hidden(hidden) => {
                let _ = write!(escaped, "{}", hidden.escape_unicode());
            }
            shown => escaped.push(shown),
        }
    }
    Cow::Owned(escaped)
}

/// Control characters (category Cc), and of the format characters (category Cf) and separators
/// of the Unicode Character Database those that have no width or steer bidirectional text.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_survives() {
        let hostile = "a\x1b]52;c;ZXZpbA==\x07b\u{9b}2J\u{202e}c\r\n\u{200b}";
        let safe = printable(hostile);
        assert!(!safe.chars().any(is_hidden), "{safe:?}");
        assert!(safe.contains("\\u{1b}]52;c;"), "{safe}");
        assert_eq!(printable("grün\tist"), "grün ist");
    }

    #[test]
    fn a_long_line_is_cut_around_the_mistake() {
        let text = format!("first\n{} = 1{}\nlast", "k".repeat(100_000), "x".repeat(100_000));
        let at = text.find('1').unwrap();
        let document = Document { path: "f".into(), text };
        let excerpt = Excerpt::new(&document, at..at + 1);
        assert!(excerpt.text.len() < 400, "{}", excerpt.text.len());
        assert_eq!((excerpt.line, excerpt.column), (2, 100_003));
        assert_eq!(&excerpt.text[excerpt.marked.offset()..][..excerpt.marked.len()], "1");
    }

    #[test]
    fn the_index_of_lines_says_what_counting_says() {
        let document = Document { path: "f".into(), text: "\na\r\n\nbc\n".into() };
        let index = LineIndex::new(&document);
        for offset in 0..12 {
            assert_eq!(index.line(offset), document.line(offset), "{offset}");
        }
    }

    #[test]
    fn spans_out_of_bounds_or_inside_a_character_are_clamped() {
        let document = Document { path: "f".into(), text: "äöü".into() };
        for start in 0..10 {
            for end in 0..10 {
                let excerpt = Excerpt::new(&document, start..end);
                assert!(excerpt.read_span(&excerpt.marked, 1, 1).is_ok(), "{start}..{end}");
            }
        }
    }
}
