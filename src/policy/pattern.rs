//! Names that rules are made for: one name, or everything below one.

use super::names::{BadName, DomainName};
use serde::{Serialize, Serializer};
use std::fmt;

/// One name, or all names below one; never both: who wants both writes both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamePattern {
    /// `example.com`: this name and no other.
    Exact(DomainName),
    /// `*.example.com`: every name below, at any depth, but not the name itself.
    Below(DomainName),
}

impl NamePattern {
    /// Reads a name or `*.` and a name; each is checked as [`DomainName`]. A `*` anywhere else is
    /// refused. `*.com` and `*.lan` are taken (see [`NamePattern::is_broad`]), a bare `*` is not.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let pattern = match text.strip_prefix("*.") {
            Some(below) => DomainName::new(below).map(Self::Below),
            None => DomainName::new(text).map(Self::Exact),
        };
        // Of a pattern with a '*' that name is wrong, and how stars are written is what helps.
        pattern.map_err(|reason| if text.contains('*') { BadName::Pattern } else { reason })
    }

    /// The name that stands in the pattern.
    pub fn name(&self) -> &DomainName {
        match self {
            Self::Exact(name) | Self::Below(name) => name,
        }
    }

    /// Whether a rule for this pattern is a rule for `name`.
    pub fn covers(&self, name: &DomainName) -> bool {
        match self {
            Self::Exact(own) => own == name,
            Self::Below(own) => is_below(name, own),
        }
    }

    /// Whether every name that this pattern covers is covered by `outer` too.
    pub fn is_within(&self, outer: &Self) -> bool {
        match (self, outer) {
            (Self::Exact(name), outer) => outer.covers(name),
            (Self::Below(_), Self::Exact(_)) => false,
            (Self::Below(name), Self::Below(own)) => name == own || is_below(name, own),
        }
    }

    /// Whether this covers everything below a name of a single label. Whoever may register names
    /// there decides what such a pattern opens; nobody outside can under a site's own `lan`, but
    /// everybody under `com`.
    pub fn is_broad(&self) -> bool {
        matches!(self, Self::Below(name) if !name.as_str().contains('.'))
    }

    /// Whether what this covers is no public space, going by the name alone
    /// ([`DomainName::is_private`]).
    pub fn is_private(&self) -> bool {
        match self {
            Self::Exact(name) => name.is_private(),
            Self::Below(name) => name.is_site(),
        }
    }

    /// Every pattern that covers `name`, the most specific first: what to look for in a map of
    /// patterns, instead of asking each of them.
    pub fn covering(name: &DomainName) -> impl Iterator<Item = Self> {
        std::iter::once(Self::Exact(name.clone())).chain(name.parents().map(Self::Below))
    }
}

/// Whole labels are compared: `notexample.com` is not below `example.com`.
fn is_below(name: &DomainName, above: &DomainName) -> bool {
    name.as_str().strip_suffix(above.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

impl std::str::FromStr for NamePattern {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::new(text)
    }
}

impl Serialize for NamePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> NamePattern {
        NamePattern::new(text).unwrap()
    }

    fn name(text: &str) -> DomainName {
        DomainName::new(text).unwrap()
    }

    #[test]
    fn a_pattern_is_normalised_like_a_name_and_prints_as_it_is_written() {
        for (text, normal) in [
            ("Example.COM.", "example.com"),
            ("*.Example.com", "*.example.com"),
            ("*.example.com.", "*.example.com"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
            ("*.lan", "*.lan"),
        ] {
            assert_eq!(pattern(text).to_string(), normal);
            assert_eq!(pattern(normal), pattern(text));
        }
    }

    #[test]
    fn a_star_anywhere_but_in_front_is_refused() {
        for text in
            ["*", "*.", "*..", "**.com", "*.*.com", "a.*.b", "a*.com", "*a.com", "com.*", "*.\0.com", "*com", " *.com"]
        {
            assert_eq!(NamePattern::new(text), Err(BadName::Pattern), "{text:?}");
        }
        for text in ["", ".", "a..b", "a\0b.com", "a\0", "example.com..", ".example.com", "a b", "-a.com"] {
            assert_eq!(NamePattern::new(text), Err(BadName::Domain), "{text:?}");
        }
        for text in ["*.10.0.0.1", "*.1", "*.0x7f"] {
            assert_eq!(NamePattern::new(text), Err(BadName::Pattern), "{text:?}");
        }
        assert_eq!(NamePattern::new("10.0.0.1"), Err(BadName::Address));
    }

    #[test]
    fn below_is_neither_the_name_itself_nor_one_that_merely_ends_like_it() {
        let below = pattern("*.example.com");
        for covered in ["a.example.com", "a.b.example.com", "example.com.example.com"] {
            assert!(below.covers(&name(covered)), "{covered}");
        }
        for other in ["example.com", "notexample.com", "example.com.evil.org", "com", "aexample.com", "example.org"] {
            assert!(!below.covers(&name(other)), "{other}");
        }
        assert!(pattern("example.com").covers(&name("EXAMPLE.com.")));
        assert!(!pattern("example.com").covers(&name("a.example.com")));
    }

    #[test]
    fn a_homograph_is_another_name() {
        // Cyrillic "а" in the second.
        assert!(!pattern("*.apple.com").covers(&name("www.аpple.com")));
        assert!(!pattern("apple.com").covers(&name("аpple.com")));
    }

    #[test]
    fn only_patterns_directly_below_one_label_are_broad() {
        assert!(pattern("*.com").is_broad() && pattern("*.lan").is_broad());
        assert!(!pattern("*.example.com").is_broad() && !pattern("com").is_broad());
    }

    #[test]
    fn patterns_of_sites_own_names_are_private() {
        for text in ["*.lan", "*.corp.lan", "printer", "*.home.arpa", "git.corp"] {
            assert!(pattern(text).is_private(), "{text}");
        }
        for text in ["*.com", "*.example.com", "*.arpa", "example.com"] {
            assert!(!pattern(text).is_private(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_within_those_that_cover_all_of_it() {
        for (inner, outer) in [("a.b", "a.b"), ("a.b", "*.b"), ("*.a.b", "*.a.b"), ("*.a.b", "*.b"), ("x.a.b", "*.b")] {
            assert!(pattern(inner).is_within(&pattern(outer)), "{inner} {outer}");
        }
        for (inner, outer) in [("*.a.b", "a.b"), ("*.b", "*.a.b"), ("b", "*.b"), ("*.xb", "*.b"), ("a.b", "x.a.b")] {
            assert!(!pattern(inner).is_within(&pattern(outer)), "{inner} {outer}");
        }
    }

    proptest! {
        #[test]
        fn looking_in_a_map_finds_what_asking_each_pattern_finds(
            asked in "[ab]{1,2}(\\.[ab]{1,2}){0,4}", patterns in proptest::collection::btree_set(
                "(\\*\\.)?[ab]{1,2}(\\.[ab]{1,2}){0,3}", 0..20),
        ) {
            let patterns: std::collections::BTreeSet<NamePattern> = patterns.iter().map(|text| pattern(text)).collect();
            let asked = name(&asked);
            let mut found: Vec<NamePattern> =
                NamePattern::covering(&asked).filter(|pattern| patterns.contains(pattern)).collect();
            found.sort_unstable();
            let each: Vec<NamePattern> = patterns.iter().filter(|pattern| pattern.covers(&asked)).cloned().collect();
            prop_assert_eq!(found, each);
        }
    }
}
