//! Reads the changing part of the rules from the host, as root and before the rules are loaded.

use super::onlink::{self, OnLinkError};
use crate::policy::ruleset::Ruleset;
use crate::policy::{DomainName, Surroundings, ranges};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Where the host's resolvers are listed (resolv.conf(5)).
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// How long all names together may take.
const RESOLVING: Duration = Duration::from_secs(3);
/// How many names are asked for at the same time.
const RESOLVERS_AT_ONCE: usize = 32;
/// glibc uses 3 (`MAXNS`, resolv.h); pasta and others may use more.
const SERVERS_MAX: usize = 16;

/// What was read, and what was left out.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// For the rules.
    pub surroundings: Surroundings,
    /// For the administrator; none of these stops the rules from being loaded.
    pub warnings: Vec<Warning>,
}

/// What was left out of the surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The exception for this name opens nothing for now.
    Unresolved(DomainName),
    /// An answer that no name of a private service has.
    Dropped(DomainName, IpAddr),
    /// The host has no DNS server, so neither have sandboxes.
    NoResolvers,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(name) => {
                write!(f, "{name} does not resolve, its exception opens nothing until the next apply")
            }
            Self::Dropped(name, address) => write!(
                f,
                "{name} resolves to {address}, which is loopback, link-local, multicast or cloud metadata; left out \
                 (an exception by address can open it)"
            ),
            Self::NoResolvers => write!(f, "{RESOLV_CONF} names no DNS server, sandboxes will resolve no names"),
        }
    }
}

/// Reads everything. Takes up to 3 seconds where names do not resolve.
pub fn gather(ruleset: &Ruleset) -> Result<Gathered, OnLinkError> {
    gather_with(ruleset, Path::new(RESOLV_CONF))
}

/// What can be read at once and by anybody.
pub fn gather_without_names() -> Result<Surroundings, OnLinkError> {
    let resolvers = resolvers(Path::new(RESOLV_CONF));
    Ok(Surroundings { on_link: onlink::read()?.on_link, resolvers, names: BTreeMap::new() })
}

/// [`gather`] with another resolv.conf.
pub(super) fn gather_with(ruleset: &Ruleset, resolv_conf: &Path) -> Result<Gathered, OnLinkError> {
    let mut gathered = Gathered::default();
    gathered.surroundings.on_link = onlink::read()?.on_link;
    gathered.surroundings.resolvers = resolvers(resolv_conf);
    if gathered.surroundings.resolvers.is_empty() {
        gathered.warnings.push(Warning::NoResolvers);
    }
    let names: BTreeSet<&DomainName> = ruleset.profiles.iter().flat_map(|profile| profile.domains.keys()).collect();
    let mut answers = resolve(names.iter().map(|name| (*name).clone()).collect(), RESOLVING);
    for name in names {
        let (kept, dropped) = sift(answers.remove(name).unwrap_or_default());
        gathered.warnings.extend(dropped.into_iter().map(|address| Warning::Dropped(name.clone(), address)));
        if kept.is_empty() {
            gathered.warnings.push(Warning::Unresolved(name.clone()));
        } else {
            gathered.surroundings.names.insert(name.clone(), kept);
        }
    }
    Ok(gathered)
}

/// The servers in a resolv.conf; none if it can't be read.
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
    servers.take(SERVERS_MAX).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Asks for all names at once. Threads that are still waiting at the end are left behind:
/// getaddrinfo(3) cannot be interrupted.
fn resolve(names: Vec<DomainName>, patience: Duration) -> BTreeMap<DomainName, Vec<IpAddr>> {
    let deadline = Instant::now() + patience;
    let workers = names.len().min(RESOLVERS_AT_ONCE);
    let queue = Arc::new(Mutex::new(VecDeque::from(names)));
    let (answered, answers) = mpsc::channel();
    for _ in 0..workers {
        let (queue, answered) = (Arc::clone(&queue), answered.clone());
        std::thread::spawn(move || {
            while Instant::now() < deadline {
                let Some(name) = queue.lock().ok().and_then(|mut queue| queue.pop_front()) else { return };
                let addresses = (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|to| to.ip()).collect());
                if answered.send((name, addresses.unwrap_or_default())).is_err() {
                    return;
                }
            }
        });
    }
    drop(answered);
    let mut found = BTreeMap::new();
    while let Ok((name, addresses)) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        found.insert(name, addresses);
    }
    found
}

/// Whoever answers a name must not be able to point it at these.
const NEVER_BEHIND_A_NAME: [&str; 10] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/3",
    "100.100.100.200/32", // Alibaba Cloud's metadata
    "168.63.129.16/32",   // Azure's platform address
    "::/96",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::/32", // AWS's metadata, DNS and time
];

/// What an exception may open and what not; IPv4 in IPv6 clothes counts as what it wraps.
fn sift(addresses: Vec<IpAddr>) -> (Vec<IpAddr>, Vec<IpAddr>) {
    let never: Vec<ipnet::IpNet> = NEVER_BEHIND_A_NAME.iter().filter_map(|net| net.parse().ok()).collect();
    let distinct: BTreeSet<IpAddr> = addresses.into_iter().collect();
    distinct.into_iter().partition(|address| {
        let wrapped = match address {
            IpAddr::V6(v6) if v6.segments()[..6] == ranges::behind_nat64([0, 0, 0, 0].into()).segments()[..6] => {
                let [.., a, b, c, d] = v6.octets();
                IpAddr::from([a, b, c, d])
            }
            _ => address.to_canonical(),
        };
        !never.iter().any(|net| net.contains(&wrapped))
    })
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

    #[test]
    fn an_answer_cannot_point_at_the_host_or_at_metadata() {
        let addresses = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>();
        let bad = addresses(&[
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
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ]);
        let (kept, dropped) = sift(bad.clone());
        assert!(kept.is_empty(), "{kept:?}");
        assert_eq!(dropped.len(), bad.len());
        let good = addresses(&["10.0.0.5", "192.168.1.2", "203.0.113.7", "fd00::5"]);
        assert_eq!(sift(good.clone()), (good, vec![]));
    }

    #[test]
    fn names_are_resolved_as_the_host_resolves_them() {
        let localhost = DomainName::new("localhost").unwrap();
        let found = resolve(vec![localhost.clone()], Duration::from_secs(3));
        assert!(!found[&localhost].is_empty() && found[&localhost].iter().all(IpAddr::is_loopback));
    }
}
