//! The bridges of container engines, made and removed by root as the rules say. They are there only
//! while rules for them are: they come after, and go before.

use super::onlink::{self, OnLinkError};
use crate::network::netlink::Rtnetlink;
use crate::policy::bridge::Bridge;
use crate::policy::identity::PROFILES_MAX;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// The hardware address of the bridge with this number, by which it is known as ours: an interface is made
/// with it, whereas the kernel gives it an alias only later. Not of a sandbox's kind.
fn mac(number: u8) -> Vec<u8> {
    vec![0x02, b'r', b'b', number, 0, 1]
}

/// Why bridges are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// Another interface has the name.
    #[error("there is an interface {0} that rcc did not make, so no bridge of that name can be: remove or rename it")]
    Taken(String),
    /// The prefix is in use.
    #[error(
        "the bridge {interface} would have {net}, which overlaps {other} on another interface: choose another prefix \
         by `v4` or `v6` in [bridges] of /etc/rcc/config.toml"
    )]
    Overlap {
        /// The bridge.
        interface: String,
        /// Its prefix.
        net: IpNet,
        /// What is there.
        other: IpNet,
    },
    /// The host does not route.
    #[error(
        "this host forwards no packets, so nothing on a bridge reaches anything: start the container engine, which \
         sets net.ipv4.ip_forward=1, or set it by sysctl"
    )]
    NoForwarding,
    /// What is there could not be read.
    #[error(transparent)]
    Links(#[from] OnLinkError),
    /// The kernel refused.
    #[error("cannot {attempt} the bridge {interface}: {source}")]
    Kernel {
        /// What was attempted.
        attempt: &'static str,
        /// Which one.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Whether packets from a bridge get anywhere. What is asked before a sandbox starts, not when rules
/// are loaded: at boot that is before engines start.
///
/// # Errors
/// If they do not.
pub fn forwards() -> Result<(), BridgeError> {
    let value = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
    if value.trim() == "1" { Ok(()) } else { Err(BridgeError::NoForwarding) }
}

/// An interface with one of our names.
#[derive(Clone, Copy)]
struct Present {
    index: u32,
    ours: bool,
}

/// Removes those that are ours and not among these. To be called before the rules for them go.
pub(super) fn remove_others(bridges: &[Bridge]) -> Result<(), BridgeError> {
    for (interface, present) in present()? {
        if present.ours && !bridges.iter().any(|bridge| bridge.interface() == interface) {
            let mut link = LinkMessage::default();
            link.header.index = present.index;
            change("remove", &interface, RouteNetlinkMessage::DelLink(link))?;
        }
    }
    Ok(())
}

/// Makes those that are missing. To be called once there are rules for them. True if any was missing.
pub(super) fn make(bridges: &[Bridge]) -> Result<bool, BridgeError> {
    let present = present()?;
    let on_link = onlink::read()?.on_link;
    let mut made = false;
    for bridge in bridges {
        let interface = bridge.interface();
        match present.get(&interface) {
            Some(Present { ours: false, .. }) => return Err(BridgeError::Taken(interface)),
            Some(_) => {}
            None => {
                refuse_overlap(bridge, &on_link)?;
                change("make", &interface, RouteNetlinkMessage::NewLink(link(bridge)))?;
                made = true;
            }
        }
    }
    let present = self::present()?;
    for bridge in bridges {
        let interface = bridge.interface();
        let Some(Present { index, .. }) = present.get(&interface).copied() else { continue };
        for (address, length) in [
            (IpAddr::V4(bridge.gateway_v4()), bridge.v4.prefix_len()),
            (IpAddr::V6(bridge.gateway_v6()), bridge.v6.prefix_len()),
        ] {
            match change("give an address to", &interface, RouteNetlinkMessage::NewAddress(own(index, address, length)))
            {
                // A host without IPv6, whose bridges then have none either.
                Err(BridgeError::Kernel { .. }) if address.is_ipv6() => {}
                result => result?,
            }
        }
        let mut up = LinkMessage::default();
        up.header.index = index;
        (up.header.flags, up.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
        change("set up", &interface, RouteNetlinkMessage::SetLink(up))?;
    }
    Ok(made)
}

fn refuse_overlap(bridge: &Bridge, on_link: &[IpNet]) -> Result<(), BridgeError> {
    for net in [IpNet::V4(bridge.v4), IpNet::V6(bridge.v6)] {
        if let Some(other) = on_link.iter().find(|other| net.contains(*other) || other.contains(&net)) {
            return Err(BridgeError::Overlap { interface: bridge.interface(), net, other: *other });
        }
    }
    Ok(())
}

fn change(attempt: &'static str, interface: &str, message: RouteNetlinkMessage) -> Result<(), BridgeError> {
    let changed = Rtnetlink::open().and_then(|netlink| netlink.change(message));
    changed.map_err(|source| BridgeError::Kernel { attempt, interface: interface.to_owned(), source })
}

fn link(bridge: &Bridge) -> LinkMessage {
    let [.., position] = bridge.mac_start();
    let mut link = LinkMessage::default();
    link.attributes = vec![
        LinkAttribute::IfName(bridge.interface()),
        // Without one it would change with every container.
        LinkAttribute::Address(mac(position)),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ];
    link
}

fn own(index: u32, address: IpAddr, length: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    (message.header.prefix_len, message.header.index) = (length, index);
    if address.is_ipv6() {
        // Nobody else may have it, and nobody waits until that is sure.
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    message
}

fn present() -> Result<BTreeMap<String, Present>, BridgeError> {
    let mut present = BTreeMap::new();
    onlink::links(|link| {
        let name = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        });
        let number = name.as_ref().and_then(|name| name.strip_prefix("rcc")?.parse::<u8>().ok());
        let number = number.filter(|number| usize::from(*number) < PROFILES_MAX);
        if let Some((name, number)) = name.zip(number) {
            let ours = link.attributes.contains(&LinkAttribute::Address(mac(number)));
            present.insert(name, Present { index: link.header.index, ours });
        }
    })?;
    Ok(present)
}
