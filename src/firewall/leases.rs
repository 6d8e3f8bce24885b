//! Exceptions with an end. They live in the kernel alone: whoever may change the rules may add and
//! revoke them, they end without anybody's doing, and their end cuts the flows that used them.

use super::apply::{self, ApplyError, Taken};
use super::carry;
use super::grants::leased;
use super::held;
use super::netfilter::{self, Batch, Element, Netfilter};
use super::nft::{Contents, Family, HeldKey, LEASED_NAMES};
use super::onlink::{self, OnLinkError};
use super::run_directory;
use crate::policy::ruleset::Ruleset;
use crate::policy::{Holder, Lease, LeaseTarget, Policy};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest lease. What should last longer belongs in root's file.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Refuses what no lease lasts.
///
/// # Errors
/// [`LeaseError::Duration`] below 1 s and above [`LONGEST`].
pub fn check_time(time: Duration) -> Result<(), LeaseError> {
    if time < Duration::from_secs(1) || time > LONGEST { Err(LeaseError::Duration) } else { Ok(()) }
}

/// Why a lease was not given, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// No rules, or not ours.
    #[error("the firewall rules are absent or of another version: run `sudo rcc firewall apply`")]
    NotLoaded,
    /// Loopback, link-local, metadata, or IPv4 in a form that hides it.
    #[error(
        "{address} is loopback, link-local, multicast or a cloud's metadata service: only an exception by address in \
         /etc/rcc/config.toml opens it"
    )]
    Never {
        /// The address.
        address: IpAddr,
    },
    /// An address of this machine.
    #[error("{address} is this machine itself: only an exception by address in /etc/rcc/config.toml opens it")]
    Host {
        /// The address.
        address: IpAddr,
    },
    /// No such profile, or an identity that is nobody's.
    #[error("{0} is no profile and no session that the loaded rules know")]
    NoHolder(String),
    /// Too short or too long.
    #[error("a lease lasts from 1 second to {} days; what should last longer goes into /etc/rcc/config.toml", LONGEST.as_secs() / 86400)]
    Duration,
    /// No room.
    #[error("there are too many leases: revoke some, or write what lasts into /etc/rcc/config.toml")]
    Full,
    /// Locks and directories.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The host's addresses.
    #[error(transparent)]
    OnLink(#[from] OnLinkError),
    /// The kernel.
    #[error("cannot {attempt} leases in the kernel: {source}")]
    Kernel {
        /// What was tried.
        attempt: &'static str,
        /// Its reason.
        source: io::Error,
    },
}

/// A lease and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The lease.
    pub lease: Lease,
    /// How long it still lasts.
    pub time: Duration,
}

/// The running sandboxes that have leases of their own, and since when.
#[derive(Debug, Default)]
pub struct Sessions(BTreeMap<u32, Taken>);

/// The leases in the kernel, in the network namespace of the thread that opened them.
pub struct Leases {
    kernel: Netfilter,
    run: PathBuf,
}

impl Leases {
    /// Opens them; needs root.
    pub fn open() -> Result<Self, LeaseError> {
        Self::open_in(Path::new(apply::RUN))
    }

    /// [`Leases::open`] with another directory for the lock.
    pub(super) fn open_in(run: &Path) -> Result<Self, LeaseError> {
        let kernel = Netfilter::open().map_err(|error| failure("reach", error))?;
        Ok(Self { kernel, run: run.to_owned() })
    }

    /// Gives a lease, from now on and for so long, or sets one that is there to that time. By
    /// address it holds when this returns; by name, for what is answered from now on.
    pub fn add(&mut self, ruleset: &Ruleset, lease: &Lease, time: Duration) -> Result<(), LeaseError> {
        check_time(time)?;
        if !carry::has_holder(lease, ruleset) {
            return Err(LeaseError::NoHolder(lease.holder.to_string()));
        }
        if let LeaseTarget::Address(address) = lease.target {
            refuse_reserved(address)?;
        }
        let _lock = run_directory::lock(&self.run).map_err(ApplyError::from)?;
        let element = |key: &HeldKey| {
            let comment = lease.to_string();
            Element { key: held::key(key, &comment), remaining: Some(time), comment: Some(comment) }
        };
        let mut batch = Batch::default();
        match lease.target {
            LeaseTarget::Name(_) => batch.put(LEASED_NAMES, &[element(&HeldKey::LeasedName)]),
            LeaseTarget::Address(address) => {
                let set = Contents::of_lease(lease).set(Family::of(&address), None);
                batch.put(&set, &leased(lease, address).iter().map(element).collect::<Vec<_>>());
            }
        }
        self.kernel.execute(&batch).map_err(|error| failure("add", error))
    }

    /// All leases, by their text. An absent table has none.
    pub fn list(&mut self) -> Result<Vec<Remaining>, LeaseError> {
        let held = held::read(&mut self.kernel).map_err(|error| failure("list", error))?;
        let mut leases: BTreeMap<Lease, Duration> = BTreeMap::new();
        for held in held {
            let lease = match &held.key {
                HeldKey::LeasedName => held.comment.parse().ok(),
                HeldKey::Address { contents: Contents::Leases(_), .. } => carry::lease_of(&held.key, &held.comment),
                HeldKey::Address { .. } => None,
            };
            if let Some(lease) = lease {
                let time = leases.entry(lease).or_default();
                *time = held.remaining.max(*time);
            }
        }
        Ok(leases.into_iter().map(|(lease, time)| Remaining { lease, time }).collect())
    }

    /// Revokes a lease and closes what was opened by it; flows that used it are cut at their next
    /// packet. Tells whether there was any.
    pub fn revoke(&mut self, lease: &Lease) -> Result<bool, LeaseError> {
        let _lock = run_directory::lock(&self.run).map_err(ApplyError::from)?;
        self.remove(|own| own == lease)
    }

    /// Revokes the leases of sessions that have ended, so that nobody who gets their identity next
    /// inherits them. `sessions` is what the last call saw: whoever took the identity since then is
    /// another session. Tells whether there were any.
    pub fn revoke_ended(&mut self, policy: &Policy, sessions: &mut Sessions) -> Result<bool, LeaseError> {
        let _lock = run_directory::lock(&self.run).map_err(ApplyError::from)?;
        let (mut running, mut ended) = (BTreeMap::new(), BTreeSet::new());
        for Remaining { lease, .. } in self.list()? {
            let Holder::Identity(identity) = lease.holder else { continue };
            let same = |taken: &Taken| sessions.0.get(&identity).is_none_or(|before| before == taken);
            match taken(&self.run, policy, identity)?.filter(same) {
                Some(taken) => drop(running.insert(identity, taken)),
                None => drop(ended.insert(identity)),
            }
        }
        if !ended.is_empty() {
            self.remove(|lease| matches!(lease.holder, Holder::Identity(identity) if ended.contains(&identity)))?;
        }
        sessions.0 = running;
        Ok(!ended.is_empty())
    }

    /// Deletes all that belongs to some leases. To be called under the lock.
    fn remove(&mut self, wanted: impl Fn(&Lease) -> bool) -> Result<bool, LeaseError> {
        // What ends between looking and deleting fails the transaction, and is gone at the next look.
        for _ in 0..16 {
            let held = held::read(&mut self.kernel).map_err(|error| failure("list", error))?;
            let mut gone: BTreeMap<String, Vec<Element>> = BTreeMap::new();
            for held in &held {
                let (lease, set) = match &held.key {
                    HeldKey::LeasedName => (held.comment.parse().ok(), LEASED_NAMES.to_owned()),
                    HeldKey::Address { contents, address, .. } => {
                        (carry::lease_of(&held.key, &held.comment), contents.set(Family::of(address), None))
                    }
                };
                if lease.is_some_and(|lease| wanted(&lease)) {
                    let key = held::key(&held.key, &held.comment);
                    gone.entry(set).or_default().push(Element { key, remaining: None, comment: None });
                }
            }
            let mut batch = Batch::default();
            for (set, elements) in &gone {
                batch.delete(set, elements);
            }
            match self.kernel.execute(&batch) {
                Err(error) if netfilter::is_absent(&error) => {}
                done => return done.map(|()| !gone.is_empty()).map_err(|error| failure("revoke", error)),
            }
        }
        Err(failure("revoke", io::Error::other("they change faster than they can be listed")))
    }
}

/// Since when a running sandbox holds this identity.
fn taken(run: &Path, policy: &Policy, identity: u32) -> Result<Option<Taken>, ApplyError> {
    match policy.holder(identity) {
        Some((uid, ..)) => apply::taken(run, uid, identity),
        None => Ok(None),
    }
}

fn refuse_reserved(address: IpAddr) -> Result<(), LeaseError> {
    if carry::is_never(&address) {
        return Err(LeaseError::Never { address });
    }
    let own = onlink::read()?.own;
    let behind = |own: &IpAddr| match own {
        IpAddr::V4(own) => Some(IpAddr::from(crate::policy::ranges::behind_nat64(*own))),
        IpAddr::V6(_) => None,
    };
    if own.iter().any(|own| *own == address || behind(own) == Some(address)) {
        return Err(LeaseError::Host { address });
    }
    Ok(())
}

fn failure(attempt: &'static str, error: io::Error) -> LeaseError {
    if netfilter::is_absent(&error) {
        LeaseError::NotLoaded
    } else if netfilter::is_full(&error) {
        LeaseError::Full
    } else {
        LeaseError::Kernel { attempt, source: error }
    }
}
