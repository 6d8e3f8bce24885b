//! The named sets of the table.

use super::words;
use crate::policy::Surroundings;
use crate::policy::ruleset::{Opening, ProfileRules, Ruleset, Version};
use ipnet::IpNet;
use nftables::expr::Expression;
use nftables::schema::{Set, SetType};
use std::net::IpAddr;

/// The two families of addresses that everything about addresses exists for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn address_type(self) -> SetType {
        match self {
            Self::V4 => SetType::Ipv4Addr,
            Self::V6 => SetType::Ipv6Addr,
        }
    }

    fn digit(self) -> char {
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

pub(super) const DENIED: &str = "denied";
pub(super) const ON_LINK: &str = "onlink";
pub(super) const ON_LINK_PORTS: &str = "onlinkports";
pub(super) const ON_LINK_CONTROL: &str = "onlinkcontrol";
pub(super) const HOST: &str = "host";
pub(super) const PREFIX: &str = "prefix";

/// The sets whose content follows from the ruleset alone.
pub(super) fn fixed(ruleset: &Ruleset) -> Vec<Set<'static>> {
    let mut sets: Vec<Set<'static>> = Family::BOTH.map(|family| nets(family, DENIED, &ruleset.denied)).to_vec();
    for profile in &ruleset.profiles {
        for family in Family::BOTH {
            sets.push(openings(family, HOST, profile, &profile.hosts));
            sets.push(openings(family, PREFIX, profile, &profile.prefixes));
        }
    }
    sets
}

/// The sets that follow the host. `version` marks the on-link prefixes.
pub(super) fn dynamic(version: Option<&Version>, surroundings: &Surroundings) -> Vec<Set<'static>> {
    let mut sets = Family::BOTH.map(|family| nets(family, ON_LINK, &surroundings.on_link)).to_vec();
    let canary = version.map(|version| version.on_link_canary(&surroundings.on_link));
    let ports = |ports: &[u16]| ports.iter().map(|port| Expression::Number((*port).into())).collect();
    for (name, ports) in [
        (ON_LINK_PORTS, canary.map(|canary| ports(&canary.ports))),
        (ON_LINK_CONTROL, canary.map(|canary| ports(&[canary.control]))),
    ] {
        sets.push(words::set(name.to_owned(), &[SetType::InetService], ports.unwrap_or_default()));
    }
    sets
}

fn nets(family: Family, kind: &str, nets: &[IpNet]) -> Set<'static> {
    let ours = nets.iter().filter(|net| Family::of(&net.addr()) == family);
    words::set(family.set(kind), &[family.address_type()], ours.map(words::net).collect())
}

fn openings(family: Family, kind: &str, profile: &ProfileRules, openings: &[Opening]) -> Set<'static> {
    let types = [family.address_type(), SetType::InetProto, SetType::InetService];
    let ours = openings.iter().filter(|opening| Family::of(&opening.net.addr()) == family);
    words::set(family.profile_set(kind, profile), &types, ours.map(words::opening).collect())
}
