//! Reads a TOML document key by key and collects every mistake in it, each with its place.

use super::problem::{Document, LineIndex, Problem, char_floor};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};
use std::ops::{Range, RangeInclusive};
use toml::de::{DeTable, DeValue};
use toml_parser::lexer::TokenKind;

/// Problems of one file that are kept; the rest is counted.
const PROBLEMS_KEPT: usize = 20;
/// Levels of arrays and inline tables, and parts of a dotted key. The parser allows 80 of each
/// inside each other, and building or dropping thousands of levels overflows the stack.
const NESTING_MAX: usize = 12;

/// A value of a file with the place where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sourced<T> {
    /// The checked value.
    pub value: T,
    /// Byte range in the [`Document`].
    pub span: Range<usize>,
}

/// Where the mistakes of one file are collected.
pub(super) struct Report<'d> {
    document: &'d Document,
    lines: LineIndex,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    omitted: Cell<usize>,
}

/// What is wrong in one file: at least one problem, and how many more there are.
#[derive(Debug)]
pub(super) struct Mistakes {
    pub problems: Vec<Problem>,
    pub omitted: usize,
}

impl<'d> Report<'d> {
    /// Parses the document, reads it with `read`, and returns what `read` made of it, with the
    /// warnings, or every mistake.
    pub(super) fn read<T>(
        document: &'d Document,
        read: impl FnOnce(&mut Table<'_, 'd>) -> T,
    ) -> Result<(T, Vec<Problem>), Mistakes> {
        let report = Self {
            document,
            lines: LineIndex::new(document),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            omitted: Cell::new(0),
        };
        let value = report.parse().map(|root| {
            let mut table = Table { map: root, known: Vec::new(), span: 0..0, path: Path::ROOT, report: &report };
            read(&mut table)
        });
        let problems = report.problems.into_inner();
        match value {
            Some(value) if problems.is_empty() => Ok((value, report.warnings.into_inner())),
            _ => Err(Mistakes { problems, omitted: report.omitted.get() }),
        }
    }

    fn parse(&self) -> Option<DeTable<'d>> {
        if let Some(span) = too_deep(&self.document.text) {
            let allowed = format!("at most {NESTING_MAX} levels of brackets or parts of a dotted key");
            self.error(&Path::ROOT, span, "nested too deeply", allowed);
            return None;
        }
        let (root, errors) = DeTable::parse_recoverable(&self.document.text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            self.error(&Path::ROOT, span, format_args!("not valid TOML: {}", error.message()), "");
        }
        errors.is_empty().then(|| root.into_inner())
    }

    fn error(&self, path: &Path<'_>, span: Range<usize>, message: impl Display, allowed: impl Display) {
        if self.problems.borrow().len() == PROBLEMS_KEPT {
            self.omitted.set(self.omitted.get() + 1);
        } else {
            let problem = Problem::new(self.document, span, path, message, allowed);
            self.problems.borrow_mut().push(problem);
        }
    }
}

/// The first token that nests deeper than [`NESTING_MAX`].
fn too_deep(text: &str) -> Option<Range<usize>> {
    let (mut depth, mut dots) = (0_usize, 0_usize);
    for token in toml_parser::Source::new(text).lex() {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth = depth.saturating_sub(1),
            TokenKind::Dot => dots += 1,
            TokenKind::Equals | TokenKind::Newline | TokenKind::Comma => dots = 0,
            _ => {}
        }
        if depth > NESTING_MAX || dots >= NESTING_MAX {
            return Some(token.span().start()..token.span().end());
        }
    }
    None
}

/// The path of a key, built backwards so that it costs nothing until it is printed.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    segment: Segment<'a>,
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl Path<'_> {
    const ROOT: Self = Self { parent: None, segment: Segment::Root };
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if matches!((parent.segment, self.segment), (Segment::Key(_) | Segment::Index(_), Segment::Key(_))) {
                f.write_str(".")?;
            }
        }
        match self.segment {
            Segment::Root => Ok(()),
            Segment::Key(key) => write!(f, "{}", quoted_key(key)),
            Segment::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A key as it would be written, shortened.
fn quoted_key(key: &str) -> Cow<'_, str> {
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare && key.len() <= 60 { Cow::Borrowed(key) } else { Cow::Owned(quoted(key)) }
}

/// A text of a file for a message: in quotes and shortened.
pub(super) fn quoted(text: &str) -> String {
    let end = char_floor(text, 60);
    let more = if end < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", &text[..end])
}

/// A table whose keys are taken one by one.
pub(super) struct Table<'a, 'd> {
    map: DeTable<'d>,
    known: Vec<&'static str>,
    span: Range<usize>,
    path: Path<'a>,
    report: &'a Report<'d>,
}

impl<'d> Table<'_, 'd> {
    /// Takes a key and reads its value. `None` if it is absent, or wrong and reported.
    pub(super) fn take<T>(&mut self, key: &'static str, read: impl FnOnce(Value<'_, 'd>) -> Option<T>) -> Option<T> {
        self.known.push(key);
        let value = self.map.remove(key)?;
        let path = Path { parent: Some(&self.path), segment: Segment::Key(key) };
        read(Value { span: value.span(), inner: value.into_inner(), path, report: self.report })
    }

    /// The same, and remembers where the value stands.
    pub(super) fn sourced<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value<'_, 'd>) -> Option<T>,
    ) -> Option<Sourced<T>> {
        self.take(key, |value| {
            let span = value.span.clone();
            Some(Sourced { value: read(value)?, span })
        })
    }

    /// Reads a nested table, if it is there, and reports what it has left over.
    pub(super) fn section(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'_, 'd>)) {
        self.take(key, |value| {
            let mut table = value.table()?;
            read(&mut table);
            table.finish();
            Some(())
        });
    }

    /// Whether the key is there and was not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Reports a mistake of the table as a whole.
    pub(super) fn error(&self, message: impl Display, allowed: impl Display) {
        self.report.error(&self.path, self.span.clone(), message, allowed);
    }

    /// Reports every key that was not taken.
    pub(super) fn finish(&mut self) {
        self.finish_with(|_| None);
    }

    /// The same; `elsewhere` knows of a key where it belongs.
    pub(super) fn finish_with(&mut self, elsewhere: impl Fn(&str) -> Option<String>) {
        let known = std::mem::take(&mut self.known);
        self.each(|name, value| match elsewhere(name) {
            Some(place) => value.error("not allowed in this file", place),
            None => value.error("unknown key", suggestion(name, &known)),
        });
    }

    /// Visits the keys that are left, in the order of the file. The value's place is its key's.
    pub(super) fn each(&mut self, mut visit: impl FnMut(&str, Value<'_, 'd>)) {
        let mut entries: Vec<_> = std::mem::take(&mut self.map).into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let path = Path { parent: Some(&self.path), segment: Segment::Key(key.get_ref()) };
            visit(key.get_ref(), Value { span: key.span(), inner: value.into_inner(), path, report: self.report });
        }
    }
}

/// "did you mean", or what there is.
pub(super) fn suggestion(name: &str, known: &[&str]) -> String {
    // Longer names are no typing mistakes, and the distance costs the product of the lengths.
    let near = known.iter().filter(|_| name.len() <= 64).map(|key| (strsim::damerau_levenshtein(name, key), *key));
    match near.min().filter(|(distance, key)| *distance <= 1 + key.len() / 4) {
        Some((_, key)) => format!("did you mean `{key}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// A value that is about to be checked.
pub(super) struct Value<'a, 'd> {
    inner: DeValue<'d>,
    span: Range<usize>,
    path: Path<'a>,
    report: &'a Report<'d>,
}

impl<'d> Value<'_, 'd> {
    /// Reports a mistake here.
    pub(super) fn error(&self, message: impl Display, allowed: impl Display) {
        self.report.error(&self.path, self.span.clone(), message, allowed);
    }

    /// Reports something to know about this value.
    pub(super) fn warn(&self, message: impl Display, advice: impl Display) {
        let mut warnings = self.report.warnings.borrow_mut();
        if warnings.len() < PROBLEMS_KEPT {
            let problem = Problem::new(self.report.document, self.span.clone(), self.path, message, advice);
            warnings.push(problem.into_warning());
        }
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        self.error(format_args!("this is of type {}", self.inner.type_str()), format_args!("expected {expected}"));
        None
    }

    /// Where this stands in the document.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The line of this in the document, from 1.
    pub(super) fn line(&self) -> usize {
        self.report.lines.line(self.span.start)
    }

    /// Whether this is a string.
    pub(super) fn is_string(&self) -> bool {
        self.inner.is_str()
    }

    /// Whether this is an integer.
    pub(super) fn is_integer(&self) -> bool {
        self.inner.is_integer()
    }

    /// Whether this is `false`.
    pub(super) fn is_false(&self) -> bool {
        self.inner.as_bool() == Some(false)
    }

    /// A string that `check` takes; its error says what is allowed.
    pub(super) fn parse<T, E: Display>(&self, expected: &str, check: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let Some(text) = self.inner.as_str() else { return self.wrong_type(&format!("a string: {expected}")) };
        match check(text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.error(format_args!("{} is not {expected}", quoted(text)), reason);
                None
            }
        }
    }

    /// An integer within the bounds.
    pub(super) fn integer(&self, expected: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let Some(integer) = self.inner.as_integer() else { return self.wrong_type(expected) };
        let value = u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|value| bounds.contains(value));
        if value.is_none() {
            self.error(format_args!("{integer} is out of bounds"), format_args!("expected {expected}"));
        }
        value
    }

    /// An integer or a float within the bounds.
    pub(super) fn number(&self, expected: &str, bounds: RangeInclusive<f64>) -> Option<f64> {
        let value = match &self.inner {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|i| i as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => return self.wrong_type(expected),
        };
        let value = value.filter(|value| bounds.contains(value));
        if value.is_none() {
            self.error("this number is out of bounds", format_args!("expected {expected}"));
        }
        value
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Option<bool> {
        self.inner.as_bool().or_else(|| self.wrong_type("true or false"))
    }

    /// Elements of this, if it is a list.
    pub(super) fn list_length(&self) -> Option<usize> {
        self.inner.as_array().map(|items| items.len())
    }

    /// Whether this is a list without elements.
    pub(super) fn list_is_empty(&self) -> bool {
        self.inner.as_array().is_some_and(|items| items.is_empty())
    }

    /// A list; elements that `read` refuses are left out, and are reported by it.
    pub(super) fn list<T>(self, expected: &str, mut read: impl FnMut(Value<'_, 'd>) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(items) = self.inner else { return self.wrong_type(expected) };
        let (path, report) = (self.path, self.report);
        let read = |(index, item): (usize, toml::Spanned<DeValue<'d>>)| {
            let path = Path { parent: Some(&path), segment: Segment::Index(index) };
            read(Value { span: item.span(), inner: item.into_inner(), path, report })
        };
        Some(items.into_iter().enumerate().filter_map(read).collect())
    }
}

impl<'a, 'd> Value<'a, 'd> {
    /// A table.
    pub(super) fn table(self) -> Option<Table<'a, 'd>> {
        let Self { inner, span, path, report } = self;
        match inner {
            DeValue::Table(map) => Some(Table { map, known: Vec::new(), span, path, report }),
            inner => Value { inner, span, path, report }.wrong_type("a table"),
        }
    }
}
