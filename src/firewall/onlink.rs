//! Directly connected prefixes, by rtnetlink(7). Needs no privilege, so that the guard of a
//! sandbox sees the same list as root.

use crate::policy::ranges;
use crate::policy::ruleset::aggregated;
use ipnet::IpNet;
use netlink_packet_core::{DecodeError, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::net::IpAddr;

/// Index of `lo` in every network namespace (`LOOPBACK_IFINDEX`, include/net/flow.h).
const LOOPBACK: u32 = 1;

/// Why the list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OnLinkError {
    /// The socket.
    #[error("cannot ask the kernel for addresses and routes: {0}")]
    Socket(#[from] io::Error),
    /// A message that the parser does not know how to read.
    #[error("cannot read the kernel's list of addresses and routes: {0}")]
    Decode(#[from] DecodeError),
}

/// What the host is and what it is next to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The prefixes of all addresses, and the unicast routes without a gateway, of all interfaces
    /// but `lo`; default routes are left out. With their forms behind NAT64. Aggregated.
    pub on_link: Vec<IpNet>,
    /// The host's own addresses of every interface, `lo` included.
    pub own: Vec<IpAddr>,
}

/// Asks the kernel, about the network namespace of the calling thread.
pub fn read() -> Result<Links, OnLinkError> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let (mut nets, mut own) = (Vec::new(), Vec::new());
    for request in [
        RouteNetlinkMessage::GetAddress(AddressMessage::default()),
        RouteNetlinkMessage::GetRoute(RouteMessage::default()),
    ] {
        dump(&socket, request, |message| match message {
            RouteNetlinkMessage::NewAddress(address) => {
                own.extend(own_address(&address));
                nets.extend(address_prefixes(&address));
            }
            RouteNetlinkMessage::NewRoute(route) => nets.extend(route_prefix(&route)),
            _ => {}
        })?;
    }
    Ok(Links { on_link: aggregated(ranges::with_nat64(nets)), own })
}

/// Visits every interface of the calling thread's network namespace.
pub(super) fn links(mut each: impl FnMut(LinkMessage)) -> Result<(), OnLinkError> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    dump(&socket, RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| {
        if let RouteNetlinkMessage::NewLink(link) = message {
            each(link);
        }
    })
}

fn dump(
    socket: &Socket,
    request: RouteNetlinkMessage,
    mut each: impl FnMut(RouteNetlinkMessage),
) -> Result<(), OnLinkError> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = &datagram[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)?;
            // Messages are aligned to 4 bytes (NLMSG_ALIGNTO, linux/netlink.h).
            let length = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io().into()),
                NetlinkPayload::InnerMessage(inner) => each(inner),
                _ => {}
            }
        }
    }
}

/// On point-to-point links `IFA_ADDRESS` is the other end (linux/if_addr.h).
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let address = |of: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(of);
    let local = address(|attribute| if let AddressAttribute::Local(local) = attribute { Some(*local) } else { None });
    local.or_else(|| address(|a| if let AddressAttribute::Address(address) = a { Some(*address) } else { None }))
}

/// Both ends of a point-to-point link.
fn address_prefixes(message: &AddressMessage) -> Vec<IpNet> {
    if message.header.index == LOOPBACK {
        return Vec::new();
    }
    let addresses = message.attributes.iter().filter_map(|attribute| match attribute {
        AddressAttribute::Address(address) | AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    addresses.filter_map(|address| prefix(address, message.header.prefix_len)).collect()
}

fn route_prefix(message: &RouteMessage) -> Option<IpNet> {
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let mut destination = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = Some(IpAddr::V4(*address)),
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => destination = Some(IpAddr::V6(*address)),
            RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => return None,
            RouteAttribute::Oif(LOOPBACK) => return None,
            // On-link if any of its hops is.
            RouteAttribute::MultiPath(hops) => {
                let behind_gateway = |attribute: &RouteAttribute| {
                    matches!(attribute, RouteAttribute::Gateway(_) | RouteAttribute::Via(_))
                };
                if hops.iter().all(|hop| hop.attributes.iter().any(behind_gateway)) {
                    return None;
                }
            }
            _ => {}
        }
    }
    prefix(destination?, message.header.destination_prefix_length)
}

fn prefix(address: IpAddr, length: u8) -> Option<IpNet> {
    let net = IpNet::new(address, length).ok().filter(|net| net.prefix_len() > 0)?;
    Some(net.trunc())
}
