//! What may be reached, in the domain's words. Pure: names no file, process, socket or OS.
//!
//! A [`Policy`] is the whole of what root decided about the network. It renders, in one
//! direction only, to a ruleset ([`ruleset`]) and from there to nft or pf (`crate::firewall`).

mod exception;
pub mod identity;
mod names;
pub mod ranges;
pub mod ruleset;
mod surroundings;

pub use exception::{BadPorts, Exception, PortRange, Ports, Protocol, Target};
pub use names::{BadName, DomainName, InterfacePattern, ProfileName};
pub use surroundings::Surroundings;

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
}

/// A named network policy: the public internet and these exceptions into private space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Unique within a policy.
    pub name: ProfileName,
    /// A specific exception beats the broad denial.
    pub exceptions: Vec<Exception>,
}

impl Policy {
    /// Position and profile of that name.
    pub fn profile(&self, name: &ProfileName) -> Option<(usize, &Profile)> {
        self.profiles.iter().enumerate().find(|(_, profile)| profile.name == *name)
    }
}
