//! Who owns the socket that a query came from: sock_diag(7). The kernel's word, which nobody can
//! forge with what is in a datagram.

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddr};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// `SOCK_DIAG_BY_FAMILY`, linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`, linux/netlink.h.
const ERROR: u16 = 2;
/// Octets of a `nlmsghdr`, an `inet_diag_req_v2` and an `inet_diag_msg` (linux/inet_diag.h).
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
const RESPONSE: usize = HEADER + 72;
/// Where in a message of the kernel's, after the header, the socket's own port and its owner stand.
const PORT_AT: usize = HEADER + 4;
const STATE_AT: usize = HEADER + 1;
const UID_AT: usize = HEADER + 64;
/// `TCP_LISTEN`, linux/tcp.h (`enum`, netinet/tcp.h): a listener is not the socket of a connection.
const LISTENING: u8 = 10;
/// `lo` in every network namespace (`LOOPBACK_IFINDEX`, include/net/flow.h).
const LOOPBACK: u32 = 1;

/// What a query came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
}

/// A way to ask the kernel.
pub struct Owners {
    socket: Socket,
    sequence: u32,
}

impl Owners {
    /// Opens it, for the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&NetlinkAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The uid of the local socket at `peer` that talks to our socket at `own`; `None` if there is none
    /// any more. Both are of the same family.
    pub fn uid(&mut self, protocol: Protocol, peer: SocketAddr, own: SocketAddr) -> io::Result<Option<u32>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&request(self.sequence, protocol, peer, own), 0)?;
        // The kernel answers before send(2) returns. Answers to what was given up on are skipped.
        let mut buffer = [0_u8; 512];
        loop {
            let length = self.socket.recv(&mut buffer.as_mut_slice(), 0)?;
            let message = &buffer[..length];
            if message.len() >= HEADER && word(message, 8) == self.sequence {
                return owner(message, peer.port());
            }
        }
    }
}

/// An `inet_diag_req_v2` for one socket.
fn request(sequence: u32, protocol: Protocol, peer: SocketAddr, own: SocketAddr) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
    let (family, transport) = match (peer, protocol) {
        (SocketAddr::V4(_), Protocol::Udp) => (libc::AF_INET, libc::IPPROTO_UDP),
        (SocketAddr::V4(_), Protocol::Tcp) => (libc::AF_INET, libc::IPPROTO_TCP),
        (SocketAddr::V6(_), Protocol::Udp) => (libc::AF_INET6, libc::IPPROTO_UDP),
        (SocketAddr::V6(_), Protocol::Tcp) => (libc::AF_INET6, libc::IPPROTO_TCP),
    };
    (bytes[HEADER], bytes[HEADER + 1]) = (family as u8, transport as u8);
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&u32::MAX.to_ne_bytes());
    // For TCP the first place is the socket's own, for UDP that of the packet's sender ("swapped for
    // historical reasons", net/ipv4/udp_diag.c).
    let (first, second) = match protocol {
        Protocol::Tcp => (peer, own),
        Protocol::Udp => (own, peer),
    };
    let id = HEADER + 8;
    bytes[id..id + 2].copy_from_slice(&first.port().to_be_bytes());
    bytes[id + 2..id + 4].copy_from_slice(&second.port().to_be_bytes());
    write_address(&mut bytes[id + 4..id + 20], first.ip());
    write_address(&mut bytes[id + 20..id + 36], second.ip());
    bytes[id + 36..id + 40].copy_from_slice(&LOOPBACK.to_ne_bytes());
    // INET_DIAG_NOCOOKIE.
    bytes[id + 40..id + 48].fill(0xff);
    bytes
}

fn write_address(place: &mut [u8], address: IpAddr) {
    match address {
        IpAddr::V4(v4) => place[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => place.copy_from_slice(&v6.octets()),
    }
}

/// Reads an `inet_diag_msg` or an error.
fn owner(message: &[u8], port: u16) -> io::Result<Option<u32>> {
    if u16::from_ne_bytes([message[4], message[5]]) == ERROR && message.len() >= HEADER + 4 {
        let code = word(message, HEADER).cast_signed();
        return match -code {
            libc::ENOENT => Ok(None),
            code => Err(io::Error::from_raw_os_error(code)),
        };
    }
    if message.len() < RESPONSE {
        return Err(io::Error::other("the kernel's answer about a socket is cut short"));
    }
    let own_port = u16::from_be_bytes([message[PORT_AT], message[PORT_AT + 1]]);
    let is_it = own_port == port && message[STATE_AT] != LISTENING;
    Ok(is_it.then(|| word(message, UID_AT)))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// Gives a socket to another uid, as only root can.
    fn give_away(socket: impl std::os::fd::AsFd) -> u32 {
        let other = if me() == 0 { 4242 } else { me() };
        rustix::fs::fchown(socket, Some(rustix::process::Uid::from_raw(other)), None).unwrap();
        other
    }

    #[test]
    fn the_kernel_tells_whose_datagram_it_is() {
        let mut owners = Owners::open().unwrap();
        for own in ["127.0.0.1:0", "[::1]:0"] {
            let server = UdpSocket::bind(own).unwrap();
            let own = server.local_addr().unwrap();
            for connected in [false, true] {
                let any = if own.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let client = UdpSocket::bind(any).unwrap();
                let owner = give_away(&client);
                if connected {
                    client.connect(own).unwrap();
                }
                client.send_to(b"q", own).or_else(|_| client.send(b"q")).unwrap();
                let (_, peer) = server.recv_from(&mut [0; 8]).unwrap();
                assert_eq!(owners.uid(Protocol::Udp, peer, own).unwrap(), Some(owner), "{own} {connected}");
                drop(client);
                assert_eq!(owners.uid(Protocol::Udp, peer, own).unwrap(), None);
            }
        }
    }

    #[test]
    fn the_kernel_tells_whose_connection_it_is() {
        let mut owners = Owners::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let owner = give_away(&client);
        let (server, peer) = listener.accept().unwrap();
        let own = server.local_addr().unwrap();
        assert_eq!(owners.uid(Protocol::Tcp, peer, own).unwrap(), Some(owner));
    }

    #[test]
    fn a_listener_on_the_senders_port_is_not_the_sender() {
        let mut owners = Owners::open().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let own = SocketAddr::new(peer.ip(), 53);
        assert_eq!(owners.uid(Protocol::Tcp, peer, own).unwrap(), None);
    }
}
