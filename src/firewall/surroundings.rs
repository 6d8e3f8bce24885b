//! Reads the changing part of the rules from the host, as root and before the rules are loaded.

use super::onlink::{self, OnLinkError};
use crate::policy::Surroundings;
use std::net::IpAddr;
use std::path::Path;

/// Where the host's resolvers are listed (resolv.conf(5)).
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// glibc uses 3 (`MAXNS`, resolv.h); pasta and others may use more.
const SERVERS_MAX: usize = 16;

/// Reads everything, at once and without any privilege. A host without resolvers is none of an
/// error: its sandboxes resolve no names.
pub fn gather() -> Result<Surroundings, OnLinkError> {
    gather_with(Path::new(RESOLV_CONF))
}

/// [`gather`] with another resolv.conf.
pub(super) fn gather_with(resolv_conf: &Path) -> Result<Surroundings, OnLinkError> {
    Ok(Surroundings { on_link: onlink::read()?.on_link, resolvers: resolvers(resolv_conf) })
}

/// The servers in a resolv.conf, in its order; none if it can't be read.
pub(super) fn resolvers(path: &Path) -> Vec<IpAddr> {
    parse_resolvers(&std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default())
}

fn parse_resolvers(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let server = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        // A link-local server carries its interface: fe80::1%eth0.
        server.split('%').next()?.parse().ok()
    });
    // The unspecified address stands for the host itself.
    let servers = servers.filter(|server: &IpAddr| !server.is_unspecified());
    let mut distinct = Vec::new();
    for server in servers {
        if distinct.len() < SERVERS_MAX && !distinct.contains(&server) {
            distinct.push(server);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_resolv_conf() {
        let text = "# c\nnameserver 127.0.0.53\n nameserver\tfe80::1%eth0 \nnameserver bad\nnameserver\noptions edns0\n\
                    nameserver 127.0.0.53\nnameserver 0.0.0.0\nnameserverx 1.1.1.1\n";
        let expected: Vec<IpAddr> = vec!["127.0.0.53".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(parse_resolvers(text), expected);
    }
}
