//! What becomes of a question: the whole policy of names in one pure function.

use super::hosts::Hosts;
use super::space::{Ranges, Space};
use crate::policy::ruleset::{ProfileRules, Ruleset, Version};
use crate::policy::{DomainName, Holder, Lease, LeaseTarget};
use hickory_proto::rr::{Name, RecordType};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Whoever asks, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The network identity.
    pub identity: u32,
    /// The position of its profile in the ruleset.
    pub profile: usize,
}

/// What is loaded.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The rules.
    pub ruleset: Arc<Ruleset>,
    /// Their version, [`crate::firewall::nft::version`].
    pub version: Version,
    /// What is next to the host.
    pub on_link: Vec<IpNet>,
    /// The host's own addresses.
    pub own: Vec<IpAddr>,
}

/// The policy at one moment, ready to be asked.
#[derive(Debug)]
pub struct View {
    /// The rules that are loaded.
    pub ruleset: Arc<Ruleset>,
    /// Their version, [`crate::firewall::nft::version`].
    pub version: Version,
    /// Denied space.
    pub space: Space,
    /// For each profile, the private addresses that it reaches whatever they are called.
    excepted: Vec<Ranges>,
    /// Leases by name, and when they end.
    pub leases: Vec<(Lease, Instant)>,
    /// What the host calls addresses itself.
    pub hosts: Hosts,
}

/// What becomes of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The sandbox's own loopback (RFC 6761, 6.3).
    Loopback,
    /// There is no such name, for this profile.
    Denied(Denial),
    /// The upstream is asked.
    Resolve(Scope),
}

/// Why a name does not exist for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Denial {
    /// The profile lists other names.
    NotListed,
    /// The name belongs to no public space: `.local`, a single label, a private address's.
    Private,
    /// No resolver answers such a name (RFC 7686, RFC 6761), or it would lead past this one.
    Special,
    /// A label with bytes that no host's name has.
    Malformed,
}

/// What an answer may point at, and what has to be opened for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The name as rules know it, where any rule or lease covers it.
    pub name: Option<DomainName>,
    /// Classes of [`ProfileRules::excepted`].
    pub excepted: Vec<usize>,
    /// Classes of [`ProfileRules::listed`].
    pub listed: Vec<usize>,
    /// Positions in [`View::leases`].
    pub leases: Vec<usize>,
}

impl Scope {
    /// Whether the name may lead into denied space.
    pub fn reaches_private(&self) -> bool {
        !self.excepted.is_empty() || !self.leases.is_empty()
    }

    fn is_empty(&self) -> bool {
        !self.reaches_private() && self.listed.is_empty()
    }
}

impl View {
    /// `leases` may name addresses too, which are left out.
    pub fn new(rules: &Rules, leases: Vec<(Lease, Instant)>, hosts: Hosts) -> Self {
        let ruleset = Arc::clone(&rules.ruleset);
        let excepted = ruleset.profiles.iter().map(|profile| {
            let openings = profile.hosts.iter().chain(&profile.prefixes);
            Ranges::new(openings.map(|opening| opening.net))
        });
        let by_name = |(lease, _): &(Lease, Instant)| matches!(lease.target, LeaseTarget::Name(_));
        Self {
            space: Space::new(&ruleset.denied, &rules.on_link, &rules.own),
            excepted: excepted.collect(),
            leases: leases.into_iter().filter(by_name).collect(),
            hosts,
            version: rules.version,
            ruleset,
        }
    }

    /// The addresses that the host's own file has for a name, if this question may lead there.
    pub fn hosts(&self, scope: &Scope) -> Option<&[IpAddr]> {
        let name = scope.name.as_ref().filter(|_| scope.reaches_private())?;
        self.hosts.get(name).map(Vec::as_slice)
    }

    /// Which identity an address on a bridge stands for.
    pub fn placed(&self, address: IpAddr) -> Option<u32> {
        self.ruleset.bridges.iter().find_map(|rules| rules.bridge.identity_at(address))
    }

    /// Which profile an identity asks for; `None` if it is no network identity.
    pub fn asker(&self, identity: u32) -> Option<Asker> {
        self.ruleset.profile_of(identity).map(|profile| Asker { identity, profile })
    }

    /// Private addresses that this profile reaches by address.
    pub fn excepted(&self, asker: Asker) -> &Ranges {
        &self.excepted[asker.profile]
    }

    /// Decides about one question. Names are compared as ASCII labels, exactly: a name that is no
    /// host name matches no rule.
    pub fn decide(&self, asker: Asker, name: &Name, kind: RecordType, now: Instant) -> Decision {
        let profile = &self.ruleset.profiles[asker.profile];
        if !name.iter().all(|label| label.iter().all(|byte| is_plausible(*byte))) {
            return Decision::Denied(Denial::Malformed);
        }
        match special(name) {
            Some(Special::Loopback) => return Decision::Loopback,
            Some(Special::Nowhere) => return Decision::Denied(Denial::Special),
            Some(Special::Private) | None => {}
        }
        let scope = self.scope(profile, asker, name, now);
        if !scope.is_empty() {
            return Decision::Resolve(scope);
        }
        if let Some(net) = reverse(name) {
            let excepted = self.excepted(asker).covers(&net);
            if excepted || (profile.listed.is_none() && !self.space.denies_all_of(&net)) {
                return Decision::Resolve(scope);
            }
            let private = self.space.denies_all_of(&net);
            return Decision::Denied(if private { Denial::Private } else { Denial::NotListed });
        }
        if profile.listed.is_some() {
            return Decision::Denied(Denial::NotListed);
        }
        // Of a top-level domain only what belongs to its zone is public; hosts with such names are local.
        let of_zone = matches!(kind, RecordType::NS | RecordType::SOA | RecordType::DS | RecordType::DNSKEY);
        match special(name) {
            Some(_) => Decision::Denied(Denial::Private),
            None if name.num_labels() < 2 && !of_zone => Decision::Denied(Denial::Private),
            None => Decision::Resolve(scope),
        }
    }

    /// Whether this profile would be told about the name at all.
    pub fn resolves(&self, asker: Asker, name: &Name, now: Instant) -> bool {
        matches!(self.decide(asker, name, RecordType::A, now), Decision::Resolve(_))
    }

    fn scope(&self, profile: &ProfileRules, asker: Asker, name: &Name, now: Instant) -> Scope {
        let no_rules = profile.excepted.is_empty() && profile.listed.as_ref().is_none_or(|listed| listed.is_empty());
        if no_rules && self.leases.is_empty() {
            return Scope::default();
        }
        let Some(host) = host_name(name) else { return Scope::default() };
        let for_us = |lease: &Lease| match (&lease.holder, &lease.target) {
            (_, LeaseTarget::Address(_)) => false,
            (Holder::Profile(name), LeaseTarget::Name(pattern)) => *name == profile.name && pattern.covers(&host),
            (Holder::Identity(identity), LeaseTarget::Name(pattern)) => {
                *identity == asker.identity && pattern.covers(&host)
            }
        };
        let leases = self.leases.iter().enumerate().filter(|(_, (lease, end))| *end > now && for_us(lease));
        Scope {
            excepted: profile.excepted.classes_of(&host),
            listed: profile.listed.as_ref().map(|listed| listed.classes_of(&host)).unwrap_or_default(),
            leases: leases.map(|(at, _)| at).collect(),
            name: Some(host),
        }
    }
}

/// Names of DNS may hold any byte (RFC 2181, 11). What ends a name, separates labels or escapes them
/// in other people's programs is in no name that anybody looks for.
fn is_plausible(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && byte != b'.' && byte != b'\\'
}

/// The name as rules know it; `None` for one that is no host name.
fn host_name(name: &Name) -> Option<DomainName> {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
    }
    // Whatever the conversion to ASCII does, it must not turn one name into another.
    DomainName::new(&text).ok().filter(|domain| domain.as_str() == text)
}

enum Special {
    Loopback,
    Nowhere,
    Private,
}

/// Special-use names (IANA registry, RFC 6761), and the two by which programs find a resolver to
/// ask instead of this one: RFC 9462, and Mozilla's canary for DNS over HTTPS.
fn special(name: &Name) -> Option<Special> {
    let mut labels = name.iter().rev();
    let top = labels.next()?.to_ascii_lowercase();
    let second = labels.next().map(<[u8]>::to_ascii_lowercase);
    match (top.as_slice(), second.as_deref()) {
        (b"localhost", _) => Some(Special::Loopback),
        (b"onion" | b"invalid" | b"alt", _) => Some(Special::Nowhere),
        (b"arpa", Some(b"resolver")) | (b"net", Some(b"use-application-dns")) => Some(Special::Nowhere),
        // RFC 6762, RFC 8375, and ICANN's resolution 2024.07.29.06: names of the site.
        (b"local" | b"internal", _) | (b"arpa", Some(b"home")) => Some(Special::Private),
        _ => None,
    }
}

/// The addresses that a reverse name stands for; labels in front of them are service names (RFC 6763).
fn reverse(name: &Name) -> Option<IpNet> {
    let second = name.iter().rev().nth(1)?;
    let longest = match second.to_ascii_lowercase().as_slice() {
        b"in-addr" => 6,
        b"ip6" => 34,
        _ => return None,
    };
    let labels = usize::from(name.num_labels()).min(longest);
    (2..=labels).rev().find_map(|count| name.trim_to(count).parse_arpa_name().ok())
}
