//! What is private by address, with the registry that says so.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Special-purpose IPv4 space (IANA IPv4 Special-Purpose Address Registry, RFC 6890) that is not
/// globally reachable, and multicast.
const DENIED_V4: [([u8; 4], u8); 13] = [
    ([0, 0, 0, 0], 8),        // this network, RFC 791
    ([10, 0, 0, 0], 8),       // private, RFC 1918
    ([100, 64, 0, 0], 10),    // carrier-grade NAT, RFC 6598
    ([127, 0, 0, 0], 8),      // loopback, RFC 1122
    ([169, 254, 0, 0], 16),   // link-local and cloud metadata, RFC 3927
    ([172, 16, 0, 0], 12),    // private, RFC 1918
    ([192, 0, 0, 0], 24),     // protocol assignments, RFC 6890
    ([192, 88, 99, 0], 24),   // 6to4 relays, RFC 7526
    ([192, 168, 0, 0], 16),   // private, RFC 1918
    ([198, 18, 0, 0], 15),    // benchmarking, RFC 2544
    ([224, 0, 0, 0], 4),      // multicast, RFC 5771
    ([240, 0, 0, 0], 4),      // reserved and broadcast, RFC 1112
    ([168, 63, 129, 16], 32), // Azure's platform address, reachable from every virtual machine there
];

/// IPv6 space that is not globally reachable, reaches IPv4 by a tunnel, or is multicast.
const DENIED_V6: [([u16; 8], u8); 9] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 96),         // unspecified, loopback, IPv4-compatible, RFC 4291
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),    // IPv4-mapped, RFC 4291
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), // local NAT64, RFC 8215
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64),     // discard, RFC 6666
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),    // Teredo, RFC 4380
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),    // 6to4, RFC 3056
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),     // unique local, RFC 4193
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 9),     // link-local and the former site-local, RFC 4291, RFC 3879
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),     // multicast, RFC 4291
];

/// What no exception by name and no lease opens: whoever answers a name must not be able to point
/// it at the machine itself, at what trusts its callers, or at IPv4 in a form that hides it.
/// Exceptions for single addresses in root's file may.
const NEVER_BEHIND_A_NAME_V4: [([u8; 4], u8); 6] = [
    ([0, 0, 0, 0], 8),          // this network, RFC 791
    ([127, 0, 0, 0], 8),        // loopback, RFC 1122
    ([169, 254, 0, 0], 16),     // link-local and cloud metadata, RFC 3927
    ([224, 0, 0, 0], 3),        // multicast, reserved and broadcast, RFC 5771, RFC 1112
    ([100, 100, 100, 200], 32), // Alibaba Cloud's metadata
    ([168, 63, 129, 16], 32),   // Azure's platform address
];

/// The same of IPv6.
const NEVER_BEHIND_A_NAME_V6: [([u16; 8], u8); 8] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 96),         // unspecified, loopback, IPv4-compatible, RFC 4291
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),    // IPv4-mapped, RFC 4291
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), // local NAT64, whose layout only its gateway knows, RFC 8215
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),    // Teredo, RFC 4380
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),    // 6to4, RFC 3056
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32), // AWS's metadata, DNS and time
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 9),     // link-local and the former site-local, RFC 4291, RFC 3879
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),     // multicast, RFC 4291
];

/// The well-known NAT64 prefix (RFC 6052): on IPv6-only networks the whole public IPv4 internet
/// lies behind it, so only the denied part of IPv4 is denied there.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Every range that is denied on every machine, IPv4 first.
pub fn denied() -> Vec<IpNet> {
    listed(&DENIED_V4, &DENIED_V6)
}

/// Every range that neither a name nor a lease can open, IPv4 first.
pub fn never_behind_a_name() -> Vec<IpNet> {
    listed(&NEVER_BEHIND_A_NAME_V4, &NEVER_BEHIND_A_NAME_V6)
}

/// IPv4, then IPv6, then IPv4 behind NAT64.
fn listed(v4: &[([u8; 4], u8)], v6: &[([u16; 8], u8)]) -> Vec<IpNet> {
    let v4 = v4.iter().map(|(octets, length)| (Ipv4Addr::from(*octets), *length));
    let nat64 = v4.clone().map(|(address, length)| (behind_nat64(address), 96 + length));
    let v6 = v6.iter().map(|(segments, length)| (Ipv6Addr::from(*segments), *length));
    let v4 = v4.map(|(address, length)| IpNet::V4(Ipv4Net::new_assert(address, length)));
    let v6 = v6.chain(nat64).map(|(address, length)| IpNet::V6(Ipv6Net::new_assert(address, length)));
    v4.chain(v6).collect()
}

/// The prefixes, and those of IPv4 also as they lie behind NAT64: a gateway on the link would lead
/// back to them.
pub fn with_nat64(nets: impl IntoIterator<Item = IpNet>) -> Vec<IpNet> {
    let forms = |net: IpNet| match net {
        IpNet::V4(v4) => {
            let behind = Ipv6Net::new_assert(behind_nat64(v4.network()), 96 + v4.prefix_len());
            [Some(net), Some(IpNet::V6(behind))]
        }
        IpNet::V6(_) => [Some(net), None],
    };
    nets.into_iter().flat_map(forms).flatten().collect()
}

/// The IPv6 address behind which the well-known NAT64 prefix hides this IPv4 address.
pub fn behind_nat64(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets();
    let [p0, p1, p2, p3, p4, p5] = NAT64;
    Ipv6Addr::new(p0, p1, p2, p3, p4, p5, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn is_denied(address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        denied().iter().any(|net| net.contains(&address))
    }

    #[test]
    fn private_space_of_every_form_is_denied() {
        for address in [
            "0.0.0.0",
            "10.255.255.255",
            "100.127.255.255",
            "127.0.0.53",
            "169.254.169.254",
            "172.31.0.1",
            "192.168.0.1",
            "224.0.0.251",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2002:0a00:1::1",
            "2001::1",
        ] {
            assert!(is_denied(address), "{address}");
        }
    }

    #[test]
    fn an_answer_cannot_point_at_the_host_or_at_metadata() {
        let never = |text: &str| {
            let address: IpAddr = text.parse().unwrap();
            never_behind_a_name().iter().any(|net| net.contains(&address))
        };
        for address in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2001::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            assert!(never(address), "{address}");
        }
        for private in ["10.0.0.5", "192.168.1.2", "203.0.113.7", "fd00::5", "64:ff9b::a00:5", "100.100.100.201"] {
            assert!(!never(private), "{private}");
        }
    }

    #[test]
    fn a_link_is_also_private_behind_nat64() {
        let nets = ["198.51.100.0/24", "2001:db8::/64"].map(|net| net.parse::<IpNet>().unwrap());
        let all = with_nat64(nets).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(all, ["198.51.100.0/24", "64:ff9b::c633:6400/120", "2001:db8::/64"]);
    }

    #[test]
    fn public_space_is_not_denied() {
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::1.1.1.1",
            "2001:db8::1",
            "203.0.113.1",
        ] {
            assert!(!is_denied(address), "{address}");
        }
    }
}
