//! The `allow` lists of root's network profiles.

use super::reader::{Table, Value};
use crate::policy::ranges::behind_nat64;
use crate::policy::{BadPorts, Exception, NamePattern, PortRange, Ports, Protocol, Target};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address or prefix was refused. The text says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not an address at all.
    #[error("write an address (\"10.1.2.3\", \"fd00::1\") or a prefix (\"10.0.0.0/8\", \"fd00:1234::/32\")")]
    Syntax,
    /// Which of the two was meant can't be known.
    #[error("bits are set behind the prefix length: write {network} for the network, or {address} for one address")]
    HostBits {
        /// The prefix without them.
        network: IpNet,
        /// The address alone.
        address: IpAddr,
    },
    /// `0.0.0.0/0`, `::/0`.
    #[error("this is the whole internet, public and private: name the networks that are needed")]
    Everything,
    /// Loopback, link-local, metadata.
    #[error("it holds {range} ({what}), where only single addresses can be allowed: name those that are needed")]
    Sensitive {
        /// The range that it overlaps.
        range: IpNet,
        /// What lives there.
        what: &'static str,
    },
    /// `0.0.0.0`, `::`.
    #[error("this address stands for the machine itself: name one of its addresses")]
    Unspecified,
    /// `::ffff:0:0/96` never appears in a packet.
    #[error("this is an IPv4 address in IPv6 form: write it as IPv4")]
    Mapped,
}

/// Ranges in which a whole network is never an exception: what answers there trusts its caller.
fn sensitive() -> [(IpNet, &'static str); 6] {
    let v4 = |a, b, length| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), length));
    let v6 = |address, length| IpNet::V6(Ipv6Net::new_assert(address, length));
    let loopback = Ipv4Addr::new(127, 0, 0, 0);
    let link_local = Ipv4Addr::new(169, 254, 0, 0);
    [
        (v4(127, 0, 8), "loopback"),                                                  // RFC 1122
        (v4(169, 254, 16), "link-local addresses and cloud metadata"),                // RFC 3927
        (v6(Ipv6Addr::LOCALHOST, 128), "loopback"),                                   // RFC 4291
        (v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), "link-local addresses"), // RFC 4291
        (v6(behind_nat64(loopback), 96 + 8), "loopback behind NAT64"),                // RFC 6052
        (v6(behind_nat64(link_local), 96 + 16), "cloud metadata behind NAT64"),       // RFC 6052
    ]
}

/// Metadata services outside of link-local space: Azure's platform address, Alibaba Cloud's in
/// shared space, and AWS's in unique local space. Prefixes may hold them, with a warning.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// An address as a prefix of full length, or a prefix without host bits that is not all there is.
pub(super) fn prefix(text: &str) -> Result<IpNet, BadAddress> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| BadAddress::Syntax)?,
    };
    if net.trunc() != net {
        return Err(BadAddress::HostBits { network: net.trunc(), address: net.addr() });
    }
    if net.prefix_len() == 0 {
        return Err(BadAddress::Everything);
    }
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some() => Err(BadAddress::Mapped),
        net => Ok(net),
    }
}

/// A [`prefix`] that may be an exception.
fn reachable(text: &str) -> Result<IpNet, BadAddress> {
    let net = prefix(text)?;
    if net.prefix_len() == net.max_prefix_len() {
        return if net.addr().is_unspecified() { Err(BadAddress::Unspecified) } else { Ok(net) };
    }
    let overlaps = |range: &IpNet| range.contains(&net) || net.contains(range);
    match sensitive().into_iter().find(|(range, _)| overlaps(range)) {
        Some((range, what)) => Err(BadAddress::Sensitive { range, what }),
        None => Ok(net),
    }
}

/// One entry of `allow`.
pub(super) fn exception(value: Value<'_, '_>) -> Option<Exception> {
    let mut table = value.table()?;
    let target = target(&mut table);
    let ports_absent = !table.has("ports");
    let ports = table.take("ports", ports);
    if ports_absent {
        table.error("`ports` is missing", "name the ports: ports = [443] or ports = [\"8000-8100\"]");
    }
    let absent = !table.has("protocol");
    let protocol = table.take("protocol", |value| value.parse("a protocol", protocol));
    table.finish();
    let protocol = protocol.or(absent.then_some(Protocol::Tcp));
    Some(Exception { target: target?, ports: ports?, protocol: protocol? })
}

fn target(table: &mut Table<'_, '_>) -> Option<Target> {
    let given = (table.has("address"), table.has("domain"));
    let address = table.take("address", |value| {
        let net = value.parse("an address or prefix that can be allowed", reachable)?;
        warn_of_address(&value, net);
        Some(Target::Address(net))
    });
    let domain = table.take("domain", |value| {
        let pattern = value.parse("a domain name or a pattern of names", NamePattern::new)?;
        if pattern.is_broad() && !pattern.is_private() {
            let message = format_args!("whoever registers a name under {pattern} can point it into your network");
            value.warn(message, "name the hosts that are needed");
        }
        Some(Target::Domain(pattern))
    });
    match given {
        (true, true) => {
            table.error("`address` and `domain` together", "write one entry for each");
            None
        }
        (false, false) => {
            table.error(
                "neither `address` nor `domain`",
                "name one: address = \"10.1.2.3\" or domain = \"git.corp.lan\"",
            );
            None
        }
        _ => address.or(domain),
    }
}

/// What can be allowed, and gives away more than it seems to.
fn warn_of_address(value: &Value<'_, '_>, net: IpNet) {
    const CREDENTIALS: &str = "where a cloud answers there, it gives credentials away";
    let single = net.prefix_len() == net.max_prefix_len();
    let trusting = sensitive().into_iter().find(|(range, _)| single && range.contains(&net));
    if let Some(metadata) = METADATA.iter().find(|address| net.contains(*address)) {
        let message = format_args!("{net} holds {metadata}, a metadata service of some clouds");
        let narrower = if single { "" } else { ": allow a narrower prefix" };
        value.warn(message, format_args!("{CREDENTIALS}{narrower}"));
    } else if let Some((_, "loopback")) = trusting {
        let advice = "whatever listens there takes its callers for this machine's own; allow no more ports than needed";
        value.warn(format_args!("{net} is this machine itself"), advice);
    } else if let Some((_, what)) = trusting {
        value.warn(format_args!("{net} belongs to the {what}"), CREDENTIALS);
    }
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("expected \"tcp\" (the default), \"udp\" or \"any\"")]
pub(super) struct BadProtocol;

pub(super) fn protocol(text: &str) -> Result<Protocol, BadProtocol> {
    match text {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "any" => Ok(Protocol::Any),
        _ => Err(BadProtocol),
    }
}

pub(super) fn ports(value: Value<'_, '_>) -> Option<Ports> {
    const EXPECTED: &str = "a list of ports like [443, \"8000-8100\"]";
    if value.list_is_empty() {
        value.error("the list of ports is empty", format_args!("expected {EXPECTED}"));
        return None;
    }
    let mut complete = true;
    let ranges = value.list(EXPECTED, |port| {
        let range = port_range(&port);
        complete &= range.is_some();
        range
    })?;
    // A bad port was reported; an exception without it would not be the one that was written.
    complete.then(|| Ports::new(ranges).ok())?
}

fn port_range(value: &Value<'_, '_>) -> Option<PortRange> {
    if value.is_integer() {
        let port = value.integer("a port from 1 to 65535", 1..=65535)?;
        let port = u16::try_from(port).ok()?;
        return PortRange::new(port, port).ok();
    }
    value.parse("a port or a range of ports", |text| -> Result<_, BadPorts> { text.parse() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_that_trust_their_callers_cannot_be_exceptions() {
        for text in [
            "127.0.0.0/8",
            "127.0.0.0/9",
            "127.1.0.0/16",
            "64.0.0.0/2",
            "169.254.0.0/16",
            "169.254.169.0/24",
            "128.0.0.0/1",
            "::/1",
            "::/127",
            "fe80::/10",
            "fe80::/64",
            "fe00::/7",
            "64:ff9b::/96",
            "64:ff9b::a9fe:0/112",
            "64:ff9b::/32",
        ] {
            assert!(matches!(reachable(text), Err(BadAddress::Sensitive { .. })), "{text}: {:?}", reachable(text));
        }
        for text in ["169.254.169.254", "127.0.0.1", "::1", "fe80::1", "10.0.0.0/8", "100.64.0.0/10", "fd00::/8"] {
            assert!(reachable(text).is_ok(), "{text}");
        }
        assert_eq!(reachable("0.0.0.0"), Err(BadAddress::Unspecified));
        assert_eq!(reachable("::"), Err(BadAddress::Unspecified));
    }

    #[test]
    fn the_network_that_was_meant_is_named() {
        let error = prefix("10.1.2.3/8").unwrap_err().to_string();
        assert!(error.contains("10.0.0.0/8") && error.contains("10.1.2.3 "), "{error}");
        for text in ["0.0.0.0/0", "::/0"] {
            assert_eq!(prefix(text), Err(BadAddress::Everything));
        }
        assert_eq!(prefix("::ffff:10.0.0.1"), Err(BadAddress::Mapped));
        assert_eq!(prefix("::ffff:10.0.0.0/104"), Err(BadAddress::Mapped));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0",
            "10.0.0.1/33",
            "10.0.0.256",
            "010.0.0.1",
            "10.0.0.1\0",
            " 10.0.0.1",
            "fe80::1%eth0",
            "10.0.0.0/8/8",
            "::1/129",
            "10.0.0.0/-1",
            "1.2.3.4:80",
        ] {
            assert_eq!(prefix(text), Err(BadAddress::Syntax), "{text:?}");
        }
    }
}
