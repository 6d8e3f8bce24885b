//! The routing table as route(4) of macOS hands it out: messages with addresses behind them. Pure.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// The index of the interface that it leads through.
    pub interface: u16,
    /// Whether there is a router on the way.
    pub gateway: bool,
}

/// Offsets in `struct rt_msghdr` and its size (net/route.h).
const LENGTH: usize = 0;
const INDEX: usize = 4;
const FLAGS: usize = 8;
const ADDRESSES: usize = 12;
const HEADER: usize = 92;

/// `RTF_*` (net/route.h).
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const HOST: u32 = 0x4;
/// Made by the system for one neighbour: the prefix that it is from is in the table as well.
const LINK_LAYER: u32 = 0x400;
/// Made by the system for one destination of another route.
const WAS_CLONED: u32 = 0x2_0000;
/// Only for sockets that are bound to the interface, so for no packet of a sandbox.
const SCOPED: u32 = 0x100_0000;

/// `RTA_*`: which addresses follow, in the order of these bits.
const DESTINATION: u32 = 0x1;
const NETMASK: u32 = 0x4;

/// Address families (sys/socket.h).
const INET: u8 = 2;
const INET6: u8 = 30;

/// Reads what `sysctl` returns for `NET_RT_DUMP`. A message that is cut ends it; routes that do not
/// concern forwarded packets are left out.
pub fn parse(mut dump: &[u8]) -> Vec<Route> {
    let mut routes = Vec::new();
    while let Some(length) = u16_at(dump, LENGTH).map(usize::from) {
        let Some((message, rest)) = dump.split_at_checked(length).filter(|_| length >= HEADER) else { break };
        routes.extend(route(message));
        dump = rest;
    }
    routes
}

fn route(message: &[u8]) -> Option<Route> {
    let (flags, present) = (u32_at(message, FLAGS)?, u32_at(message, ADDRESSES)?);
    if flags & UP == 0 || flags & (LINK_LAYER | WAS_CLONED | SCOPED) != 0 {
        return None;
    }
    let mut rest = &message[HEADER..];
    let (mut destination, mut mask) = (None, None);
    for bit in (0..8).map(|shift| 1 << shift).filter(|bit| present & bit != 0) {
        let length = usize::from(*rest.first()?);
        match bit {
            DESTINATION => destination = Some(address(rest.get(..length)?)?),
            NETMASK => mask = Some(rest.get(..length)?),
            _ => {}
        }
        // An empty address takes four bytes too.
        rest = rest.get(length.max(1).next_multiple_of(4)..).unwrap_or_default();
    }
    let destination = destination?;
    let whole = if destination.is_ipv4() { 32 } else { 128 };
    let length =
        if flags & HOST != 0 { whole } else { mask.map_or(Some(0), |mask| ones(mask, destination.is_ipv4()))? };
    let destination = IpNet::new(destination, length).ok()?.trunc();
    Some(Route { destination, interface: u16_at(message, INDEX)?, gateway: flags & GATEWAY != 0 })
}

/// A `sockaddr_in` or `sockaddr_in6`. The kernel hides the interface of link-local addresses in
/// their second group.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    match *bytes.get(1)? {
        INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(4..8)?).ok()?).into()),
        INET6 => {
            let mut octets = <[u8; 16]>::try_from(bytes.get(8..24)?).ok()?;
            if Ipv6Addr::from(octets).is_unicast_link_local() {
                octets[2..4].fill(0);
            }
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

/// The length of the prefix that a mask stands for; trailing zeros of masks are left out. `None` if
/// its ones are not all in front.
fn ones(mask: &[u8], v4: bool) -> Option<u8> {
    let (start, size) = if v4 { (4, 4) } else { (8, 16) };
    let mut octets = [0; 16];
    let given = mask.get(start..).unwrap_or_default();
    let given = &given[..given.len().min(size)];
    octets[..given.len()].copy_from_slice(given);
    let bits = u128::from_be_bytes(octets);
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).ok())?
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
