//! Whether one network profile reaches no more than another.

use crate::policy::{Exception, PortRange, Ports, Profile, Protocol, Target};
use ipnet::IpNet;
use std::collections::HashMap;

/// Whether everything that `inner` reaches, `outer` reaches too. Errs towards "no": an exception
/// counts as covered only by those of `outer` that hold its whole target.
pub(super) fn is_within(inner: &Profile, outer: &Profile) -> bool {
    let mut allowed: HashMap<(&Target, Transport), Vec<PortRange>> = HashMap::new();
    for exception in &outer.exceptions {
        for transport in transports(exception.protocol) {
            allowed.entry((&exception.target, *transport)).or_default().extend(exception.ports.ranges());
        }
    }
    inner.exceptions.iter().all(|exception| covered(exception, &allowed))
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Transport {
    Tcp,
    Udp,
}

fn transports(protocol: Protocol) -> &'static [Transport] {
    match protocol {
        Protocol::Tcp => &[Transport::Tcp],
        Protocol::Udp => &[Transport::Udp],
        Protocol::Any => &[Transport::Tcp, Transport::Udp],
    }
}

fn covered(exception: &Exception, allowed: &HashMap<(&Target, Transport), Vec<PortRange>>) -> bool {
    let holders: Vec<Target> = match &exception.target {
        Target::Address(net) => std::iter::successors(Some(*net), IpNet::supernet).map(Target::Address).collect(),
        domain => vec![domain.clone()],
    };
    transports(exception.protocol).iter().all(|transport| {
        let ranges = holders.iter().filter_map(|target| allowed.get(&(target, *transport))).flatten().copied();
        let Ok(ports) = Ports::new(ranges.collect()) else { return false };
        let within = |wanted: &PortRange| {
            ports.ranges().iter().any(|range| range.first() <= wanted.first() && wanted.last() <= range.last())
        };
        exception.ports.ranges().iter().all(within)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DomainName, ProfileName};

    fn profile(exceptions: &[(&str, &str, Protocol)]) -> Profile {
        let exceptions = exceptions.iter().map(|(target, ports, protocol)| Exception {
            target: match target.parse() {
                Ok(net) => Target::Address(net),
                Err(_) => Target::Domain(DomainName::new(target).unwrap()),
            },
            ports: Ports::new(ports.split(',').map(|range| range.parse().unwrap()).collect()).unwrap(),
            protocol: *protocol,
        });
        Profile { name: ProfileName::new("test").unwrap(), exceptions: exceptions.collect() }
    }

    #[test]
    fn a_narrower_target_port_or_protocol_is_within() {
        let outer = profile(&[
            ("10.0.0.0/8", "80-90", Protocol::Any),
            ("10.1.0.0/16", "91-100", Protocol::Tcp),
            ("git.corp.lan", "443", Protocol::Tcp),
        ]);
        for inner in [
            profile(&[]),
            profile(&[("10.1.2.3/32", "80", Protocol::Udp)]),
            profile(&[("10.1.2.3/32", "85-95", Protocol::Tcp)]),
            profile(&[("git.corp.lan", "443", Protocol::Tcp)]),
            outer.clone(),
        ] {
            assert!(is_within(&inner, &outer), "{inner:?}");
        }
    }

    #[test]
    fn anything_more_is_not_within() {
        let outer = profile(&[("10.0.0.0/8", "80-90", Protocol::Tcp), ("git.corp.lan", "443", Protocol::Tcp)]);
        for inner in [
            profile(&[("10.0.0.0/7", "80", Protocol::Tcp)]),
            profile(&[("10.0.0.0/8", "80-91", Protocol::Tcp)]),
            profile(&[("10.0.0.0/8", "80", Protocol::Any)]),
            profile(&[("10.0.0.0/8", "80", Protocol::Tcp), ("192.168.0.1/32", "80", Protocol::Tcp)]),
            profile(&[("www.git.corp.lan", "443", Protocol::Tcp)]),
            profile(&[("fd00::/8", "80", Protocol::Tcp)]),
        ] {
            assert!(!is_within(&inner, &outer), "{inner:?}");
        }
        assert!(!is_within(&outer, &profile(&[])));
    }
}
