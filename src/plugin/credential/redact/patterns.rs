//! Finding the forms of credentials in text.
//!
//! A packed searcher of the `aho-corasick` crate finds four bytes from the middle of each form; the form itself is
//! compared in locked memory. So the searcher, whose memory is neither locked nor overwritten, has four bytes of
//! each form (half of the shortest credential, a tenth of a usual token) and never all of it; and a table has the first
//! two. The four are from the middle because tokens begin, and keys begin and end, like all others of their kind.

use super::forms;
use crate::plugin::credential::pages::Pages;
use crate::plugin::credential::{Secret, SecretError};
use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, Span, packed};
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes that the searcher gets of each form.
const ANCHOR: usize = 4;

/// The forms of some credentials, in locked memory.
pub struct Patterns {
    pages: Option<Pages>,
    /// Where each is, in the order of their bytes.
    spans: Vec<Range<usize>>,
    /// Those that begin with each byte.
    first: Vec<Range<usize>>,
    /// Whether one begins with two bytes, a bit for each pair: nearly all text is passed over by it.
    pairs: Vec<u64>,
    longest: usize,
    searcher: Searcher,
    /// The forms that have the anchor, by the searcher's number for it.
    anchored: Vec<Vec<usize>>,
}

enum Searcher {
    /// With vector instructions.
    Packed(packed::Searcher),
    /// For more than 64 forms (a long private key by its lines), or a processor without such.
    Automaton(AhoCorasick),
    /// For none.
    None,
}

impl Patterns {
    pub fn new(secrets: &[&Secret]) -> Result<Self, SecretError> {
        let mut forms: Vec<_> = secrets.iter().flat_map(|secret| forms::of(secret.expose())).collect();
        forms.sort_unstable_by(|one, other| one.bytes().cmp(other.bytes()));
        forms.dedup_by(|one, other| one.bytes() == other.bytes());
        let length = forms.iter().map(|form| form.bytes().len()).sum();
        let mut pages = if length == 0 { None } else { Some(Pages::zeroed(length).map_err(SecretError::Lock)?) };
        let mut spans = Vec::with_capacity(forms.len());
        let mut end = 0;
        for form in &forms {
            let span = end..end + form.bytes().len();
            if let Some(pages) = &mut pages {
                pages.bytes_mut()[span.clone()].copy_from_slice(form.bytes());
            }
            end = span.end;
            spans.push(span);
        }
        let first = |byte| {
            let before = forms.partition_point(|form| form.bytes()[0] < byte);
            before..forms.partition_point(|form| form.bytes()[0] <= byte)
        };
        let first = (0..=u8::MAX).map(first).collect();
        let mut pairs = vec![0; (1 << 16) / 64];
        for form in &forms {
            let (word, bit) = pair(form.bytes()[0], form.bytes()[1]);
            pairs[word] |= bit;
        }
        let mut anchors: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for (number, form) in forms.iter().enumerate() {
            anchors.entry(&form.bytes()[anchor(form.bytes().len())..][..ANCHOR]).or_default().push(number);
        }
        let searcher = Searcher::new(anchors.keys().copied());
        let longest = spans.iter().map(Range::len).max().unwrap_or(0);
        Ok(Self { pages, spans, first, pairs, longest, searcher, anchored: anchors.into_values().collect() })
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// A form, by its number.
    pub fn form(&self, number: usize) -> &[u8] {
        self.pages.as_ref().map_or(&[], |pages| &pages.bytes()[self.spans[number].clone()])
    }

    /// Every place where a form is, overlapping ones too.
    pub fn find(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        let mut from = 0;
        while let Some((at, anchored)) = self.searcher.find(text, from) {
            for number in &self.anchored[anchored] {
                let form = self.form(*number);
                let start = at.checked_sub(anchor(form.len()));
                if let Some(start) = start.filter(|start| text[*start..].starts_with(form)) {
                    found(start..start + form.len());
                }
            }
            from = at + 1;
        }
    }

    /// Every beginning of a form that the text ends with, longest first: the form, and how much of it.
    pub fn begun(&self, text: &[u8], mut begun: impl FnMut(usize, usize)) {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        for at in from..text.len() {
            let rest = &text[at..];
            if let [one, other, ..] = rest {
                let (word, bit) = pair(*one, *other);
                if self.pairs[word] & bit == 0 {
                    continue;
                }
            }
            for number in self.first[usize::from(rest[0])].clone() {
                let form = self.form(number);
                if form.len() > rest.len() && form.starts_with(rest) {
                    begun(number, rest.len());
                }
            }
        }
    }
}

/// Where a pair's bit is.
fn pair(one: u8, other: u8) -> (usize, u64) {
    let number = u16::from_be_bytes([one, other]);
    (usize::from(number / 64), 1 << (number % 64))
}

/// Where a form's anchor is.
fn anchor(length: usize) -> usize {
    (length - ANCHOR) / 2
}

impl Searcher {
    fn new<'a>(anchors: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        if anchors.clone().next().is_none() {
            return Self::None;
        }
        if let Some(searcher) = packed::Config::new().builder().extend(anchors.clone()).build() {
            return Self::Packed(searcher);
        }
        // Small, as the anchors are short, and twice as fast as the kind that would be chosen for so many.
        match AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(anchors) {
            Ok(searcher) => Self::Automaton(searcher),
            // Its limits are 2^31 states and patterns; forms have less than 2^22 bytes.
            Err(error) => unreachable!("{error}"),
        }
    }

    /// Where the next anchor is, and its number.
    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        let found = match self {
            Self::Packed(searcher) => searcher.find_in(text, Span::from(from..text.len())),
            Self::Automaton(searcher) => searcher.find(Input::new(text).span(from..text.len())),
            Self::None => None,
        };
        found.map(|found| (found.start(), found.pattern().as_usize()))
    }
}
