//! What is written down about a denial.

use crate::firewall::nft::Class;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One line of a record: what one sandbox was denied, over and over, for a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The first time in this line, in milliseconds since the epoch.
    pub first: u64,
    /// The last time in this line, likewise.
    pub last: u64,
    /// The sandbox, as `rcc ps` named it; none if it was not listed at that moment.
    pub session: Option<String>,
    /// Its network profile.
    pub profile: String,
    /// Its network identity.
    pub identity: u32,
    /// Why.
    pub reason: Reason,
    /// Over what: `tcp`, `udp`, ...; `dns` for a name.
    pub protocol: String,
    /// Where to; none for a name, and for the rest when it were too many.
    pub address: Option<IpAddr>,
    /// To which port, where there are ports.
    pub port: Option<u16>,
    /// The names that the sandbox had this address from, the latest first; or the name that was denied.
    pub names: Vec<String>,
    /// How often.
    pub count: u64,
    /// Whether there were more, beyond what the kernel records.
    pub at_least: bool,
}

/// Why something was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reason {
    /// An address, for this reason.
    Address(Class),
    /// A name.
    Name(NameReason),
}

/// Why a name was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameReason {
    /// No rule of the profile names it.
    NameNotAllowed,
    /// All its addresses are private.
    NameOfPrivate,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(class) => class.fmt(f),
            Self::Name(NameReason::NameNotAllowed) => f.pad("name not allowed"),
            Self::Name(NameReason::NameOfPrivate) => f.pad("name of a private address"),
        }
    }
}

/// What the record as a whole can tell, for everybody to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Since when this service has been recording, in milliseconds since the epoch.
    pub since: u64,
    /// Records that were lost since then: more came than could be written down.
    pub lost: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let denial = Denial {
            first: 1,
            last: 2,
            session: Some("shop-1a2b".into()),
            profile: "public".into(),
            identity: 7,
            reason: Reason::Address(Class::OnLink),
            protocol: "tcp".into(),
            address: Some([10, 0, 0, 5].into()),
            port: Some(5432),
            names: vec!["db.corp.lan.".into()],
            count: 3,
            at_least: false,
        };
        let named = Denial { reason: Reason::Name(NameReason::NameNotAllowed), address: None, ..denial.clone() };
        for denial in [denial, named] {
            let line = serde_json::to_string(&denial).unwrap();
            assert_eq!(serde_json::from_str::<Denial>(&line).unwrap(), denial, "{line}");
        }
    }
}
