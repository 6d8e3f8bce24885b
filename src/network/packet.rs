//! Where a packet was going, read from its first bytes. An agent wrote them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The part of a packet's headers that a denial is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// To whom.
    pub address: IpAddr,
    /// Over what.
    pub protocol: Protocol,
    /// To which port; none where the protocol has no ports, and for all fragments but the first.
    pub port: Option<u16>,
}

/// A number of IANA's registry "Protocol Numbers".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

const TCP: u8 = 6;
const UDP: u8 = 17;

impl Protocol {
    /// TCP.
    pub const TCP: Self = Self(TCP);
    /// UDP.
    pub const UDP: Self = Self(UDP);
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("icmp"),
            TCP => f.write_str("tcp"),
            UDP => f.write_str("udp"),
            58 => f.write_str("icmpv6"),
            132 => f.write_str("sctp"),
            number => write!(f, "protocol {number}"),
        }
    }
}

/// Extension headers that are walked over (RFC 8200, 4.1); nobody has a use for more.
const EXTENSIONS_MAX: usize = 8;

/// Who sent a packet, as it says itself; nothing if it is too short.
pub fn source(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(<[u8; 4]>::try_from(packet.get(12..16)?).ok()?.into()),
        6 => Some(<[u8; 16]>::try_from(packet.get(8..24)?).ok()?.into()),
        _ => None,
    }
}

/// Reads an IPv4 (RFC 791) or IPv6 (RFC 8200) packet, of which the end may be missing. Nothing if
/// it does not even say where to.
pub fn destination(packet: &[u8]) -> Option<Destination> {
    match packet.first()? >> 4 {
        4 => v4(packet),
        6 => v6(packet),
        _ => None,
    }
}

fn v4(packet: &[u8]) -> Option<Destination> {
    let address = Ipv4Addr::from(bytes::<4>(packet, 16)?);
    let length = usize::from(packet[0] & 0x0f) * 4;
    let later_fragment = u16::from_be_bytes(bytes(packet, 6)?) & 0x1fff != 0;
    let protocol = *packet.get(9)?;
    let port = if length < 20 || later_fragment { None } else { port(protocol, packet, length) };
    Some(Destination { address: address.into(), protocol: Protocol(protocol), port })
}

fn v6(packet: &[u8]) -> Option<Destination> {
    let address = IpAddr::from(Ipv6Addr::from(bytes::<16>(packet, 24)?));
    let mut protocol = packet[6];
    let mut at = 40;
    for _ in 0..EXTENSIONS_MAX {
        // How long each is: RFC 8200, 4.3 to 4.6; RFC 4302, 2.2; RFC 6275, 6.1.1.
        let units = |header: [u8; 2]| usize::from(header[1]);
        let header = bytes::<2>(packet, at);
        let length = match (protocol, header) {
            (0 | 43 | 60 | 135, Some(header)) => (units(header) + 1) * 8,
            (51, Some(header)) => (units(header) + 2) * 4,
            (44, Some(_)) => 8,
            _ => break,
        };
        let later_fragment =
            protocol == 44 && bytes::<2>(packet, at + 2).is_none_or(|field| u16::from_be_bytes(field) & 0xfff8 != 0);
        protocol = header.map_or(protocol, |header| header[0]);
        if later_fragment {
            return Some(Destination { address, protocol: Protocol(protocol), port: None });
        }
        at += length;
    }
    Some(Destination { address, protocol: Protocol(protocol), port: port(protocol, packet, at) })
}

/// The second field of the header in all protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
fn port(protocol: u8, packet: &[u8], at: usize) -> Option<u16> {
    let has_ports = matches!(protocol, TCP | UDP | 33 | 132 | 136);
    has_ports.then(|| bytes(packet, at + 2).map(u16::from_be_bytes))?
}

fn bytes<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4_packet(protocol: u8, words: u8, fragment: u16) -> Vec<u8> {
        let mut packet = vec![0; usize::from(words) * 4];
        packet[0] = 0x40 | words;
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet[9] = protocol;
        packet[16..20].copy_from_slice(&[10, 0, 0, 5]);
        packet.extend([0x30, 0x39, 0x15, 0x38]);
        packet
    }

    fn v6_packet(next: u8, extensions: &[&[u8]]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = next;
        packet[24..40].copy_from_slice(&"fd00::5".parse::<Ipv6Addr>().unwrap().octets());
        extensions.iter().for_each(|extension| packet.extend_from_slice(extension));
        packet.extend([0x30, 0x39, 0x15, 0x38]);
        packet
    }

    fn shown(packet: &[u8]) -> Option<String> {
        destination(packet).map(|to| format!("{} {} {:?}", to.address, to.protocol, to.port))
    }

    #[test]
    fn addresses_and_ports_are_read_in_both_families() {
        assert_eq!(shown(&v4_packet(6, 5, 0)).unwrap(), "10.0.0.5 tcp Some(5432)");
        assert_eq!(shown(&v4_packet(17, 15, 0)).unwrap(), "10.0.0.5 udp Some(5432)");
        assert_eq!(shown(&v4_packet(1, 5, 0)).unwrap(), "10.0.0.5 icmp None");
        assert_eq!(shown(&v6_packet(6, &[])).unwrap(), "fd00::5 tcp Some(5432)");
        let [hop, authentication] = [[60, 0, 0, 0, 0, 0, 0, 0], [17, 0, 0, 0, 0, 0, 0, 0]];
        let options = [51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(shown(&v6_packet(0, &[&hop, &options, &authentication])).unwrap(), "fd00::5 udp Some(5432)");
    }

    #[test]
    fn only_the_first_fragment_has_ports() {
        assert_eq!(shown(&v4_packet(17, 5, 0x2000)).unwrap(), "10.0.0.5 udp Some(5432)");
        assert_eq!(shown(&v4_packet(17, 5, 0x2001)).unwrap(), "10.0.0.5 udp None");
        assert_eq!(shown(&v6_packet(44, &[&[17, 0, 0, 1, 0, 0, 0, 0]])).unwrap(), "fd00::5 udp Some(5432)");
        assert_eq!(shown(&v6_packet(44, &[&[17, 0, 0, 8, 0, 0, 0, 0]])).unwrap(), "fd00::5 udp None");
    }

    #[test]
    fn what_is_cut_off_is_unknown() {
        let whole = v6_packet(0, &[&[6, 0, 0, 0, 0, 0, 0, 0]]);
        for length in 0..40 {
            assert_eq!(destination(&whole[..length]), None);
        }
        assert_eq!(shown(&whole[..50]).unwrap(), "fd00::5 tcp None");
        assert_eq!(shown(&[v4_packet(6, 5, 0)[..20].to_vec(), vec![0x30]].concat()).unwrap(), "10.0.0.5 tcp None");
        let mut lying = v4_packet(6, 5, 0);
        lying[0] = 0x41;
        assert_eq!(shown(&lying).unwrap(), "10.0.0.5 tcp None", "a header shorter than a header");
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(mut packet in proptest::collection::vec(any::<u8>(), 0..160), six in any::<bool>()) {
            let random = destination(&packet);
            prop_assert!(packet.len() >= 20 || random.is_none());
            if let Some(first) = packet.first_mut() {
                *first = if six { 0x60 } else { 0x45 };
            }
            let enough = packet.len() >= if six { 40 } else { 20 };
            prop_assert_eq!(destination(&packet).is_some(), enough);
        }
    }
}
