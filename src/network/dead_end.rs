//! Where the sandbox's packets to denied ranges go: an interface behind which somebody answers at
//! once, whatever pasta would have made of them.
//!
//! Before it answers, it tries the same destination itself, from the host's network namespace and
//! under the sandbox's identity, as pasta would have done. So it is the host's firewall that denies,
//! counts and records it; and where that has been opened meanwhile (a lease, the answer to an excepted
//! name), the sandbox gets a way there, and the packet is sent on.
//!
//! Two processes: one reads what an agent sends and has no privilege; the other sets routes, and sends
//! packets on by them without looking into them.

use super::inside;
use super::packet::{self, Destination, Protocol};
use super::unreachable;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send, sendto, socket_with,
};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// The interface's name inside.
pub const INTERFACE: &str = "denied0";
/// Destinations that are tried at once, and each second from then on. The rest is answered as if denied:
/// its record is lost, as what is beyond the rate of the log is, and a way to what has been opened is
/// found by who asks again.
const TRIES_BURST: f64 = 1000.0;
const TRIES_RATE: f64 = 100.0;
/// How long a destination counts as tried: whoever repeats is told the same.
const REPEAT: Duration = Duration::from_millis(20);
/// Destinations that are remembered for that.
const REMEMBERED_MAX: usize = 256;
/// Octets of a packet: more than what the interface takes (its MTU is 1500).
const PACKET_MAX: usize = 2048;
const ORDER_MAX: usize = 16 + PACKET_MAX;
/// Ways that one sandbox may be given.
const WAYS_MAX: usize = 1024;

/// What the firewall said to a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Denied,
    /// Not denied at once; it may be closed or far away all the same.
    Open,
    /// Nothing was tried.
    Unknown,
}

/// Answers what is sent into the interface, until that is gone. `ways` takes the addresses that
/// were opened. To be called under the network identity, in the host's network namespace.
pub fn answer(tun: impl AsFd, ways: impl AsFd) {
    let mut buffer = [0; PACKET_MAX];
    let mut tries = Tries::default();
    loop {
        let length = match rustix::io::read(&tun, &mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(_) => return,
        };
        let packet = &buffer[..length];
        // What can't be answered (multicast, errors) is no attempt to reach anybody.
        let Some((answer, to)) = unreachable::answer(packet).zip(packet::destination(packet)) else { continue };
        let verdict = tries.verdict(&to, Instant::now(), attempt);
        if verdict == Verdict::Open && send(&ways, &order(to.address, packet), SendFlags::DONTWAIT).is_ok() {
            continue;
        }
        // A full queue drops the answer; the sender tries again.
        let _ = rustix::io::write(&tun, &answer);
    }
}

/// Gives the sandbox a way to each address that comes, and sends the packet that came with it there,
/// until nobody can send any. To be called in the sandbox's network namespace, with CAP_NET_ADMIN and
/// CAP_NET_RAW over it.
pub fn open_ways(orders: impl AsFd) {
    // Without them the sender sends again by itself, a second later.
    let raw = |family| socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW)).ok();
    let (v4, v6) = (raw(AddressFamily::INET), raw(AddressFamily::INET6));
    let mut buffer = [0; ORDER_MAX];
    for _ in 0..WAYS_MAX {
        let Ok((length, _)) = recv(&orders, &mut buffer, RecvFlags::empty()) else { return };
        let Some((address, packet)) = buffer.get(..length).and_then(read_order) else { return };
        match inside::open_way(address) {
            Ok(true) => {}
            // Sent on, the packet would come back to the dead end, and from there to here.
            Ok(false) => continue,
            Err(error) => {
                tracing::debug!("no way to {address}: {error}");
                continue;
            }
        }
        if let Some(raw) = if address.is_ipv4() { &v4 } else { &v6 } {
            // Lost, as packets may be.
            let _ = sendto(raw, packet, SendFlags::DONTWAIT, &SocketAddr::new(address, 0));
        }
    }
}

/// An address in sixteen octets, IPv4 in its mapped form (RFC 4291, 2.5.5.2), and a packet for it.
fn order(address: IpAddr, packet: &[u8]) -> Vec<u8> {
    let mapped = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    [&mapped.octets(), packet].concat()
}

fn read_order(bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (address, packet) = bytes.split_first_chunk::<16>()?;
    Some((Ipv6Addr::from(*address).to_canonical(), packet))
}

/// What was tried lately.
#[derive(Debug)]
struct Tries {
    left: f64,
    at: Option<Instant>,
    lately: HashMap<Destination, (Instant, Verdict)>,
}

impl Default for Tries {
    fn default() -> Self {
        Self { left: TRIES_BURST, at: None, lately: HashMap::new() }
    }
}

impl Tries {
    fn verdict(&mut self, to: &Destination, now: Instant, attempt: impl FnOnce(&Destination) -> Verdict) -> Verdict {
        if let Some((when, verdict)) = self.lately.get(to)
            && now.duration_since(*when) < REPEAT
        {
            return *verdict;
        }
        let passed = self.at.map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        self.left = (self.left + passed * TRIES_RATE).min(TRIES_BURST);
        self.at = Some(now);
        if self.left < 1.0 {
            return Verdict::Unknown;
        }
        self.left -= 1.0;
        let verdict = attempt(to);
        if self.lately.len() >= REMEMBERED_MAX {
            self.lately.clear();
        }
        self.lately.insert(*to, (now, verdict));
        verdict
    }
}

/// One connection or datagram to the same place. Denied ones never leave the machine.
fn attempt(to: &Destination) -> Verdict {
    // No kernel sends an IPv6 packet to an IPv4-mapped address, and none is to be sent on as one of IPv4.
    if to.address.to_canonical() != to.address {
        return Verdict::Unknown;
    }
    let kind = match (to.protocol, to.port) {
        (Protocol::TCP, Some(_)) => SocketType::STREAM,
        (Protocol::UDP, Some(_)) => SocketType::DGRAM,
        _ => return Verdict::Unknown,
    };
    let family = if to.address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let Ok(socket) = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None) else {
        return Verdict::Unknown;
    };
    let place = SocketAddr::new(to.address, to.port.unwrap_or_default());
    if kind == SocketType::DGRAM {
        return match sendto(&socket, &[], SendFlags::NOSIGNAL, &place) {
            Ok(_) => Verdict::Open,
            Err(_) => Verdict::Denied,
        };
    }
    match connect(&socket, &place) {
        Ok(()) => Verdict::Open,
        // The firewall's reset is there by the time that connect(2) returns; a neighbour's is not.
        Err(Errno::INPROGRESS) => pending(&socket),
        Err(_) => Verdict::Denied,
    }
}

fn pending(socket: &OwnedFd) -> Verdict {
    match rustix::net::sockopt::socket_error(socket) {
        Ok(Ok(())) => Verdict::Open,
        _ => Verdict::Denied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: u16) -> Destination {
        let [high, low] = host.to_be_bytes();
        Destination { address: [10, 0, high, low].into(), protocol: Protocol::TCP, port: Some(22) }
    }

    #[test]
    fn a_flood_is_answered_and_tried_at_a_bounded_rate() {
        let (mut tries, start, mut tried) = (Tries::default(), Instant::now(), 0);
        for n in 0..10_000_u16 {
            let now = start + Duration::from_millis(n.into());
            tries.verdict(&to(n), now, |_| {
                tried += 1;
                Verdict::Denied
            });
        }
        assert!((1000..=2001).contains(&tried), "{tried}");
        assert!(tries.lately.len() <= REMEMBERED_MAX);
    }

    #[test]
    fn a_repetition_is_told_the_same_and_a_later_try_is_a_new_one() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        assert_eq!(tries.verdict(&to(1), now, |_| Verdict::Denied), Verdict::Denied);
        assert_eq!(tries.verdict(&to(1), now, |_| Verdict::Open), Verdict::Denied);
        assert_eq!(tries.verdict(&to(1), now + REPEAT, |_| Verdict::Open), Verdict::Open);
    }

    #[test]
    fn a_mapped_address_is_not_tried_and_gets_no_way() {
        let address = "::ffff:127.0.0.1".parse().unwrap();
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = Some(listener.local_addr().unwrap().port());
        for (address, verdict) in [(address, Verdict::Unknown), ([127, 0, 0, 1].into(), Verdict::Open)] {
            assert_eq!(attempt(&Destination { address, protocol: Protocol::UDP, port }), verdict, "{address}");
        }
    }

    #[test]
    fn orders_are_read_as_they_were_written() {
        for (text, packet) in [("10.0.0.5", &b"packet"[..]), ("fd00::5", &[0; PACKET_MAX]), ("fd00::6", &[])] {
            let address: IpAddr = text.parse().unwrap();
            let order = order(address, packet);
            assert!(order.len() <= ORDER_MAX);
            assert_eq!(read_order(&order), Some((address, packet)));
        }
        assert_eq!(read_order(&[1; 15]), None);
    }
}
