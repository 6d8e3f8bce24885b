//! Credentials taken out of text that flows by.
//!
//! Each byte of each form of a credential is removed ([`forms`]), however the text is cut into chunks, and what
//! overlaps is removed together. Text goes through as it is, without a copy. Held back at the end of a chunk is only
//! what a form begins with; and because it is the beginning of a form, it is not stored: the form has it.
//!
//! This is the second line, for a tool that prints what it should not. Who controls the tool can always print a
//! credential in a form that nobody thought of (base64 with line breaks, a cipher, backwards): so tools are
//! allowed by what they are asked, and not by what they print.

mod forms;
mod patterns;
#[cfg(test)]
mod tests;

use super::secret::{SECRET_MIN, Secret, SecretError};
use patterns::Patterns;
use std::ops::Range;
use std::sync::Arc;

/// What stands where a credential was.
pub const MARK: &str = "[rcc: credential removed]";

/// The credential cannot be taken out of text, so it must not be used.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// Too short, or no memory.
    #[error("a credential cannot be taken out of what the tool prints: {0}")]
    Secret(#[from] SecretError),
    /// It is part of [`MARK`].
    #[error("a credential is part of {MARK:?}, which stands where one was removed: make another credential")]
    Mark,
}

/// Takes credentials out of one stream.
pub struct Redactor {
    patterns: Arc<Patterns>,
    /// The beginnings of forms that the text so far ends with, longest first. The longest is what is held back.
    begun: Vec<Begun>,
    /// So many bytes of what is held back are of a credential whose mark was handed out already.
    covered: usize,
    /// Where else in what is held back a credential is.
    removed: Vec<Range<usize>>,
    marks: u64,
}

#[derive(Clone, Copy)]
struct Begun {
    form: usize,
    length: usize,
}

impl Redactor {
    /// For these credentials. With none, all text goes through at once.
    ///
    /// # Errors
    /// See [`RedactError`].
    pub fn new(secrets: &[&Secret]) -> Result<Self, RedactError> {
        if secrets.iter().any(|secret| secret.expose().len() < SECRET_MIN) {
            return Err(SecretError::TooShort.into());
        }
        let patterns = Patterns::new(secrets)?;
        let mut in_mark = false;
        patterns.find(MARK.as_bytes(), |_| in_mark = true);
        if in_mark { Err(RedactError::Mark) } else { Ok(Self::of(patterns.into())) }
    }

    /// For the same credentials and another stream, at next to no cost.
    pub fn another(&self) -> Self {
        Self::of(self.patterns.clone())
    }

    fn of(patterns: Arc<Patterns>) -> Self {
        Self { patterns, begun: Vec::new(), covered: 0, removed: Vec::new(), marks: 0 }
    }

    /// Whether there is no credential to be taken out: all text goes through at once.
    pub fn has_none(&self) -> bool {
        self.patterns.is_empty()
    }

    /// How many marks were handed out.
    pub fn marks(&self) -> u64 {
        self.marks
    }

    /// Takes the next chunk of the text, and hands out what is settled.
    pub fn push(&mut self, chunk: &[u8], out: &mut impl FnMut(&[u8])) {
        if self.has_none() {
            if !chunk.is_empty() {
                out(chunk);
            }
            return;
        }
        let patterns = self.patterns.clone();
        let text = Text::new(&patterns, self.begun.first(), chunk);
        let mut found = std::mem::take(&mut self.removed);
        let held = text.held.len();
        self.begun.retain_mut(|begun| {
            let rest = &patterns.form(begun.form)[begun.length..];
            let start = held - begun.length;
            begun.length += chunk.len();
            if chunk.starts_with(rest) {
                found.push(start..held + rest.len());
            }
            rest.len() > chunk.len() && rest.starts_with(chunk)
        });
        patterns.find(chunk, |range| found.push(held + range.start..held + range.end));
        patterns.begun(chunk, |form, length| self.begun.push(Begun { form, length }));
        let settled = text.len() - self.begun.first().map_or(0, |begun| begun.length);
        self.hand_out(&text, found, settled, out);
    }

    /// Hands out what was held back: nothing follows. Another text may.
    pub fn finish(&mut self, out: &mut impl FnMut(&[u8])) {
        let patterns = self.patterns.clone();
        let text = Text::new(&patterns, self.begun.first(), &[]);
        self.begun.clear();
        let found = std::mem::take(&mut self.removed);
        self.hand_out(&text, found, text.len(), out);
        self.covered = 0;
    }

    /// Hands out the text up to where a form may still begin that is not complete. No form that begins before that
    /// can still be found.
    fn hand_out(&mut self, text: &Text<'_>, mut found: Vec<Range<usize>>, settled: usize, out: &mut impl FnMut(&[u8])) {
        found.sort_unstable_by_key(|range| range.start);
        let mut at = self.covered;
        for range in found {
            if range.start < at {
                at = at.max(range.end);
            } else if range.start <= settled {
                text.write(at..range.start, out);
                out(MARK.as_bytes());
                self.marks += 1;
                at = range.end;
            } else {
                self.removed.push(range.start - settled..range.end - settled);
            }
        }
        text.write(at..settled, out);
        self.covered = at.saturating_sub(settled);
    }
}

/// What was held back, and what came after it.
struct Text<'a> {
    held: &'a [u8],
    chunk: &'a [u8],
}

impl<'a> Text<'a> {
    fn new(patterns: &'a Patterns, longest: Option<&Begun>, chunk: &'a [u8]) -> Self {
        Self { held: longest.map_or(&[], |begun| &patterns.form(begun.form)[..begun.length]), chunk }
    }

    fn len(&self) -> usize {
        self.held.len() + self.chunk.len()
    }

    /// Hands out a part of it: nothing, where it ends before it begins.
    fn write(&self, part: Range<usize>, out: &mut impl FnMut(&[u8])) {
        let held = self.held.len();
        let parts = [
            (self.held, part.start.min(held)..part.end.min(held)),
            (self.chunk, part.start.max(held) - held..part.end.max(held) - held),
        ];
        for (bytes, range) in parts {
            if !range.is_empty() {
                out(&bytes[range]);
            }
        }
    }
}
