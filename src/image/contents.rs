//! What an image that rcc builds has, however it is built.

use super::package::Package;
use std::collections::{BTreeMap, BTreeSet};

/// On every image that rcc builds: the version that did.
pub const LABEL: &str = "rcc.image";

/// What a coding agent uses anywhere, beside a distribution's smallest system.
const DEFAULT: [&str; 7] = ["ca-certificates", "curl", "git", "less", "procps", "python3", "ripgrep"];

/// The default packages and these.
pub fn packages(more: &[Package]) -> Vec<String> {
    let default = DEFAULT.into_iter().map(str::to_owned);
    let all: BTreeSet<String> = default.chain(more.iter().map(Package::to_string)).collect();
    all.into_iter().collect()
}

/// The labels of a new image.
pub fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([(LABEL.to_owned(), env!("CARGO_PKG_VERSION").to_owned())])
}

/// The same as an instruction of a Containerfile.
pub fn change() -> String {
    let labels: Vec<String> = labels().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("LABEL {}", labels.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_once() {
        let more: Vec<Package> = ["jq", "git"].iter().map(|name| name.parse().unwrap()).collect();
        let all = packages(&more);
        assert!(all.contains(&"jq".to_owned()) && all.contains(&"ripgrep".to_owned()));
        assert_eq!(all.iter().filter(|name| *name == "git").count(), 1);
    }

    #[test]
    fn every_default_is_the_name_of_a_package() {
        assert!(DEFAULT.iter().all(|name| name.parse::<Package>().is_ok()));
    }
}
