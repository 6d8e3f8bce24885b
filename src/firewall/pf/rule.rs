//! One rule of pf, as plain data.

use super::InterfaceName;
use crate::policy::PortRange;
use crate::policy::ruleset::Transport;
use ipnet::IpNet;

/// A rule for packets that come in on an interface. All are `quick`: the first that matches
/// decides. What is denied is logged, what is allowed keeps a state for its answers (TCP from its
/// SYN on), what NDP needs does neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What becomes of the packet.
    pub action: Action,
    /// Where it comes in.
    pub interface: InterfaceName,
    /// What it carries.
    pub protocol: Protocol,
    /// Its source; `None` for any of any family.
    pub from: Option<IpNet>,
    /// Its destination, of the family of `from`; `None` for any.
    pub to: Option<IpNet>,
    /// Its destination port; for TCP and UDP only.
    pub ports: Option<PortRange>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes.
    Pass,
    /// It is answered by a reset; for TCP only.
    Reset,
    /// It is dropped in silence. pf could answer by ICMP, which the crate `pfctl` can't ask for.
    Drop,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Anything.
    Any,
    /// TCP or UDP.
    Transport(Transport),
    /// A message of neighbour discovery, without which IPv6 reaches not even the next router.
    Ndp(Ndp),
}

/// Messages of neighbour discovery that sandboxes may send (RFC 4861, 4.1, 4.3, 4.4). None of them
/// is ever forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ndp {
    /// Looks for routers.
    RouterSolicitation,
    /// Looks for a neighbour.
    NeighbourSolicitation,
    /// Answers one.
    NeighbourAdvertisement,
}

impl Ndp {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RouterSolicitation, Self::NeighbourSolicitation, Self::NeighbourAdvertisement];
}
