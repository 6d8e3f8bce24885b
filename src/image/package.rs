//! Names of Debian's packages, as they are given to apt.

use std::fmt;
use std::str::FromStr;

/// The name of a package that cannot be anything else to apt: no option, pattern, list or removal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package(String);

/// No package is called so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of a package has 2 to {LENGTH_MAX} characters out of a-z, 0-9, '+', '-' and '.', begins with a letter or a \
     digit, and does not end with '-'"
)]
pub struct BadPackage;

/// The longest in Debian has less than 100.
const LENGTH_MAX: usize = 128;

impl FromStr for Package {
    type Err = BadPackage;

    /// Debian Policy 5.6.7; apt-get(8): a `-` at the end takes a package away.
    fn from_str(text: &str) -> Result<Self, BadPackage> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
        let good = begins && (2..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(plain) && !text.ends_with('-');
        if good { Ok(Self(text.to_owned())) } else { Err(BadPackage) }
    }
}

impl Package {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Package {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_no_option_no_list_and_no_pattern() {
        for name in ["git", "g++", "libstdc++6", "python3.11", "7zip"] {
            assert_eq!(name.parse::<Package>().unwrap().as_str(), name);
        }
        let long = "a".repeat(LENGTH_MAX + 1);
        for name in [
            "",
            "a",
            "-oDir=/",
            "--foo",
            "git,curl",
            "git curl",
            "git-",
            "?essential",
            "~i",
            "a=1",
            "a/sid",
            "A",
            &long,
        ] {
            assert_eq!(name.parse::<Package>(), Err(BadPackage), "{name:?}");
        }
    }
}
