//! `HOST[:PORT]` as people type it.

use crate::config::printable;
use crate::policy::{BadName, NamePattern, PortRange, Target};
use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// An address (as a /32 or /128), a prefix, a name or a pattern of names.
    pub target: Target,
    /// Which ports, if any were typed.
    pub ports: Option<PortRange>,
}

/// Why a text is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadDestination(String);

/// Longest text: a name of 253 characters, brackets and two ports.
const LONGEST: usize = 280;

impl FromStr for Destination {
    type Err = BadDestination;

    fn from_str(text: &str) -> Result<Self, BadDestination> {
        let refuse = |reason: &str| Err(BadDestination(reason.to_owned()));
        if text.len() > LONGEST {
            return refuse("this is longer than any name");
        }
        if text.contains("://")
            || (text.contains('/') && !text.starts_with(|c: char| c.is_ascii_hexdigit() || c == '['))
        {
            return refuse("this is no host: write HOST:PORT, like example.com:443, without a scheme or a path");
        }
        let (host, ports) =
            split(text).ok_or_else(|| BadDestination("write [ADDRESS]:PORT with both brackets".into()))?;
        if host.contains('%') {
            return refuse("an address with a zone is on one link only: sandboxes reach none of those");
        }
        let ports = ports.map(PortRange::from_str).transpose().map_err(|bad| BadDestination(bad.to_string()))?;
        Ok(Self { target: target(host)?, ports })
    }
}

/// Host and port. An IPv6 address without brackets has no port.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(ports) => Some((host, Some(ports))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        Some((host, ports)) if !ports.contains(':') => Some((host, Some(ports))),
        _ => Some((text, None)),
    }
}

fn target(host: &str) -> Result<Target, BadDestination> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return match address {
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                Err(BadDestination("this is an IPv4 address in IPv6 form: write it as IPv4".to_owned()))
            }
            address => Ok(Target::Address(address.into())),
        };
    }
    if let Ok(net) = host.parse::<IpNet>() {
        if net.trunc() != net {
            let (network, address) = (net.trunc(), net.addr());
            let reason =
                format!("bits are set behind the prefix length: write {network}, or {address} for one address");
            return Err(BadDestination(reason));
        }
        return Ok(Target::Address(net));
    }
    NamePattern::new(host).map(Target::Domain).map_err(|reason| match reason {
        BadName::Address => {
            BadDestination("an IPv4 address is four decimal numbers from 0 to 255, without leading zeros".to_owned())
        }
        reason => BadDestination(printable(&reason.to_string()).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shown;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, BadDestination> {
        let destination: Destination = text.parse()?;
        Ok(format!(
            "{} {}",
            shown::target(&destination.target),
            destination.ports.map_or_else(String::new, |ports| ports.to_string())
        ))
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, expected) in [
            ("example.com", "example.com "),
            ("Example.COM.:443", "example.com 443"),
            ("*.example.com:8000-8100", "*.example.com 8000-8100"),
            ("bücher.example:443", "xn--bcher-kva.example 443"),
            ("10.1.2.3:22", "10.1.2.3 22"),
            ("10.0.0.0/8:22", "10.0.0.0/8 22"),
            ("fd00::1", "fd00::1 "),
            ("[fd00::1]:443", "fd00::1 443"),
            ("[fd00::/64]:443", "fd00::/64 443"),
            ("[10.1.2.3]:22", "10.1.2.3 22"),
            ("::1", "::1 "),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in [
            "",
            ":",
            ":443",
            "example.com:",
            "example.com:0",
            "example.com:65536",
            "example.com:443x",
            "example.com:90-80",
            "example.com:http",
            "https://example.com",
            "example.com/path",
            "user@example.com:22",
            "a b:443",
            " example.com",
            "example.com:443 ",
            "a\0.com:443",
            "a\u{1b}[2J:443",
            "a\n.com",
            "..:443",
            "a..b:443",
            "*:443",
            "*.:443",
            "a.*.com:443",
            "-a.com:443",
            "fe80::1%eth0",
            "[fe80::1%1]:443",
            "[fd00::1]443",
            "[fd00::1",
            "fd00::1]:443",
            "[]:443",
            "::ffff:10.0.0.1",
            "10.1.2.3/8:443",
            "10.0.0.0/33",
            "010.0.0.1:80",
            "0x7f.1:80",
            "1:80",
            "10.1:80",
            "--profile",
            "$(id):443",
            "a;b:443",
            "\u{202e}moc.live:443",
        ] {
            assert!(read(text).is_err(), "{text:?} is {:?}", read(text));
        }
        assert!(read(&format!("{}.com", "a".repeat(300))).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_can_be_typed_again_and_holds_nothing_else(text in ".{0,60}") {
            if let Ok(destination) = text.parse::<Destination>() {
                let ports = destination.ports.map_or_else(|| "1".to_owned(), |ports| ports.to_string());
                let typed = shown::typed(&destination.target, ports);
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:*'[]/".contains(&byte);
                prop_assert!(typed.bytes().all(plain), "{typed}");
                let again: Destination = typed.trim_matches('\'').parse().unwrap();
                prop_assert_eq!(again.target, destination.target);
            }
        }
    }
}
