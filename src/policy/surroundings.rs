//! What the network service must follow although root's configuration does not name it.

use ipnet::IpNet;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// The changing part, read from the host by root. Plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Surroundings {
    /// Prefixes that are directly connected, whatever their addresses; sorted, neither
    /// overlapping nor adjacent ([`super::ruleset::aggregated`]).
    pub on_link: Vec<IpNet>,
    /// The host's own addresses, loopback included. On Linux no rule names them, since the kernel knows
    /// them; the resolver gives them to no sandbox, in no form.
    pub own: Vec<IpAddr>,
    /// The host's DNS servers in the order in which it asks them, with the interface of those that
    /// are link-local; may be on loopback. No rule names them on Linux, where sandboxes ask
    /// [`super::ruleset::RESOLVER`], which asks these.
    pub resolvers: Vec<SocketAddr>,
}
