//! Opens single addresses for names, in the sets of the loaded rules.
//!
//! The sets carry the version of the rules in their names, so that nothing can be granted under
//! rules that are not the loaded ones any more, and every grant ends by itself.

use super::apply::{self, ApplyError};
use super::carry;
use super::held;
use super::netfilter::{self, Batch, Element, Netfilter};
use super::nft::{Contents, Family, HeldKey, LEASED_NAMES, NameKind, each_port};
use super::run_directory;
use crate::policy::ruleset::{ADDRESS_LIFETIME, ProfileRules, Ruleset, Version};
use crate::policy::{DomainName, Holder, Lease, LeaseTarget};
use rustix::fs::FlockOperation;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// An address to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Position of the profile in the ruleset.
    pub profile: usize,
    /// By which rule.
    pub kind: GrantKind,
    /// The name that was asked for, which a rule of that kind and class covers. It stands in the
    /// element's comment, and `apply` keeps the address as long as rules cover this name. Where it
    /// does not fit there (over 127 bytes), `apply` drops the address.
    pub name: DomainName,
    /// What it was answered with.
    pub address: IpAddr,
    /// For how long; at most [`ADDRESS_LIFETIME`] is taken.
    pub lifetime: Duration,
}

impl Grant {
    /// How many elements of a set it takes, at most.
    pub fn elements(&self, ruleset: &Ruleset) -> usize {
        let of = |kind: NameKind, class: usize| {
            let classes = ruleset.profiles.get(self.profile).and_then(|profile| kind.rules(profile));
            let ports = classes.and_then(|rules| each_port(rules.classes.get(class)?));
            ports.map_or(1, |ports| ports.len())
        };
        match &self.kind {
            GrantKind::Excepted(class) => of(NameKind::Excepted, *class),
            GrantKind::Listed(class) => of(NameKind::Listed, *class),
            GrantKind::Lease(lease) => usize::from(lease.ports.last() - lease.ports.first()) + 1,
        }
    }
}

/// What allows a [`Grant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantKind {
    /// An exception by name: a class of `excepted`.
    Excepted(usize),
    /// A listed name: a class of `listed`.
    Listed(usize),
    /// A lease by name, which must be in the kernel still; the grant does not outlive it.
    Lease(Lease),
}

/// Why nothing was granted. Nothing of the same call was then.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The rules are gone, or of another version.
    #[error("the rules that this name is allowed by are not loaded (any more)")]
    NotLoaded,
    /// No such profile, class or lease, or they do not cover this name; or an address that no name
    /// opens.
    #[error("no rule or lease lets {name} open {address}")]
    NoRule {
        /// The name.
        name: DomainName,
        /// The address.
        address: IpAddr,
    },
    /// The set has no room until some of its addresses end, or too much was asked for at once.
    #[error("too many addresses are open at the same time")]
    Full,
    /// The lock that keeps the rules from being replaced meanwhile.
    #[error(transparent)]
    Lock(#[from] ApplyError),
    /// The kernel.
    #[error("cannot {attempt} addresses of names in the kernel: {source}")]
    Kernel {
        /// What was tried.
        attempt: &'static str,
        /// Its reason.
        source: io::Error,
    },
}

/// Elements that one call may add.
const ELEMENTS_MAX: usize = 512;
/// An element that lasts this much less than it should is as good.
const SLACK: Duration = Duration::from_secs(1);
/// The longest comment (`NFTNL_UDATA_COMMENT_MAXLEN`, libnftnl/udata.h, with its NUL).
const COMMENT_MAX: usize = 127;

/// A way to the kernel's sets, for the network namespace of the thread that opened it.
pub struct Grants {
    kernel: Netfilter,
    lock: File,
}

impl Grants {
    /// Opens it; needs root.
    pub fn open() -> Result<Self, GrantError> {
        Self::open_in(Path::new(apply::RUN))
    }

    /// [`Grants::open`] with another directory for the lock.
    pub(super) fn open_in(run: &Path) -> Result<Self, GrantError> {
        let kernel = Netfilter::open().map_err(|source| GrantError::Kernel { attempt: "reach", source })?;
        Ok(Self { kernel, lock: run_directory::lock_file(run, run_directory::LOCK).map_err(ApplyError::from)? })
    }

    /// Opens all of these or none, and returns when the kernel has them. `version` is that of the
    /// ruleset ([`super::nft::version`]). Addresses that are open long enough already cost nothing
    /// but a look. Waits while rules are being loaded.
    pub fn add(&mut self, ruleset: &Ruleset, version: &Version, grants: &[Grant]) -> Result<(), GrantError> {
        let Self { kernel, lock } = self;
        let _held = Shared::lock(lock)?;
        let mut wanted: BTreeMap<(String, Vec<u8>), Element> = BTreeMap::new();
        for grant in grants {
            let refused = || GrantError::NoRule { name: grant.name.clone(), address: grant.address };
            let (places, comment, lifetime) = places(kernel, ruleset, grant)?.ok_or_else(refused)?;
            for place in places {
                let HeldKey::Address { contents, address, .. } = &place else { continue };
                let set = contents.set(Family::of(address), Some(version));
                let element =
                    Element { key: held::key(&place, ""), remaining: Some(lifetime), comment: comment.clone() };
                let longest = wanted.entry((set, element.key.clone())).or_insert_with(|| element.clone());
                if longest.remaining < element.remaining {
                    *longest = element;
                }
            }
        }
        if wanted.len() > ELEMENTS_MAX {
            return Err(GrantError::Full);
        }
        let mut missing: BTreeMap<(String, bool), Vec<Element>> = BTreeMap::new();
        for ((set, key), element) in wanted {
            let present = kernel.element(&set, &key).map_err(|error| failure("look for", error))?;
            let left = present.as_ref().map(|present| present.remaining.map(|left| left + SLACK));
            if left.is_none_or(|left| left < element.remaining) {
                missing.entry((set, present.is_some())).or_default().push(element);
            }
        }
        let mut batch = Batch::default();
        for ((set, present), elements) in &missing {
            // Replacing takes twice as long as adding.
            if *present { batch.put(set, elements) } else { batch.add(set, elements) }
        }
        kernel.execute(&batch).map_err(|error| failure("add", error))
    }

    /// The leases by name that cover `name` for this identity, with the time that they have left.
    /// Asks the kernel, so a lease holds from the moment that it is there.
    pub fn leases(
        &mut self,
        ruleset: &Ruleset,
        identity: u32,
        name: &DomainName,
    ) -> Result<Vec<(Lease, Duration)>, GrantError> {
        let elements = self.kernel.elements(LEASED_NAMES).map_err(|error| failure("list", error))?;
        let profile = ruleset.profile_of(identity).and_then(|position| ruleset.profiles.get(position));
        let holds = |lease: &Lease| match &lease.holder {
            Holder::Identity(own) => *own == identity,
            Holder::Profile(own) => profile.is_some_and(|profile| profile.name == *own),
        };
        let covering = elements.iter().filter_map(held::leased_name).filter_map(|held| {
            let lease = held.comment.parse::<Lease>().ok()?;
            (covers(&lease, name) && holds(&lease)).then_some((lease, held.remaining))
        });
        Ok(covering.collect())
    }
}

/// Where a grant goes, with what comment and for how long; nowhere if nothing allows it.
fn places(kernel: &mut Netfilter, ruleset: &Ruleset, grant: &Grant) -> Result<Option<Places>, GrantError> {
    let Some(profile) = ruleset.profiles.get(grant.profile) else { return Ok(None) };
    let lifetime = grant.lifetime.clamp(Duration::from_secs(1), ADDRESS_LIFETIME);
    let comment = Some(grant.name.to_string()).filter(|name| name.len() <= COMMENT_MAX);
    match &grant.kind {
        GrantKind::Listed(class) => {
            Ok(named(NameKind::Listed, *class, profile, grant).map(|places| (places, comment, lifetime)))
        }
        _ if carry::is_never(&grant.address) => Ok(None),
        GrantKind::Excepted(class) => {
            Ok(named(NameKind::Excepted, *class, profile, grant).map(|places| (places, comment, lifetime)))
        }
        GrantKind::Lease(lease) => {
            let ours = match &lease.holder {
                Holder::Profile(own) => *own == profile.name,
                Holder::Identity(identity) => ruleset.profile_of(*identity) == Some(grant.profile),
            };
            let left = time_left(kernel, lease)?.filter(|_| ours && covers(lease, &grant.name));
            let comment = Some(lease.to_string());
            Ok(left.map(|left| (leased(lease, grant.address), comment, lifetime.min(left))))
        }
    }
}

/// How long a lease by name still lasts, if it is there.
fn time_left(kernel: &mut Netfilter, lease: &Lease) -> Result<Option<Duration>, GrantError> {
    let text = lease.to_string();
    let key = held::key(&HeldKey::LeasedName, &text);
    let element = kernel.element(LEASED_NAMES, &key).map_err(|error| failure("look for", error))?;
    Ok(element.filter(|element| element.comment.as_ref() == Some(&text)).and_then(|element| element.remaining))
}

/// The keys of the elements, their comment and their lifetime.
type Places = (Vec<HeldKey>, Option<String>, Duration);

fn named(kind: NameKind, class: usize, profile: &ProfileRules, grant: &Grant) -> Option<Vec<HeldKey>> {
    let rules = kind.rules(profile)?;
    if !rules.classes_of(&grant.name).contains(&class) {
        return None;
    }
    let key = |class, port| {
        let contents = Contents::Names { kind, profile: profile.name.clone(), class };
        HeldKey::Address { contents, identity: None, address: grant.address, port }
    };
    Some(match each_port(&rules.classes[class]) {
        Some(ports) => ports.into_iter().map(|port| key(None, Some(port))).collect(),
        None => vec![key(Some(class), None)],
    })
}

/// The elements that a lease has at an address.
pub(super) fn leased(lease: &Lease, address: IpAddr) -> Vec<HeldKey> {
    let identity = match lease.holder {
        Holder::Profile(_) => None,
        Holder::Identity(identity) => Some(identity),
    };
    let key = |port| {
        let port = Some((lease.transport, port));
        HeldKey::Address { contents: Contents::of_lease(lease), identity, address, port }
    };
    (lease.ports.first()..=lease.ports.last()).map(key).collect()
}

fn covers(lease: &Lease, name: &DomainName) -> bool {
    matches!(&lease.target, LeaseTarget::Name(pattern) if pattern.covers(name))
}

/// Keeps the rules from being replaced while it is held.
struct Shared<'a>(&'a File);

impl<'a> Shared<'a> {
    fn lock(file: &'a File) -> Result<Self, GrantError> {
        rustix::fs::flock(file, FlockOperation::LockShared)
            .map_err(|errno| GrantError::Kernel { attempt: "lock the rules for", source: errno.into() })?;
        Ok(Self(file))
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        // Unlocking what is locked does not fail (flock(2)).
        let _ = rustix::fs::flock(self.0, FlockOperation::Unlock);
    }
}

fn failure(attempt: &'static str, error: io::Error) -> GrantError {
    if netfilter::is_absent(&error) {
        GrantError::NotLoaded
    } else if netfilter::is_full(&error) {
        GrantError::Full
    } else {
        GrantError::Kernel { attempt, source: error }
    }
}
