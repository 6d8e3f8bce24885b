//! What the rules must follow although root's configuration does not name it.

use super::DomainName;
use ipnet::IpNet;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The changing part of the rules, read from the host by root. Plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Surroundings {
    /// Prefixes that are directly connected, whatever their addresses; sorted, neither
    /// overlapping nor adjacent ([`super::ruleset::aggregated`]).
    pub on_link: Vec<IpNet>,
    /// The host's DNS servers; may be on loopback. Sorted, distinct.
    pub resolvers: Vec<IpAddr>,
    /// The addresses of the names that exceptions are made for. A name without any is absent.
    pub names: BTreeMap<DomainName, Vec<IpAddr>>,
}
