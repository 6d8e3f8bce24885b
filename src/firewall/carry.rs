//! What of the addresses and leases that the kernel holds survives new rules. Pure.
//!
//! The new rules decide, and not what an element was before: an address stays where rules of the
//! same kind cover the name that it was an answer to, on the ports that they give it now. In doubt
//! it goes, and the next question brings it back.

use super::nft::{ADDRESSES_MAX, Contents, Held, HeldKey, LEASES_MAX, NameKind, each_port};
use crate::policy::ruleset::{ProfileRules, Ruleset, Transport};
use crate::policy::{DomainName, Holder, Lease, LeaseTarget, ProfileName, ranges};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Taken off each remaining time, for what passes between reading the old sets and loading the new
/// ones: nothing may last longer than it would have.
const MARGIN: Duration = Duration::from_secs(1);

/// What the new rules begin with; no two of the same key, none longer than before, and no more
/// than the sets take.
pub(super) fn carried(held: &[Held], ruleset: &Ruleset) -> Vec<Held> {
    let old: Vec<Held> = held.iter().filter_map(shortened).collect();
    let mut kept: BTreeMap<HeldKey, Held> = BTreeMap::new();
    // A longer time for the same key is one that another name or lease gives it.
    let mut keep = |held: Held| {
        let known = kept.get(&held.key);
        if known.is_none_or(|known| known.remaining < held.remaining) {
            kept.insert(held.key.clone(), held);
        }
    };
    let names = leased_names(&old, ruleset);
    for held in &old {
        if let HeldKey::Address { contents, address, .. } = &held.key {
            let lease = lease_of(&held.key, &held.comment).filter(|lease| has_holder(lease, ruleset));
            let stays = match contents {
                Contents::Names { .. } => false,
                Contents::Leases(_) => lease.is_some_and(|_| !is_never(address)),
                Contents::Leased(_) => names.contains_key(&held.comment) && !is_never(address) && lease.is_some(),
            };
            if stays {
                let end = names.get(&held.comment).copied().unwrap_or(held.remaining);
                keep(Held { remaining: held.remaining.min(end), ..held.clone() });
            }
        }
    }
    answers(&old, ruleset).into_iter().for_each(keep);
    let mut kept = within_sizes(kept.into_values());
    kept.extend(names.into_iter().map(|(comment, remaining)| Held { key: HeldKey::LeasedName, comment, remaining }));
    kept
}

fn shortened(held: &Held) -> Option<Held> {
    let remaining = Duration::from_secs(held.remaining.checked_sub(MARGIN)?.as_secs());
    (!remaining.is_zero()).then(|| Held { remaining, ..held.clone() })
}

/// Whether no name and no lease may open this address.
pub(super) fn is_never(address: &IpAddr) -> bool {
    ranges::never_behind_a_name().iter().any(|net| net.contains(address))
}

/// The leases by name that go on, by their texts.
fn leased_names(held: &[Held], ruleset: &Ruleset) -> BTreeMap<String, Duration> {
    let names = held.iter().filter(|held| held.key == HeldKey::LeasedName);
    let valid = names.filter(|held| {
        let lease = held.comment.parse::<Lease>().ok();
        lease.is_some_and(|lease| matches!(lease.target, LeaseTarget::Name(_)) && has_holder(&lease, ruleset))
    });
    valid.map(|held| (held.comment.clone(), held.remaining)).take(LEASES_MAX as usize).collect()
}

/// Whether there is still somebody for whom a lease holds.
pub(super) fn has_holder(lease: &Lease, ruleset: &Ruleset) -> bool {
    match &lease.holder {
        Holder::Profile(name) => ruleset.profiles.iter().any(|profile| profile.name == *name),
        Holder::Identity(identity) => ruleset.profile_of(*identity).is_some(),
    }
}

/// The lease that an element of a set of leases belongs to. The key is what the kernel goes by: a
/// comment that does not fit it is not believed.
pub(super) fn lease_of(key: &HeldKey, comment: &str) -> Option<Lease> {
    let HeldKey::Address { contents, identity, address, port: Some((transport, port)) } = key else { return None };
    let (Contents::Leases(profile) | Contents::Leased(profile)) = contents else { return None };
    let holder = match (profile, identity) {
        (Some(profile), None) => Holder::Profile(profile.clone()),
        (None, Some(identity)) => Holder::Identity(*identity),
        _ => return None,
    };
    let fits = |lease: &Lease| {
        let target = match &lease.target {
            LeaseTarget::Address(own) => own == address,
            LeaseTarget::Name(_) => true,
        };
        target
            && Contents::of_lease(lease) == *contents
            && lease.holder == holder
            && lease.transport == *transport
            && (lease.ports.first()..=lease.ports.last()).contains(port)
    };
    let stated = comment.parse::<Lease>().ok().filter(fits);
    if stated.is_some() || matches!(contents, Contents::Leased(_)) {
        return stated;
    }
    let ports = crate::policy::PortRange::new(*port, *port).ok()?;
    Lease::new(LeaseTarget::Address(*address), *transport, ports, holder).ok()
}

type Port = (Transport, u16);

/// An address, as the answer to a name by rules of one kind in one profile.
type Answer = (ProfileName, NameKind, DomainName, IpAddr);

/// Under the new rules, what was granted for names under the old ones.
fn answers(held: &[Held], ruleset: &Ruleset) -> Vec<Held> {
    let mut old: BTreeMap<Answer, BTreeMap<Option<Port>, Duration>> = BTreeMap::new();
    for Held { key, comment, remaining } in held {
        let HeldKey::Address { contents: Contents::Names { kind, profile, .. }, address, port, .. } = key else {
            continue;
        };
        let Ok(name) = DomainName::new(comment) else { continue };
        let listed_private = *kind == NameKind::Excepted && is_never(address);
        if name.as_str() == comment && !listed_private {
            let answer = (profile.clone(), *kind, name, *address);
            old.entry(answer).or_default().insert(*port, *remaining);
        }
    }
    old.into_iter().flat_map(|(answer, ends)| granted(&answer, &ends, ruleset)).collect()
}

fn granted(
    (profile, kind, name, address): &Answer,
    ends: &BTreeMap<Option<Port>, Duration>,
    ruleset: &Ruleset,
) -> Vec<Held> {
    let of = |rules: &&ProfileRules| rules.name == *profile;
    let Some(rules) = ruleset.profiles.iter().find(of).and_then(|rules| kind.rules(rules)) else { return Vec::new() };
    // What was not open before lasts no longer than anything that was.
    let shortest = ends.values().min().copied().unwrap_or_default();
    let places: BTreeSet<(Option<usize>, Option<Port>)> = rules
        .classes_of(name)
        .into_iter()
        .flat_map(|class| match each_port(&rules.classes[class]) {
            Some(ports) => ports.into_iter().map(|port| (None, Some(port))).collect(),
            None => vec![(Some(class), None)],
        })
        .collect();
    let held = places.into_iter().map(|(class, port)| {
        let contents = Contents::Names { kind: *kind, profile: profile.clone(), class };
        let remaining = ends.get(&port).copied().unwrap_or(shortest);
        let key = HeldKey::Address { contents, identity: None, address: *address, port };
        Held { key, comment: name.to_string(), remaining }
    });
    held.collect()
}

/// A set that took more than it may would fail the whole transaction: the first to end go.
fn within_sizes(held: impl Iterator<Item = Held>) -> Vec<Held> {
    let mut sets: BTreeMap<(Option<Contents>, bool), Vec<Held>> = BTreeMap::new();
    for held in held {
        let set = match &held.key {
            HeldKey::Address { contents, address, .. } => (Some(contents.clone()), address.is_ipv4()),
            HeldKey::LeasedName => (None, false),
        };
        sets.entry(set).or_default().push(held);
    }
    let cut = |((contents, _), mut held): ((Option<Contents>, bool), Vec<Held>)| {
        let size = if matches!(contents, Some(Contents::Leases(_))) { LEASES_MAX } else { ADDRESSES_MAX };
        held.sort_by_key(|held| std::cmp::Reverse(held.remaining));
        held.truncate(size as usize);
        held
    };
    sets.into_iter().flat_map(cut).collect()
}

#[cfg(test)]
mod tests;
