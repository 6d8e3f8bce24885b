//! Which images rcc may remove. Pure.

use super::contents::LABEL;
use super::engine::Stored;
use super::name::OWN;
use std::collections::BTreeSet;
use std::fmt;

/// What is known beside the images.
#[derive(Debug)]
pub struct Known<'a> {
    /// The ids of those that this user's rcc has built.
    pub built: &'a BTreeSet<String>,
    /// The ids of those that containers use, running or not.
    pub used: &'a BTreeSet<String>,
    /// The id of the one that the user's configuration names.
    pub configured: Option<&'a str>,
    /// The name of the one that this version builds.
    pub current: &'a str,
}

/// What becomes of an image with rcc's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Remove,
    /// It stays.
    Keep(Why),
}

/// Why an image stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Others can put the label on theirs, and what is made from one of rcc's has it as well.
    Foreign,
    /// A container would lose its files.
    Used,
    /// Runs take it.
    Configured,
    /// This version builds it.
    Current,
    /// The user gave it a name.
    Named(String),
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => formatter.write_str("it has rcc's label, but rcc has not built it for you here"),
            Self::Used => formatter.write_str("a container uses it"),
            Self::Configured => formatter.write_str("your configuration names it"),
            Self::Current => formatter.write_str("this version of rcc builds it"),
            Self::Named(name) => write!(formatter, "you called it {name}"),
        }
    }
}

/// `None` for an image that has nothing to do with rcc.
pub fn judge(image: &Stored, known: &Known<'_>) -> Option<Verdict> {
    if !image.labels.contains_key(LABEL) {
        return None;
    }
    let is_own = |name: &&String| name.strip_prefix(OWN).is_some_and(|tag| tag.starts_with(':'));
    let why = if !known.built.contains(&image.id) {
        Why::Foreign
    } else if known.used.contains(&image.id) {
        Why::Used
    } else if known.configured == Some(&image.id) {
        Why::Configured
    } else if image.names.iter().any(|name| name == known.current) {
        Why::Current
    } else if let Some(name) = image.names.iter().find(|name| !is_own(name)) {
        Why::Named(name.clone())
    } else {
        return Some(Verdict::Remove);
    };
    Some(Verdict::Keep(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(names: &[&str], labelled: bool) -> Stored {
        let label = || (LABEL.to_owned(), "0.0.1".to_owned());
        Stored {
            id: "5e".repeat(32),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            labels: labelled.then(label).into_iter().collect(),
            ..Stored::default()
        }
    }

    const NOTHING: BTreeSet<String> = BTreeSet::new();

    fn judged(image: &Stored, used: &BTreeSet<String>, configured: Option<&str>) -> Option<Verdict> {
        let built = BTreeSet::from([image.id.clone()]);
        judge(image, &Known { built: &built, used, configured, current: "localhost/rcc:0.2.0" })
    }

    fn unknown(image: &Stored) -> Option<Verdict> {
        judge(image, &Known { built: &NOTHING, used: &NOTHING, configured: None, current: "localhost/rcc:0.2.0" })
    }

    #[test]
    fn what_rcc_built_and_replaced_goes() {
        for names in [&[][..], &["localhost/rcc:0.1.0"], &["localhost/rcc:0.1.0", "localhost/rcc:0.0.9"]] {
            assert_eq!(judged(&stored(names, true), &NOTHING, None), Some(Verdict::Remove), "{names:?}");
        }
    }

    #[test]
    fn a_forged_label_removes_nothing() {
        let keep = Some(Verdict::Keep(Why::Foreign));
        assert_eq!(unknown(&stored(&["localhost/rcc:0.1.0"], true)), keep);
        assert_eq!(judged(&stored(&["localhost/rcc:0.1.0"], false), &NOTHING, None), None);
    }

    #[test]
    fn what_is_of_use_stays() {
        let image = stored(&["localhost/rcc:0.1.0"], true);
        let used = BTreeSet::from([image.id.clone()]);
        assert_eq!(judged(&image, &used, None), Some(Verdict::Keep(Why::Used)));
        assert_eq!(judged(&image, &NOTHING, Some(&image.id)), Some(Verdict::Keep(Why::Configured)));
        assert_eq!(judged(&stored(&["localhost/rcc:0.2.0"], true), &NOTHING, None), Some(Verdict::Keep(Why::Current)));
        for name in ["localhost/agent:latest", "localhost/rcc2:0.1.0", "localhost/rcc/x:1"] {
            let named = Some(Verdict::Keep(Why::Named(name.to_owned())));
            assert_eq!(judged(&stored(&["localhost/rcc:0.1.0", name], true), &NOTHING, None), named, "{name}");
        }
    }
}
