//! Which bridges of the host's the sandboxes' networks are.

use super::answers::Vmnet;
use crate::firewall::pf::{InterfaceName, Network};
use ipnet::IpNet;
use std::net::IpAddr;

/// Why rules for a network cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworksError {
    /// Two of them, or one and another interface, share addresses.
    #[error("the networks '{first}' and '{second}' of Apple's `container` have the same addresses")]
    Overlap {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// The address of its gateway is that of something else.
    #[error("the gateway {gateway} of the network '{network}' is an address of {interface}, which is no bridge")]
    NoBridge {
        /// The network.
        network: String,
        /// Its gateway.
        gateway: IpAddr,
        /// The interface.
        interface: String,
    },
}

/// Whether the host has any bridge that something could be behind.
pub fn has_bridge(addresses: &[(String, IpNet)]) -> bool {
    addresses.iter().any(|(interface, _)| interface.starts_with("bridge"))
}

/// The rules' networks, in the order of the tool's. vmnet makes a bridge when the first virtual machine comes to it:
/// a network without one has no packets yet, and is not here. The tool does not tell the bridge, so it is the one that
/// has the gateway's address. `addresses` are those of the host, with the names of their interfaces.
pub fn behind_bridges(networks: &[Vmnet], addresses: &[(String, IpNet)]) -> Result<Vec<Network>, NetworksError> {
    for (position, first) in networks.iter().enumerate() {
        if let Some(second) = networks[position + 1..].iter().find(|second| overlap(first, second)) {
            return Err(NetworksError::Overlap { first: first.name.clone(), second: second.name.clone() });
        }
    }
    let found = networks.iter().filter_map(|network| {
        let gateway = IpAddr::from(network.gateway);
        let (interface, _) = addresses.iter().find(|(_, address)| address.addr() == gateway)?;
        Some(bridge(interface, network, gateway))
    });
    found.collect()
}

fn overlap(first: &Vmnet, second: &Vmnet) -> bool {
    let within = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    first.subnets().iter().any(|a| second.subnets().iter().any(|b| within(a, b)))
}

fn bridge(interface: &str, network: &Vmnet, gateway: IpAddr) -> Result<Network, NetworksError> {
    let name = InterfaceName::new(interface).ok().filter(|_| interface.starts_with("bridge"));
    match name {
        Some(interface) => Ok(Network { profile: network.profile.clone(), interface, subnets: network.subnets() }),
        None => Err(NetworksError::NoBridge {
            network: network.name.clone(),
            gateway,
            interface: crate::shown::text(interface),
        }),
    }
}
