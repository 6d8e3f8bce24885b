//! How many addresses one sandbox may have opened: the sets in the kernel have room for so many, and all
//! sandboxes of a profile share them. Whoever answers for a listed wildcard could fill them otherwise.

use super::granting::place;
use crate::firewall::grants::Grant;
use crate::policy::ruleset::ADDRESS_LIFETIME;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

/// Addresses that one identity may have opened within [`ADDRESS_LIFETIME`], by one rule each. With eight
/// ports, the most that a rule has elements for, that is half of a set.
const ADDRESSES_MAX: usize = 1024;

/// What each identity has had opened, and when last. By digest: who finds two of the same has one for nothing.
#[derive(Default)]
pub(super) struct Budget {
    opened: HashMap<u32, HashMap<u64, Instant>>,
    hasher: RandomState,
}

impl Budget {
    /// Notes that the identity has these opened. False if that would be too many; then nothing is noted.
    pub fn spend(&mut self, identity: u32, grants: &[Grant], now: Instant) -> bool {
        let lasts = |last: &mut Instant| now.duration_since(*last) < ADDRESS_LIFETIME;
        let opened = self.opened.entry(identity).or_default();
        let digests: Vec<u64> = grants.iter().map(|grant| self.hasher.hash_one(place(grant))).collect();
        let fits = |opened: &HashMap<u64, Instant>| {
            let new = digests.iter().filter(|digest| !opened.contains_key(digest)).count();
            opened.len() + new <= ADDRESSES_MAX
        };
        if !fits(opened) {
            // Only now, so that it costs nothing in ordinary times.
            opened.retain(|_, last| lasts(last));
        }
        let fits = fits(opened);
        if fits {
            opened.extend(digests.into_iter().map(|digest| (digest, now)));
        }
        fits
    }

    /// Forgets identities that have nothing open any more.
    pub fn tidy(&mut self, now: Instant) {
        self.opened.retain(|_, opened| {
            opened.retain(|_, last| now.duration_since(*last) < ADDRESS_LIFETIME);
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
        assert!(budget.spend(1, &grants(0..most), now));
        assert!(!budget.spend(1, &grants(most..most + 1), now));
        assert!(budget.spend(1, &grants(0..most), now), "the same ones cost nothing");
        assert!(budget.spend(2, &grants(most..most + 1), now));
    }

    #[test]
    fn what_has_ended_is_not_counted() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        assert!(budget.spend(1, &grants(0..ADDRESSES_MAX as u32), now));
        let later = now + ADDRESS_LIFETIME;
        assert!(budget.spend(1, &grants(5000..5001), later));
        budget.tidy(later + ADDRESS_LIFETIME);
        assert!(budget.opened.is_empty());
    }
}
