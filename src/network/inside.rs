//! The sandbox's own network namespace: loopback, the second layer of denials, and a last look
//! before the agent starts.

use super::dead_end::INTERFACE;
use super::netlink::Rtnetlink;
use super::proc_routes::{self, Route};
use super::routes::Routes;
use super::tun;
use ipnet::IpNet;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily as Family, SocketType, socket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

/// The index of `lo`, `LOOPBACK_IFINDEX` in the kernel's include/net/flow.h.
const LOOPBACK: u32 = 1;

/// Why the network namespace could not be prepared or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum InsideError {
    /// A request to the kernel failed.
    #[error("cannot {what} in the sandbox's network namespace: {source}")]
    Prepare {
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A denied address has a route.
    #[error("the sandbox has a route to {address}, which its profile denies")]
    Routed {
        /// The address.
        address: IpAddr,
    },
    /// Something other than loopback is there although the run is offline.
    #[error("the sandbox has a route to {destination} by {interface} although it is offline")]
    Online {
        /// Where the route leads.
        destination: IpNet,
        /// By which interface.
        interface: String,
    },
}

/// Sets loopback up, and the send buffer to what keeps uploads through pasta fast (measured: 20
/// to 100 times slower with the kernel's default maximum of 4 MiB). Lets this group use ping(8)
/// without a privilege.
pub fn prepare(gid: u32) -> Result<(), InsideError> {
    let fail = |what| move |source| InsideError::Prepare { what, source };
    let netlink = Rtnetlink::open().map_err(fail("open rtnetlink"))?;
    let mut loopback = LinkMessage::default();
    loopback.header.index = LOOPBACK;
    loopback.header.flags = LinkFlags::Up;
    loopback.header.change_mask = LinkFlags::Up;
    netlink.change(RouteNetlinkMessage::SetLink(loopback)).map_err(fail("set loopback up"))?;
    // Where /proc/sys is read-only (inside a container) uploads are slow, and that is all.
    let group = format!("{gid} {gid}");
    for (name, value) in [("tcp_wmem", "4096 16384 524288"), ("ping_group_range", group.as_str())] {
        if let Err(error) = std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value) {
            tracing::debug!("{name} stays at its default: {error}");
        }
    }
    Ok(())
}

/// Makes the interface that denied ranges are routed to ([`super::dead_end`]).
pub fn make_dead_end() -> Result<OwnedFd, InsideError> {
    let fail = |what| move |source| InsideError::Prepare { what, source };
    let tun = tun::create(INTERFACE).map_err(|errno| fail("make an interface by /dev/net/tun")(errno.into()))?;
    let netlink = Rtnetlink::open().map_err(fail("open rtnetlink"))?;
    let mut link = LinkMessage::default();
    link.header.index = dead_end().map_err(fail("find an interface"))?;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    netlink.change(RouteNetlinkMessage::SetLink(link)).map_err(fail("set an interface up"))?;
    Ok(tun)
}

fn dead_end() -> io::Result<u32> {
    let socket = socket(Family::INET, SocketType::DGRAM, None)?;
    Ok(name_to_index(socket, INTERFACE)?)
}

/// Adds the second layer, after pasta has set the interface up: the planned prefixes, and those
/// that pasta copied from the host's link.
pub fn add_routes(routes: &Routes) -> Result<(), InsideError> {
    let fail = |what| move |source| InsideError::Prepare { what, source };
    if routes.prohibited.is_empty() {
        return Ok(());
    }
    let netlink = Rtnetlink::open().map_err(fail("open rtnetlink"))?;
    let present = proc_routes::read().map_err(fail("read the routes"))?;
    let on_link = present.iter().filter(|route| route.gateway.is_none() && route.destination.prefix_len() > 0);
    let on_link = on_link.map(|route| &route.destination).filter(|net| !is_link_local(net));
    let index = dead_end().map_err(fail("find an interface"))?;
    for net in routes.prohibited.iter().chain(on_link) {
        match netlink.change(RouteNetlinkMessage::NewRoute(prohibit(net, index))) {
            // No IPv6 in the kernel or in this namespace: nothing to prohibit.
            Err(error) if net.addr().is_ipv6() && lacks_ipv6(&error) => (),
            result => result.map_err(fail("prohibit a private range"))?,
        }
    }
    for net in &routes.permitted {
        add_way(&netlink, &present, net)?;
    }
    Ok(())
}

/// Gives one address the way of the default route: the firewall has opened it meanwhile. False if
/// there is no such route, and nothing else has a way to it than the dead end.
pub fn open_way(address: IpAddr) -> Result<bool, InsideError> {
    let fail = |what| move |source| InsideError::Prepare { what, source };
    let netlink = Rtnetlink::open().map_err(fail("open rtnetlink"))?;
    add_way(&netlink, &proc_routes::read().map_err(fail("read the routes"))?, &address.into())
}

fn add_way(netlink: &Rtnetlink, present: &[Route], net: &IpNet) -> Result<bool, InsideError> {
    let fail = |what| move |source| InsideError::Prepare { what, source };
    let same_family = |route: &&Route| route.destination.addr().is_ipv4() == net.addr().is_ipv4();
    let default = present.iter().filter(same_family).find(|route| route.destination.prefix_len() == 0);
    let Some(default) = default else { return Ok(false) };
    let message = permit(net, default).map_err(fail("name the interface"))?;
    netlink.change(RouteNetlinkMessage::NewRoute(message)).map_err(fail("route an exception"))?;
    Ok(true)
}

/// pasta's own neighbour addresses are link-local; without a scope nobody reaches through them.
fn is_link_local(net: &IpNet) -> bool {
    matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EACCES | libc::ENODEV))
}

fn prohibit(net: &IpNet, dead_end: u32) -> RouteMessage {
    let mut message = route(net, RouteType::Unicast);
    if net.addr().is_ipv6() {
        // Ahead of the kernel's own on-link routes, whose metric is 256.
        message.attributes.push(RouteAttribute::Priority(1));
    } else {
        message.header.scope = RouteScope::Link;
    }
    message.attributes.push(RouteAttribute::Oif(dead_end));
    message
}

fn permit(net: &IpNet, default: &Route) -> io::Result<RouteMessage> {
    let socket = socket(Family::INET, SocketType::DGRAM, None)?;
    let mut message = route(net, RouteType::Unicast);
    if let Some(gateway) = default.gateway {
        message.attributes.push(RouteAttribute::Gateway(gateway.into()));
        // The link that the gateway is on may be prohibited by now.
        message.header.flags = RouteFlags::Onlink;
    }
    message.attributes.push(RouteAttribute::Oif(name_to_index(socket, &default.interface)?));
    Ok(message)
}

fn route(net: &IpNet, kind: RouteType) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = if net.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.destination_prefix_length = net.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = kind;
    message.attributes.push(RouteAttribute::Destination(net.network().into()));
    message
}

/// Looks for a way to a prohibited range other than to the dead end.
pub fn verify_routes(routes: &Routes) -> Result<(), InsideError> {
    let fail = |what| move |source| InsideError::Prepare { what, source };
    let present = proc_routes::read().map_err(fail("read the routes"))?;
    for net in &routes.prohibited {
        let address = first_host(net);
        let permitted = routes.permitted.iter().any(|permitted| permitted.contains(&address));
        // The longest prefix wins; of two equal ones that of the lower metric, which is ours.
        let around = present.iter().filter(|route| route.destination.contains(&address));
        let way = around.max_by_key(|route| (route.destination.prefix_len(), route.interface == INTERFACE));
        if !permitted && way.is_some_and(|route| route.interface != INTERFACE) {
            return Err(InsideError::Routed { address });
        }
    }
    Ok(())
}

fn first_host(net: &IpNet) -> IpAddr {
    match net.network() {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) | u32::from(net.prefix_len() < 32)).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) | u128::from(net.prefix_len() < 128)).into(),
    }
}

/// Looks for any way out of a sandbox that is to be offline.
pub fn verify_offline() -> Result<(), InsideError> {
    let read = proc_routes::read().map_err(|source| InsideError::Prepare { what: "read the routes", source })?;
    match read.first() {
        Some(route) => Err(InsideError::Online { destination: route.destination, interface: route.interface.clone() }),
        None => Ok(()),
    }
}
