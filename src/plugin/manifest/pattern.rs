//! Patterns in which `*` stands for any text.

use std::fmt;
use std::str::FromStr;

/// The longest pattern, in bytes.
pub const PATTERN_MAX: usize = 256;

/// A pattern: `*` stands for any text, also none and with `/` in it; every other character for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

/// Not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern has 1 to {PATTERN_MAX} bytes without control characters; `*` stands for any text")]
pub struct BadPattern;

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let good = (1..=PATTERN_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if good { Ok(Self(text.to_owned())) } else { Err(BadPattern) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Pattern {
    /// Whether the whole text is like this.
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }
}

/// Whether the whole text is like the pattern. Takes the product of their lengths at most: no `*` but the last one
/// that was met is ever tried again.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p + 1, t));
                p += 1;
            }
            (Some(byte), _) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            (_, Some((after, from))) => {
                (p, t) = (after, from + 1);
                star = Some((after, from + 1));
            }
            (_, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("main", "main"),
            ("release/*", "release/1.0/x"),
            ("*", ""),
            ("a*b*c", "a-b-b-c"),
            ("*/x", "a/b/x"),
            ("**", "y"),
            ("ä*", "äö"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("main", "main2"), ("main", "xmain"), ("a*", "ba"), ("*b", "bc"), ("", "a"), ("a*b", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    /// What a pattern means, as slow as it may be.
    fn means(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skipped| means(rest, &text[skipped..])),
            Some((byte, rest)) => text.first() == Some(byte) && means(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_it_means(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), means(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
