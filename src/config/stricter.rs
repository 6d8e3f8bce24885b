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
    use crate::policy::explain::{Place, Question, To};
    use crate::policy::{DomainName, Exception, Policy, ProfileName};
    use proptest::prelude::*;

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

    /// One rule: names or a prefix out of a few, a short range of ports, TCP, UDP or both.
    fn rules() -> impl Strategy<Value = Vec<(String, u16, u16, u8)>> {
        let target = prop_oneof![
            "(\\*\\.)?[ab](\\.[ab]){0,2}",
            (0u8..4, 30u8..=32).prop_map(|(host, length)| {
                IpNet::new([10, 0, 0, host].into(), length).unwrap().trunc().to_string()
            }),
        ];
        proptest::collection::vec((target, 1u16..5, 0u16..3, 0u8..3), 0..5)
    }

    fn built(exceptions: &[(String, u16, u16, u8)], listed: Option<&[(String, u16, u16, u8)]>) -> Profile {
        let rule = |(target, first, more, protocol): &(String, u16, u16, u8)| {
            let ports = Ports::new(vec![PortRange::new(*first, first + more).unwrap()]).unwrap();
            let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Any][usize::from(*protocol)];
            let target = target.parse().map_or_else(|_| Target::Domain(target.parse().unwrap()), Target::Address);
            Exception { target, ports, protocol }
        };
        let names = |rule: Exception| match rule.target {
            Target::Domain(pattern) => Some(Listed { pattern, ports: rule.ports, protocol: rule.protocol }),
            Target::Address(_) => None,
        };
        let reach =
            listed.map_or(Reach::Public, |list| Reach::Listed(list.iter().map(rule).filter_map(names).collect()));
        let name = ProfileName::new("test").unwrap();
        Profile { name, exceptions: exceptions.iter().map(rule).collect(), reach }
    }

    /// What a profile reaches of a few places: by name in public and in private space, and by address.
    fn reached(profile: &Profile) -> Vec<bool> {
        let policy =
            Policy { profiles: vec![], users: vec![], private: vec![], vpn_interfaces: vec![], bridging: None };
        let names = ["a", "b", "a.a", "b.a", "a.b", "b.b", "a.a.a", "b.a.b", "a.b.a.b", "c.c"];
        let (mut all, place) = (Vec::new(), Place::default());
        for transport in [crate::policy::ruleset::Transport::Tcp, crate::policy::ruleset::Transport::Udp] {
            for port in 1..8 {
                let question = Question { policy: &policy, profile, leases: &[], transport, port };
                for name in names.map(|name| name.parse::<DomainName>().unwrap()) {
                    for to in [To::Public, To::Private] {
                        all.push(question.outcome(Some(&name), to).is_allowed());
                    }
                }
                for address in ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "1.1.1.1"] {
                    all.push(question.outcome(None, To::Address(address.parse().unwrap(), &place)).is_allowed());
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn a_profile_that_is_within_another_reaches_nothing_that_the_other_does_not(
            inner in (rules(), proptest::option::of(rules())), more in (rules(), rules()), wide in any::<bool>(),
        ) {
            let small = built(&inner.0, inner.1.as_deref());
            let listed = inner.1.as_ref().filter(|_| !wide).map(|listed| [&more.1[..], listed].concat());
            let large = built(&[&more.0[..], &inner.0].concat(), listed.as_deref());
            // What only adds is always found to be wider.
            prop_assert!(is_within(&small, &large));
            for (inner, outer) in [(&small, &large), (&large, &small)] {
                if is_within(inner, outer) {
                    let lost = reached(inner).iter().zip(reached(outer)).any(|(inner, outer)| *inner && !outer);
                    prop_assert!(!lost, "{:?} {:?}", inner, outer);
                }
            }
            let other = built(&more.0, Some(&more.1));
            if is_within(&other, &small) {
                prop_assert!(!reached(&other).iter().zip(reached(&small)).any(|(inner, outer)| *inner && !outer));
            }
        }
    }
}
