//! Reads the changing part of the rules from the host, as root and before the rules are loaded.

use super::onlink::{self, OnLinkError};
use crate::policy::Surroundings;
use std::ffi::CString;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::Path;

/// Where the host's resolvers are listed (resolv.conf(5)).
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Port of DNS (RFC 1035, 4.2).
const DOMAIN: u16 = 53;
/// glibc uses 3 (`MAXNS`, resolv.h); pasta and others may use more.
const SERVERS_MAX: usize = 16;

/// Reads everything, at once and without any privilege. A host without resolvers is none of an
/// error: its sandboxes resolve no names.
pub fn gather() -> Result<Surroundings, OnLinkError> {
    gather_with(Path::new(RESOLV_CONF))
}

/// [`gather`] with another resolv.conf.
pub(super) fn gather_with(resolv_conf: &Path) -> Result<Surroundings, OnLinkError> {
    let links = onlink::read()?;
    Ok(Surroundings { on_link: links.on_link, own: links.own, resolvers: resolvers(resolv_conf) })
}

/// The servers in a resolv.conf, in its order; none if it can't be read.
pub(super) fn resolvers(path: &Path) -> Vec<SocketAddr> {
    parse_resolvers(&std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default())
}

fn parse_resolvers(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let server = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // A link-local server carries its interface: fe80::1%eth0 (RFC 4007, 11).
        let (address, zone) = server.split_once('%').unwrap_or((server, ""));
        Some(match address.parse().ok()? {
            IpAddr::V6(v6) => SocketAddrV6::new(v6, DOMAIN, 0, interface(zone)).into(),
            v4 => SocketAddr::new(v4, DOMAIN),
        })
    });
    // The unspecified address stands for the host itself.
    let servers = servers.filter(|server| !server.ip().is_unspecified());
    let mut distinct = Vec::new();
    for server in servers {
        if distinct.len() < SERVERS_MAX && !distinct.contains(&server) {
            distinct.push(server);
        }
    }
    distinct
}

/// The number of an interface by its name or number; 0, which means none, if there is no such.
fn interface(zone: &str) -> u32 {
    let by_name = || {
        let name = CString::new(zone).ok()?;
        // SAFETY: the name is a NUL-terminated string that outlives the call.
        Some(unsafe { libc::if_nametoindex(name.as_ptr()) })
    };
    zone.parse().ok().or_else(by_name).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_resolv_conf() {
        let text = "# c\nnameserver 127.0.0.53\n nameserver\tfe80::1%lo \nnameserver bad\nnameserver\noptions edns0\n\
                    nameserver 127.0.0.53\nnameserver 0.0.0.0\nnameserverx 1.1.1.1\n";
        let expected = ["127.0.0.53:53", "[fe80::1%1]:53"].map(|text| text.parse().unwrap());
        assert_eq!(parse_resolvers(text), expected, "lo has the number 1");
        let zones = parse_resolvers("nameserver fe80::2%7\nnameserver fe80::3%no-such\nnameserver fe80::4%a\0");
        let expected = ["[fe80::2%7]:53", "[fe80::3]:53", "[fe80::4]:53"].map(|text| text.parse().unwrap());
        assert_eq!(zones, expected);
    }
}
