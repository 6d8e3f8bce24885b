//! Whether one network profile reaches no more than another.

use crate::policy::{Listed, NamePattern, PortRange, Ports, Profile, Protocol, Reach, Target};
use ipnet::IpNet;
use std::collections::HashMap;

/// Whether everything that `inner` reaches, `outer` reaches too. Errs towards "no": a rule counts
/// as covered only by those of `outer` that hold its whole target.
pub(super) fn is_within(inner: &Profile, outer: &Profile) -> bool {
    let reach = match (&inner.reach, &outer.reach) {
        (_, Reach::Public) => true,
        (Reach::Public, Reach::Listed(_)) => false,
        (Reach::Listed(inner), Reach::Listed(outer)) => {
            let rules = |list: &[Listed]| -> Vec<Rule> {
                list.iter().map(|it| (Target::Domain(it.pattern.clone()), it.ports.clone(), it.protocol)).collect()
            };
            all_covered(&rules(inner), &rules(outer))
        }
    };
    let rules = |profile: &Profile| -> Vec<Rule> {
        profile.exceptions.iter().map(|it| (it.target.clone(), it.ports.clone(), it.protocol)).collect()
    };
    reach && all_covered(&rules(inner), &rules(outer))
}

type Rule = (Target, Ports, Protocol);

fn all_covered(inner: &[Rule], outer: &[Rule]) -> bool {
    let mut allowed: HashMap<(&Target, Transport), Vec<PortRange>> = HashMap::new();
    for (target, ports, protocol) in outer {
        for transport in transports(*protocol) {
            allowed.entry((target, *transport)).or_default().extend(ports.ranges());
        }
    }
    inner.iter().all(|rule| covered(rule, &allowed))
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

fn covered((target, ports, protocol): &Rule, allowed: &HashMap<(&Target, Transport), Vec<PortRange>>) -> bool {
    let holders: Vec<Target> = match target {
        Target::Address(net) => std::iter::successors(Some(*net), IpNet::supernet).map(Target::Address).collect(),
        Target::Domain(NamePattern::Exact(name)) => NamePattern::covering(name).map(Target::Domain).collect(),
        Target::Domain(NamePattern::Below(name)) => {
            let around = std::iter::once(name.clone()).chain(name.parents());
            around.map(|name| Target::Domain(NamePattern::Below(name))).collect()
        }
    };
    transports(*protocol).iter().all(|transport| {
        let ranges = holders.iter().filter_map(|target| allowed.get(&(target, *transport))).flatten().copied();
        let Ok(held) = Ports::new(ranges.collect()) else { return false };
        let within = |wanted: &PortRange| {
            held.ranges().iter().any(|range| range.first() <= wanted.first() && wanted.last() <= range.last())
        };
        ports.ranges().iter().all(within)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Exception, ProfileName};

    fn profile(exceptions: &[(&str, &str, Protocol)]) -> Profile {
        let exceptions = exceptions.iter().map(|(target, ports, protocol)| Exception {
            target: match target.parse() {
                Ok(net) => Target::Address(net),
                Err(_) => Target::Domain(target.parse().unwrap()),
            },
            ports: Ports::new(ports.split(',').map(|range| range.parse().unwrap()).collect()).unwrap(),
            protocol: *protocol,
        });
        Profile { name: ProfileName::new("test").unwrap(), exceptions: exceptions.collect(), reach: Reach::Public }
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

    fn listing(names: &[(&str, &str)]) -> Profile {
        let listed = names.iter().map(|(name, port)| Listed {
            pattern: name.parse().unwrap(),
            ports: Ports::new(vec![port.parse().unwrap()]).unwrap(),
            protocol: Protocol::Tcp,
        });
        Profile { reach: Reach::Listed(listed.collect()), ..profile(&[]) }
    }

    #[test]
    fn a_list_of_names_is_within_all_of_public_space_and_within_what_covers_it() {
        let outer = listing(&[("*.example.com", "443"), ("example.com", "80-90")]);
        for inner in [
            listing(&[]),
            listing(&[("a.b.example.com", "443"), ("*.b.example.com", "443"), ("example.com", "80")]),
            outer.clone(),
        ] {
            assert!(is_within(&inner, &outer) && is_within(&inner, &profile(&[])), "{inner:?}");
        }
        for inner in [
            profile(&[]),
            listing(&[("*.example.com", "80")]),
            listing(&[("example.com", "443")]),
            listing(&[("*.com", "443")]),
            listing(&[("a.example.org", "443")]),
        ] {
            assert!(!is_within(&inner, &outer), "{inner:?}");
        }
    }

    #[test]
    fn an_exception_for_names_is_within_one_for_everything_above() {
        let outer = profile(&[("*.corp.lan", "443", Protocol::Tcp)]);
        for within in ["git.corp.lan", "*.git.corp.lan", "*.corp.lan"] {
            assert!(is_within(&profile(&[(within, "443", Protocol::Tcp)]), &outer), "{within}");
        }
        for other in ["corp.lan", "*.lan", "xcorp.lan", "*.xcorp.lan"] {
            assert!(!is_within(&profile(&[(other, "443", Protocol::Tcp)]), &outer), "{other}");
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
