//! The named sets whose content follows from the configuration or from the host.

use super::words::{self, DeclaredSet};
use crate::policy::Surroundings;
use crate::policy::ranges;
use crate::policy::ruleset::{Opening, ProfileRules, Ruleset, Version, aggregated};
use ipnet::IpNet;
use nftables::expr::Expression;
use std::net::IpAddr;

/// The two families of addresses that everything about addresses exists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// All there are.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// That of an address.
    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn address_type(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }

    pub(super) fn digit(self) -> char {
        match self {
            Self::V4 => '4',
            Self::V6 => '6',
        }
    }

    /// The name of a set of the whole table.
    pub(super) fn set(self, kind: &str) -> String {
        format!("{kind}{}", self.digit())
    }

    /// The name of a set of one profile. No kind has a '-', so no two of them meet.
    pub(super) fn profile_set(self, kind: &str, profile: &ProfileRules) -> String {
        format!("{kind}{}-{}", self.digit(), profile.name)
    }
}

/// What the names of sets carry of a version: 48 bits of it. Without a version, "0".
pub fn tag(version: Option<&Version>) -> String {
    version.map_or_else(|| "0".to_owned(), |version| version.to_string().chars().take(12).collect())
}

pub(super) const DENIED: &str = "denied";
pub(super) const NEVER: &str = "never";
pub(super) const ON_LINK: &str = "onlink";
pub(super) const ON_LINK_PORTS: &str = "onlinkports";
pub(super) const ON_LINK_CONTROL: &str = "onlinkcontrol";
pub(super) const HOST: &str = "host";
pub(super) const PREFIX: &str = "prefix";

/// The sets whose content follows from the ruleset alone.
pub(super) fn fixed(ruleset: &Ruleset) -> Vec<DeclaredSet> {
    let never = aggregated(ranges::never_behind_a_name());
    let mut sets = Vec::new();
    for family in Family::BOTH {
        sets.extend([nets(family, DENIED, &ruleset.denied), nets(family, NEVER, &never)]);
    }
    for profile in &ruleset.profiles {
        for family in Family::BOTH {
            sets.push(openings(family, HOST, profile, &profile.hosts));
            sets.push(openings(family, PREFIX, profile, &profile.prefixes));
        }
    }
    sets
}

/// The sets that follow the host. `version` marks the on-link prefixes.
pub(super) fn followed(version: Option<&Version>, surroundings: &Surroundings) -> Vec<DeclaredSet> {
    let mut sets = Family::BOTH.map(|family| nets(family, ON_LINK, &surroundings.on_link)).to_vec();
    let canary = version.map(|version| version.on_link_canary(&surroundings.on_link));
    let ports = |ports: &[u16]| ports.iter().map(|port| Expression::Number((*port).into())).collect();
    for (name, ports) in [
        (ON_LINK_PORTS, canary.map(|canary| ports(&canary.ports))),
        (ON_LINK_CONTROL, canary.map(|canary| ports(&[canary.control]))),
    ] {
        sets.push(words::interval_set(name.to_owned(), vec!["inet_service"], ports.unwrap_or_default()));
    }
    sets
}

fn nets(family: Family, kind: &str, nets: &[IpNet]) -> DeclaredSet {
    let ours = nets.iter().filter(|net| Family::of(&net.addr()) == family);
    words::interval_set(family.set(kind), vec![family.address_type()], ours.map(words::net).collect())
}

fn openings(family: Family, kind: &str, profile: &ProfileRules, openings: &[Opening]) -> DeclaredSet {
    let types = vec![family.address_type(), "inet_proto", "inet_service"];
    let ours = openings.iter().filter(|opening| Family::of(&opening.net.addr()) == family);
    words::interval_set(family.profile_set(kind, profile), types, ours.map(words::opening).collect())
}
