//! By which interface the host would send to an address, by rtnetlink(7): whatever its tables and
//! rules are, and without any privilege.

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use std::io;
use std::net::IpAddr;

/// The name of the interface; `None` where there is no way.
///
/// # Errors
/// The kernel's, or an answer that is none.
pub fn interface_to(address: IpAddr) -> io::Result<Option<String>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(address), 0)?;
    let (datagram, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram).map_err(io::Error::other)?;
    let index = match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
            route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            })
        }
        NetlinkPayload::Error(error) => match error.to_io() {
            refused if is_no_way(&refused) => None,
            other => return Err(other),
        },
        _ => return Err(io::Error::other("the kernel answered something that is no route")),
    };
    let Some(index) = index else { return Ok(None) };
    let any = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    match rustix::net::netdevice::index_to_name(&any, index) {
        Ok(name) => Ok(Some(name)),
        // It went away in between.
        Err(Errno::NODEV | Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn request(address: IpAddr) -> Vec<u8> {
    let mut route = RouteMessage::default();
    let (family, length, destination) = match address {
        IpAddr::V4(v4) => (AddressFamily::Inet, 32, RouteAddress::Inet(v4)),
        IpAddr::V6(v6) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(v6)),
    };
    (route.header.address_family, route.header.destination_prefix_length) = (family, length);
    route.attributes.push(RouteAttribute::Destination(destination));
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::GetRoute(route)));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// ENETUNREACH, EHOSTUNREACH, and those of routes that say no: blackhole, prohibit (ip-route(8)).
fn is_no_way(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::INVAL | Errno::ACCESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_loopback_is_lo() {
        assert_eq!(interface_to("127.0.0.1".parse().unwrap()).unwrap().as_deref(), Some("lo"));
    }

    #[test]
    fn an_address_that_no_table_knows_has_no_way_and_is_no_failure() {
        // Class E and discard-only space, where nothing answers, whatever the route.
        for address in ["240.0.0.1", "100::1"] {
            interface_to(address.parse().unwrap()).unwrap();
        }
    }
}
