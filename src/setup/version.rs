//! Versions as the host's programs print them.

use std::fmt;

/// A dotted version; missing parts count as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// The first dotted number in the text: `6.8.0-41-generic`, `nftables v1.0.6 (...)`.
    pub fn find(text: &str) -> Option<Self> {
        let words = text.split(|letter: char| letter.is_whitespace() || letter == '(');
        words.filter_map(|word| Self::parse(word.trim_start_matches('v'))).next()
    }

    fn parse(word: &str) -> Option<Self> {
        let end = word.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(word.len());
        let mut parts = word[..end].trim_end_matches('.').split('.').map(str::parse::<u32>);
        let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
        let patch = parts.next().and_then(Result::ok).unwrap_or(0);
        Some(Self([major, minor, patch]))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        if patch == 0 { write!(out, "{major}.{minor}") } else { write!(out, "{major}.{minor}.{patch}") }
    }
}

/// A release of passt: its date. Distributions that build without git say "unknown version".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PastaRelease(pub [u32; 3]);

impl PastaRelease {
    /// From `pasta 0.0~git20230309.7c7625d-1` or `pasta 2025_05_03.587980c`.
    pub fn find(text: &str) -> Option<Self> {
        let digits = |word: &str| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_digit());
        let compact: String = text.lines().next()?.chars().filter(|&letter| letter != '_').collect();
        let words = compact.split(|letter: char| !letter.is_ascii_digit());
        let date = words.filter(|word| digits(word) && word.starts_with("20")).find_map(|word| {
            let part = |range: std::ops::Range<usize>| word.get(range)?.parse::<u32>().ok();
            Some([part(0..4)?, part(4..6)?, part(6..8)?])
        })?;
        Some(Self(date))
    }
}

impl fmt::Display for PastaRelease {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day] = self.0;
        write!(out, "{year}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, expected) in [
            ("6.8.0-41-generic", Some([6, 8, 0])),
            ("5.10.0", Some([5, 10, 0])),
            ("6.1-rc3", Some([6, 1, 0])),
            ("nftables v1.0.6 (Lester Gooch #5)", Some([1, 0, 6])),
            ("no number", None),
            ("", None),
            ("v", None),
            ("99999999999.1", None),
        ] {
            assert_eq!(Version::find(text), expected.map(Version), "{text:?}");
        }
    }

    #[test]
    fn pasta_releases_are_dates() {
        for (text, expected) in [
            ("pasta 0.0~git20230309.7c7625d-1\nCopyright Red Hat", Some([2023, 3, 9])),
            ("pasta 2025_05_03.587980c", Some([2025, 5, 3])),
            ("pasta 0^20240326.g4988e2b-1.fc40.x86_64", Some([2024, 3, 26])),
            ("pasta unknown version\nCopyright 20200101", None),
            ("", None),
        ] {
            assert_eq!(PastaRelease::find(text), expected.map(PastaRelease), "{text:?}");
        }
    }
}
