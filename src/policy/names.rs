//! Names that come from configuration files, parsed once so that nothing unparsed reaches a rule.

use serde::{Serialize, Serializer};
use std::fmt;

/// Why a name was refused. The text says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Profile names become part of chain and set names.
    #[error("a profile name has 1 to 24 characters out of a-z, 0-9 and '-', and starts with a letter")]
    Profile,
    /// `offline` needs no rules and can't be redefined.
    #[error("the profile 'offline' is built in and cannot be changed")]
    Reserved,
    /// See [`DomainName`].
    #[error("a domain name has labels of 1 to 63 letters, digits and '-' with 253 characters in all")]
    Domain,
    /// See [`super::NamePattern`].
    #[error("a pattern of names is \"*.\" and a domain name, like \"*.example.com\"; no other place takes a '*'")]
    Pattern,
    /// A numeric last label makes resolvers read the name as an IPv4 address.
    #[error("this is an address, not a domain name: it goes into `allow`, as `address`")]
    Address,
    /// See [`InterfacePattern`].
    #[error("an interface pattern has 1 to 15 characters out of a-z, A-Z, 0-9, '.', '_' and '-', then '*' or nothing")]
    Interface,
}

macro_rules! string_newtype {
    ($name:ident) => {
        impl $name {
            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }
    };
}

/// The name of a network profile: `[a-z][a-z0-9-]{0,23}`, so that it can be part of the name of
/// an nft chain or set (at most 128 bytes, `NFT_NAME_MAXLEN` in linux/netfilter/nf_tables.h).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);
string_newtype!(ProfileName);

impl ProfileName {
    /// Checks and wraps a name.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let mut bytes = text.bytes();
        let head = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let tail = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if head && tail && text.len() <= 24 { Ok(Self(text.to_owned())) } else { Err(BadName::Profile) }
    }

    /// The default: the public internet, nothing private.
    pub fn public() -> Self {
        Self("public".to_owned())
    }

    /// Built in too: only what is listed, by default what the usual tools need.
    pub fn allowlist() -> Self {
        Self("allowlist".to_owned())
    }

    /// No network at all. It needs no rules and no identity.
    pub fn offline() -> Self {
        Self("offline".to_owned())
    }

    /// Whether this is [`ProfileName::offline`].
    pub fn is_offline(&self) -> bool {
        self.0 == "offline"
    }
}

/// A host name in its ASCII form (RFC 1035 lengths, IDNA by UTS 46), lower case, without the
/// trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);
string_newtype!(DomainName);

impl DomainName {
    /// Checks, lower-cases and converts a name; a single trailing dot is dropped.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let ascii = idna::domain_to_ascii_strict(text).map_err(|_| BadName::Domain)?;
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if ascii.is_empty() || ascii.len() > 253 || !ascii.split('.').all(label_ok) {
            return Err(BadName::Domain);
        }
        // inet_aton(3) takes 1 to 4 numbers, decimal, octal or hexadecimal, as an address.
        let last = ascii.rsplit('.').next().unwrap_or_default();
        let hex = last.strip_prefix("0x").is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        if hex || last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadName::Address);
        }
        Ok(Self(ascii))
    }

    /// Whether this is no name of the public internet, going by the name alone: a single label, or
    /// one of a site's own names.
    pub fn is_private(&self) -> bool {
        !self.0.contains('.') || self.is_site()
    }

    /// Whether this is, or lies below, a domain of sites' own use (RFC 6762 and its appendix G, RFC
    /// 8375, ICANN's resolution 2024.07.29.06 for `internal`).
    pub(super) fn is_site(&self) -> bool {
        const OWN_USE: [&str; 9] =
            ["local", "internal", "intranet", "private", "corp", "home", "lan", "localdomain", "localhost"];
        let last = self.0.rsplit('.').next().unwrap_or_default();
        OWN_USE.contains(&last) || self.0 == "home.arpa" || self.0.ends_with(".home.arpa")
    }

    /// The names above this one, from the nearest to the one of a single label.
    pub fn parents(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.0.split_once('.'), |(_, rest)| rest.split_once('.'))
            .map(|(_, parent)| Self(parent.to_owned()))
    }
}

/// The name of a network interface, or a prefix of names followed by `*`. At most 15 bytes
/// (`IFNAMSIZ` - 1, linux/if.h).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfacePattern(String);
string_newtype!(InterfacePattern);

impl InterfacePattern {
    /// Checks and wraps a pattern.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let stem = text.strip_suffix('*').unwrap_or(text);
        let ok =
            (1..=15).contains(&stem.len()) && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if ok { Ok(Self(text.to_owned())) } else { Err(BadName::Interface) }
    }

    /// Whether an interface of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(stem) => name.starts_with(stem),
            None => name == self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_are_normalised() {
        for (text, ascii) in
            [("Git.Corp.LAN.", "git.corp.lan"), ("bücher.example", "xn--bcher-kva.example"), ("a", "a")]
        {
            assert_eq!(DomainName::new(text).unwrap().as_str(), ascii);
        }
    }

    #[test]
    fn names_of_sites_own_use_are_private() {
        for name in ["printer", "git.corp.lan", "metadata.google.internal", "nas.local", "a.home.arpa", "LAN"] {
            assert!(DomainName::new(name).unwrap().is_private(), "{name}");
        }
        for name in ["example.com", "lan.example.com", "xlan.com", "in-addr.arpa", "xhome.arpa", "my.corporate"] {
            assert!(!DomainName::new(name).unwrap().is_private(), "{name}");
        }
    }

    #[test]
    fn what_is_no_domain_name_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = vec!["a".repeat(60); 5].join(".");
        for text in [
            "",
            ".",
            "a..b",
            "a\0.example",
            "a b",
            "-a.example",
            "a.example..",
            "*.example.com",
            &long_label,
            &long_name,
        ] {
            assert_eq!(DomainName::new(text), Err(BadName::Domain), "{text:?}");
        }
        for text in ["10.0.0.1", "1", "0x7f.0.0.1", "a.0x1f"] {
            assert!(DomainName::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn profile_names_and_interfaces_cannot_carry_syntax() {
        for text in ["", "Public", "1a", "a b", "a;b", "a\"", &"a".repeat(25), "a_b"] {
            assert_eq!(ProfileName::new(text), Err(BadName::Profile), "{text:?}");
        }
        for text in ["", "*", "eth0;", "a b", "\"", "averyveryverylongname", "a*b"] {
            assert_eq!(InterfacePattern::new(text), Err(BadName::Interface), "{text:?}");
        }
        let pattern = InterfacePattern::new("wg*").unwrap();
        assert_eq!(pattern.as_str(), "wg*");
        assert!(pattern.matches("wg0") && pattern.matches("wg") && !pattern.matches("awg0"));
        assert!(!InterfacePattern::new("wg").unwrap().matches("wg0"));
    }
}
