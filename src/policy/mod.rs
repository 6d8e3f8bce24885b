//! What may be reached, in the domain's words. Pure: names no file, process, socket or OS.
//!
//! A [`Policy`] is the whole of what root decided about the network. It renders, in one
//! direction only, to a ruleset ([`ruleset`]) and from there to nft or pf (`crate::firewall`).

pub mod bridge;
mod exception;
pub mod explain;
pub mod identity;
mod lease;
mod name_rules;
mod names;
mod pattern;
pub mod ranges;
pub mod ruleset;
mod surroundings;

pub use exception::{BadPorts, Exception, Listed, PortRange, Ports, Protocol, Target};
pub use lease::{BadLease, Holder, Lease, LeaseTarget};
pub use name_rules::NameRules;
pub use names::{BadName, DomainName, InterfacePattern, ProfileName};
pub use pattern::NamePattern;
pub use surroundings::Surroundings;

use bridge::Bridging;
use identity::UserRange;
use ipnet::IpNet;
use serde::Serialize;

/// Everything that decides what sandboxes may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// In the order of the configuration file; `public` is always the first. The position
    /// decides which identities a profile owns ([`identity::UserRange::slots`]).
    pub profiles: Vec<Profile>,
    /// One range of network identities for each user that may run sandboxes.
    pub users: Vec<UserRange>,
    /// Prefixes that are private on this site although their addresses are public.
    pub private: Vec<IpNet>,
    /// Interfaces whose routes are private (VPNs).
    pub vpn_interfaces: Vec<InterfacePattern>,
    /// Bridges for container engines, if root wants any.
    pub bridging: Option<Bridging>,
}

/// A named network policy: what of the public internet it reaches, and its exceptions into private
/// space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Unique within a policy.
    pub name: ProfileName,
    /// A specific exception beats the broad denial.
    pub exceptions: Vec<Exception>,
    /// What of public space.
    pub reach: Reach,
}

/// What a profile reaches of public space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// All of it.
    Public,
    /// Only what these names were answered with, on these ports; nothing if there are none.
    Listed(Vec<Listed>),
}

impl Policy {
    /// Position and profile of that name.
    pub fn profile(&self, name: &ProfileName) -> Option<(usize, &Profile)> {
        self.profiles.iter().enumerate().find(|(_, profile)| profile.name == *name)
    }

    /// Whose this network identity is: the user's uid, the position of the profile, and the slot.
    pub fn holder(&self, identity: u32) -> Option<(u32, usize, u32)> {
        let found = self.users.iter().find_map(|user| user.place(identity).map(|place| (user.uid, place)));
        found.filter(|(_, (position, _))| *position < self.profiles.len()).map(|(uid, (at, slot))| (uid, at, slot))
    }
}
