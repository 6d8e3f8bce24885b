//! Which addresses may stand in an answer. Pure.

use crate::policy::ranges;
use ipnet::IpNet;
use std::net::IpAddr;

/// What an address is to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Public space: every profile with a wide reach gets there.
    Public,
    /// Denied space: only for a name that is excepted or leased.
    Private,
    /// For no name at all ([`ranges::never_behind_a_name`]), and the host itself.
    Never,
}

/// Denied space as the rules have it at the moment.
#[derive(Clone, Debug, Default)]
pub struct Space {
    private: Ranges,
    never: Ranges,
}

impl Space {
    /// `denied` is [`crate::policy::ruleset::Ruleset::denied`]; `on_link` is what is next to the host, `own`
    /// are its addresses. The kernel denies those, but not as a gateway's NAT64 leads back to them.
    pub fn new(denied: &[IpNet], on_link: &[IpNet], own: &[IpAddr]) -> Self {
        let private = denied.iter().copied().chain(ranges::with_nat64(on_link.iter().copied()));
        let own = ranges::with_nat64(own.iter().copied().map(IpNet::from));
        Self { private: Ranges::new(private), never: Ranges::new(ranges::never_behind_a_name().into_iter().chain(own)) }
    }

    /// Looks up one address.
    pub fn verdict(&self, address: IpAddr) -> Verdict {
        if self.never.contains(address) {
            Verdict::Never
        } else if self.private.contains(address) {
            Verdict::Private
        } else {
            Verdict::Public
        }
    }

    /// Whether all of `net` is denied space.
    pub fn denies_all_of(&self, net: &IpNet) -> bool {
        self.private.covers(net) || self.never.covers(net)
    }
}

/// Sorted, disjoint, inclusive ranges of both families.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    /// Sorts and merges.
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            let list = if matches!(net, IpNet::V4(_)) { &mut v4 } else { &mut v6 };
            list.push(bounds(&net));
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }

    /// Whether the address lies in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.covers(&IpNet::from(address))
    }

    /// Whether the whole prefix lies in one of them.
    pub fn covers(&self, net: &IpNet) -> bool {
        let list = if matches!(net, IpNet::V4(_)) { &self.v4 } else { &self.v6 };
        let (first, last) = bounds(net);
        let after = list.partition_point(|(start, _)| *start <= first);
        after.checked_sub(1).is_some_and(|at| list[at].1 >= last)
    }
}

fn bounds(net: &IpNet) -> (u128, u128) {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    (number(net.network()), number(net.broadcast()))
}

fn merged(mut list: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    list.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(list.len());
    for (first, last) in list {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn space() -> Space {
        let on_link = ["198.51.100.0/24", "2001:db8:77::/64"].map(|net| net.parse().unwrap());
        let own = ["198.51.100.2", "2001:db8:77::2", "203.0.113.1"].map(|own| own.parse().unwrap());
        Space::new(&ranges::denied(), &on_link, &own)
    }

    #[test]
    fn every_form_of_denied_space_is_recognised() {
        for (address, verdict) in [
            ("1.1.1.1", Verdict::Public),
            ("2606:4700::1111", Verdict::Public),
            ("64:ff9b::1.1.1.1", Verdict::Public),
            ("10.1.2.3", Verdict::Private),
            ("fd12::3", Verdict::Private),
            ("64:ff9b::10.1.2.3", Verdict::Private),
            ("198.51.100.7", Verdict::Private),
            ("64:ff9b::198.51.100.7", Verdict::Private),
            ("2001:db8:77::7", Verdict::Private),
            ("198.51.100.2", Verdict::Never),
            ("64:ff9b::198.51.100.2", Verdict::Never),
            ("2001:db8:77::2", Verdict::Never),
            ("203.0.113.1", Verdict::Never),
            ("203.0.113.2", Verdict::Public),
            ("::ffff:10.1.2.3", Verdict::Never),
            ("::ffff:1.1.1.1", Verdict::Never),
            ("2002:a01:203::1", Verdict::Never),
            ("2001::1", Verdict::Never),
            ("127.0.0.1", Verdict::Never),
            ("127.82.67.53", Verdict::Never),
            ("::1", Verdict::Never),
            ("::", Verdict::Never),
            ("0.0.0.0", Verdict::Never),
            ("169.254.169.254", Verdict::Never),
            ("169.254.1.1", Verdict::Never),
            ("64:ff9b::169.254.169.254", Verdict::Never),
            ("fd00:ec2::254", Verdict::Never),
            ("fe80::1", Verdict::Never),
            ("255.255.255.255", Verdict::Never),
        ] {
            assert_eq!(space().verdict(address.parse().unwrap()), verdict, "{address}");
        }
    }

    #[test]
    fn a_prefix_is_denied_only_as_a_whole() {
        let space = space();
        for (net, denied) in [
            ("10.0.0.0/8", true),
            ("10.1.0.0/16", true),
            ("192.0.0.0/8", false),
            ("0.0.0.0/0", false),
            ("fd00::/8", true),
        ] {
            assert_eq!(space.denies_all_of(&net.parse().unwrap()), denied, "{net}");
        }
    }

    proptest! {
        #[test]
        fn ranges_find_what_a_walk_over_the_prefixes_finds(
            nets in proptest::collection::vec((any::<u8>(), 24u8..=32), 0..12), asked in any::<u8>(),
        ) {
            let nets: Vec<IpNet> = nets.iter().map(|(host, length)| {
                IpNet::new(Ipv4Addr::new(10, 0, 0, *host).into(), *length).unwrap().trunc()
            }).collect();
            let address = IpAddr::from(Ipv4Addr::new(10, 0, 0, asked));
            let ranges = Ranges::new(nets.clone());
            prop_assert_eq!(ranges.contains(address), nets.iter().any(|net| net.contains(&address)));
        }
    }
}
