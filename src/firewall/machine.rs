//! The same rules inside the Linux machine that an engine's containers run in. Where packets are moved in user space
//! (OrbStack, Docker Desktop) the host's own packet filter does not see whose they are.
//!
//! Nothing of ours runs there but for a moment, so nobody follows anything: what the host is next to is written into
//! the rules when they are loaded, the prefixes of its VPNs among it, and no name opens anything. What is loaded is
//! compared with what the same nft lists of the same rules in a network namespace where nobody else is.

use super::loaded::Loaded;
use super::nft::{self, Document};
use super::state::State;
use crate::policy::Surroundings;
use crate::policy::ruleset::{Ruleset, Version, aggregated};
use ipnet::IpNet;
use serde_json::Value;

/// Before OrbStack's offload of flows, which is at `filter` (0) and moves packets that it knows past all later rules.
const PRIORITY: i32 = -2;

/// A listing is no longer than this, in octets: 10,000 exceptions make some megabytes.
pub const LISTING_MAX: usize = 32 << 20;

/// What nft prints for this is what is compared.
pub const LIST: [&str; 5] = ["nft", "-j", "list", "ruleset", "inet"];
/// This loads what is on its standard input, in one transaction.
pub const LOAD: [&str; 4] = ["nft", "-j", "-f", "-"];

/// Why a listing says nothing.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// More than there can be.
    #[error("the listing of the rules is longer than {LISTING_MAX} octets")]
    TooLong,
    /// No listing.
    #[error("the listing of the rules is not nft's JSON: {0}")]
    Shape(#[from] serde_json::Error),
    /// The same nft lists nothing of what it has just loaded.
    #[error("nft loads the rules in an empty network namespace, and lists none of them")]
    NoComparison,
}

/// The rules for such a machine.
#[derive(Clone, Debug)]
pub struct Rules {
    ruleset: Ruleset,
    version: Version,
    document: Document,
}

impl Rules {
    /// `surroundings` are the host's, and `vpn` the prefixes that its VPNs are routed for: inside the machine neither
    /// can be seen. The host's own bridges for engines are not there: each profile has one in the machine.
    pub fn new(ruleset: Ruleset, surroundings: &Surroundings, vpn: &[IpNet]) -> Self {
        let ruleset = Ruleset { bridges: Vec::new(), ..ruleset };
        let on_link = aggregated(surroundings.on_link.iter().chain(vpn).copied().collect());
        let version = nft::version_on_bridges(&ruleset, PRIORITY);
        let surroundings = Surroundings { on_link, ..surroundings.clone() };
        let document = nft::replace_on_bridges(&ruleset, &version, &surroundings, PRIORITY);
        Self { ruleset, version, document }
    }

    /// Their version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The text for [`LOAD`].
    pub fn text(&self) -> Vec<u8> {
        nft::json(&self.document)
    }

    /// What a machine's listing says, beside that of the same rules where nobody else is. Both are answers of [`LIST`]
    /// and may say anything.
    pub fn judge(&self, listed: &[u8], alone: &[u8]) -> Result<State, ListingError> {
        let expected = ours(alone)?.map(Loaded::new).ok_or(ListingError::NoComparison)?;
        // A listing that is not of these rules would let the same changes pass in both.
        if !self.is_whole(&expected) {
            return Err(ListingError::NoComparison);
        }
        let Some(loaded) = ours(listed)?.map(Loaded::new) else { return Ok(State::Absent) };
        if !loaded.is_version(&self.version, &self.ruleset) {
            return Ok(State::Stale);
        }
        // Nobody changes a set there but the kernel, which counts in some.
        let counted = nft::counted_sets(&self.ruleset);
        let same = loaded.normalised(&counted) == expected.normalised(&counted);
        Ok(if same { State::InForce } else { State::Drifted })
    }

    fn is_whole(&self, loaded: &Loaded) -> bool {
        loaded.is_version(&self.version, &self.ruleset)
            && loaded.rules_by_chain() == nft::rules_by_chain(&self.document)
    }
}

/// The objects of our table; `None` without one.
fn ours(listing: &[u8]) -> Result<Option<Vec<Value>>, ListingError> {
    #[derive(serde::Deserialize)]
    struct Listing {
        nftables: Vec<Value>,
    }
    if listing.len() > LISTING_MAX {
        return Err(ListingError::TooLong);
    }
    // nft prints nothing at all when there is nothing to list.
    if listing.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let objects = serde_json::from_slice::<Listing>(listing)?.nftables;
    let ours: Vec<Value> = objects.into_iter().filter(is_ours).collect();
    Ok((!ours.is_empty()).then_some(ours))
}

/// Whether an object is our table or in it. Elements that nft lists apart from their set are of it too.
fn is_ours(object: &Value) -> bool {
    let mut members = object.as_object().into_iter().flatten();
    members.any(|(kind, object)| {
        let name = if kind == "table" { object.get("name") } else { object.get("table") };
        object.get("family").is_some_and(|family| family == "inet") && name.is_some_and(|name| name == nft::TABLE)
    })
}

// They ask nft.
#[cfg(all(test, target_os = "linux"))]
pub(crate) mod tests;
