//! How many addresses one sandbox may have opened: the sets in the kernel have room for so many, and all
//! sandboxes of a profile share them. Whoever answers for a listed wildcard could fill them otherwise.

use super::granting::place;
use crate::firewall::grants::Grant;
use crate::firewall::nft;
use crate::policy::ruleset::ADDRESS_LIFETIME;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

/// Addresses that one identity may have opened within [`ADDRESS_LIFETIME`], by one rule each.
const ADDRESSES_MAX: usize = 1024;
/// Elements that these may take, one for each port: half of a set.
const ELEMENTS_MAX: usize = nft::ADDRESSES_MAX as usize / 2;

/// What each identity has had opened, and when last. By digest: who finds two of the same has one for nothing.
#[derive(Default)]
pub(super) struct Budget {
    opened: HashMap<u32, HashMap<u64, Opened>>,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Opened {
    last: Instant,
    elements: usize,
}

impl Opened {
    fn lasts(&self, now: Instant) -> bool {
        now.duration_since(self.last) < ADDRESS_LIFETIME
    }
}

impl Budget {
    /// Notes that the identity has these opened, each with so many `elements`. False if that would be too
    /// much; then nothing is noted.
    pub fn spend(&mut self, identity: u32, grants: &[Grant], elements: impl Fn(&Grant) -> usize, now: Instant) -> bool {
        let opened = self.opened.entry(identity).or_default();
        let wanted: HashMap<u64, Opened> = grants
            .iter()
            .map(|grant| (self.hasher.hash_one(place(grant)), Opened { last: now, elements: elements(grant) }))
            .collect();
        let fits = |opened: &HashMap<u64, Opened>| {
            let new = || wanted.iter().filter(|(digest, _)| !opened.contains_key(digest)).map(|(_, new)| new);
            let taken: usize = opened.values().chain(new()).map(|one| one.elements).sum();
            opened.len() + new().count() <= ADDRESSES_MAX && taken <= ELEMENTS_MAX
        };
        if !fits(opened) {
            // Only now, so that it costs little in ordinary times.
            opened.retain(|_, one| one.lasts(now));
        }
        let fits = fits(opened);
        if fits {
            opened.extend(wanted);
        }
        fits
    }

    /// Forgets identities that have nothing open any more.
    pub fn tidy(&mut self, now: Instant) {
        self.opened.retain(|_, opened| {
            opened.retain(|_, one| one.lasts(now));
            !opened.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::grants::GrantKind;
    use crate::policy::DomainName;
    use std::net::Ipv4Addr;

    fn grants(numbers: std::ops::Range<u32>) -> Vec<Grant> {
        let grant = |number| Grant {
            profile: 0,
            kind: GrantKind::Listed(0),
            name: DomainName::new("a.example").unwrap(),
            address: Ipv4Addr::from(number).into(),
            lifetime: ADDRESS_LIFETIME,
        };
        numbers.map(grant).collect()
    }

    #[test]
    fn one_identity_spends_its_own_and_no_more() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let most = ADDRESSES_MAX as u32;
        assert!(budget.spend(1, &grants(0..most), |_| 1, now));
        assert!(!budget.spend(1, &grants(most..most + 1), |_| 1, now));
        assert!(budget.spend(1, &grants(0..most), |_| 1, now), "the same ones cost nothing");
        assert!(budget.spend(2, &grants(most..most + 1), |_| 1, now));
    }

    #[test]
    fn an_address_with_many_ports_costs_more() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let sixteen = |_: &Grant| 16;
        assert!(budget.spend(1, &grants(0..512), sixteen, now));
        assert!(!budget.spend(1, &grants(512..513), sixteen, now), "half of a set is the others'");
    }

    #[test]
    fn what_has_ended_is_not_counted() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert!(budget.spend(1, &grants(0..ADDRESSES_MAX as u32), |_| 1, now));
        let later = now + ADDRESS_LIFETIME;
        assert!(budget.spend(1, &grants(5000..5001), |_| 1, later));
        budget.tidy(later + ADDRESS_LIFETIME);
        assert!(budget.opened.is_empty());
    }
}
