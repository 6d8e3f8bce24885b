//! Loads the rules, as root. The kernel is the only state.

use super::bridges::{self, BridgeError};
use super::carry;
use super::held;
use super::kernel::{Nft, NftError};
use super::loaded::Loaded;
use super::netfilter::Netfilter;
use super::nft;
use super::onlink;
use super::run_directory::{self, RunError, directory, lock};
use crate::policy::ruleset::{IdentityRange, Ruleset};
use crate::policy::{Policy, Surroundings};
use rustix::fs::{FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where locks and sessions live.
pub(super) const RUN: &str = "/run/rcc";

/// Why the rules were not loaded. Whatever was loaded before still is, but for [`ApplyError::Overwritten`] and what is
/// said of bridges when they are made: these come after the rules, which are in force then.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Only root may.
    #[error("the firewall belongs to root: run this with sudo")]
    NotRoot,
    /// A file or directory of ours.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A running sandbox would get another profile's rules.
    #[error(
        "user {uid} has a sandbox running as identity {identity}, which would move from the rules \
         `{before}` to {after}: profiles keep their identities only while their order in the \
         configuration stays; stop the sandbox (`rcc stop`) or restore the order"
    )]
    InUse {
        /// Whose sandbox.
        uid: u32,
        /// Its network identity.
        identity: u32,
        /// The chain it is in.
        before: String,
        /// The chain it would be in, or that it would be in none.
        after: String,
    },
    /// The service would load them again at once.
    #[error("the service rcc-firewall keeps the rules loaded: stop it first (`systemctl stop rcc-firewall`)")]
    Watched,
    /// nft.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// What the old rules hold for a while.
    #[error("cannot read the leases and open addresses that the new rules should keep: {0}")]
    Held(#[source] std::io::Error),
    /// The bridges of container engines.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The kernel's rules are not what was just loaded: somebody else changes them too.
    #[error("the rules were loaded but are not what the kernel lists now: is another program rewriting nft tables?")]
    Overwritten,
}

/// Replaces our table by what policy and surroundings ask for, and reads it back. Idempotent.
/// Leases and the addresses of names are kept as far as the new policy allows them, in the same
/// transaction.
/// If it is killed at any moment, the old rules or the new ones are in force.
pub fn apply(policy: &Policy, surroundings: &Surroundings) -> Result<(), ApplyError> {
    apply_in(Path::new(RUN), policy, surroundings)
}

/// Removes our table; no error if it is absent.
pub fn reset() -> Result<(), ApplyError> {
    reset_in(Path::new(RUN))
}

/// [`apply`] with another directory for the locks.
pub(super) fn apply_in(run: &Path, policy: &Policy, surroundings: &Surroundings) -> Result<(), ApplyError> {
    require_root()?;
    let _lock = lock(run)?;
    for user in &policy.users {
        user_directory(run, user.uid)?;
    }
    let (ruleset, nft) = (Ruleset::from(policy), Nft::find()?);
    check_moves(run, policy, &ruleset, &nft)?;
    let version = nft::version(&ruleset);
    let held = Netfilter::open().and_then(|mut kernel| held::read(&mut kernel)).map_err(ApplyError::Held)?;
    let document = nft::replace_keeping(&ruleset, &version, surroundings, &carry::carried(&held, &ruleset));
    // What no rule is for any more is not to be reached from.
    bridges::remove_others(&policy.bridges())?;
    nft.execute("load the rules", &document)?;
    let loaded = nft.outline()?.map(Loaded::new).ok_or(ApplyError::Overwritten)?;
    let same = loaded.is_version(&version, &ruleset) && loaded.rules_by_chain() == nft::rules_by_chain(&document);
    if !same {
        return Err(ApplyError::Overwritten);
    }
    if policy.bridging.is_none() {
        return Ok(drop_frames(&nft)?);
    }
    if bridges::make(&policy.bridges())? {
        // The bridges are links too, and what is on them is on-link from now on.
        let surroundings =
            Surroundings { on_link: onlink::read().map_err(BridgeError::from)?.on_link, ..surroundings.clone() };
        nft.execute("update the sets", &nft::update(&version, &surroundings))?;
    }
    Ok(())
}

/// The table of frames of bridges that are gone.
fn drop_frames(nft: &Nft) -> Result<(), NftError> {
    if nft.tables("bridge")?.iter().any(|name| name == nft::TABLE) {
        nft.execute("remove the rules of bridges", &nft::remove_frames())?;
    }
    Ok(())
}

/// [`reset`] with another directory for the locks.
pub(super) fn reset_in(run: &Path) -> Result<(), ApplyError> {
    require_root()?;
    let _lock = lock(run)?;
    let watch = watch_lock(run)?;
    if rustix::fs::flock(&watch, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK) {
        return Err(ApplyError::Watched);
    }
    let nft = Nft::find()?;
    bridges::remove_others(&[])?;
    nft.execute("remove the rules", &nft::remove())?;
    Ok(drop_frames(&nft)?)
}

/// Replaces the content of the dynamic sets only. Counters go on.
pub(super) fn update_in(run: &Path, ruleset: &Ruleset, surroundings: &Surroundings) -> Result<(), ApplyError> {
    let _lock = lock(run)?;
    Ok(Nft::find()?.execute("update the sets", &nft::update(&nft::version(ruleset), surroundings))?)
}

/// CAP_NET_ADMIN would do for the rules, but the locks are root's.
pub(super) fn require_root() -> Result<(), ApplyError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(ApplyError::NotRoot) }
}

/// The service holds a lock on this file while it runs.
pub(super) fn watch_lock(run: &Path) -> Result<File, ApplyError> {
    Ok(run_directory::watch_lock(run)?)
}

/// The user's own directory, where the user's locks and sessions live. Its parent is root's, so
/// nobody can put something else in its place.
fn user_directory(run: &Path, uid: u32) -> Result<(), ApplyError> {
    let path = run.join(uid.to_string());
    directory(&path, 0o700)?;
    let owner = std::fs::symlink_metadata(&path).map_err(RunError::doing("inspect", &path))?.uid();
    // Without this test the service could not apply anything again where it has no CAP_CHOWN.
    if owner == uid {
        return Ok(());
    }
    Ok(std::os::unix::fs::lchown(&path, Some(uid), None).map_err(RunError::doing("give away", &path))?)
}

/// The identities that running sandboxes hold, with their users.
fn held_identities(run: &Path, policy: &Policy) -> Result<Vec<(u32, u32)>, ApplyError> {
    let mut held = Vec::new();
    for user in &policy.users {
        let Some(slots) = open_slots(run, user.uid)? else { continue };
        for identity in user.start..user.start + crate::policy::identity::RANGE_LENGTH {
            if slot_taken(&slots, identity)?.is_some() {
                held.push((user.uid, identity));
            }
        }
    }
    Ok(held)
}

/// Refuses rules that would move a running sandbox from one profile's to another's.
pub(super) fn check_moves(run: &Path, policy: &Policy, ruleset: &Ruleset, nft: &Nft) -> Result<(), ApplyError> {
    let held = held_identities(run, policy)?;
    if !held.is_empty()
        && let Some(objects) = nft.outline()?
    {
        refuse_moves(&held, ruleset, &Loaded::new(objects).identities())?;
    }
    Ok(())
}

/// An identity that a running sandbox holds must stay in the chain that it was verified in.
fn refuse_moves(held: &[(u32, u32)], ruleset: &Ruleset, before: &[(IdentityRange, String)]) -> Result<(), ApplyError> {
    let after: Vec<(IdentityRange, String)> = ruleset
        .profiles
        .iter()
        .flat_map(|profile| profile.identities.iter().map(|range| (*range, nft::profile_chain(&profile.name))))
        .collect();
    for &(uid, identity) in held {
        let (old, new) = (chain_of(before, identity), chain_of(&after, identity));
        if let Some(old) = old.filter(|old| Some(*old) != new) {
            let after = new.map_or_else(|| "no rules at all".to_owned(), |new| format!("`{new}`"));
            return Err(ApplyError::InUse { uid, identity, before: old.to_owned(), after });
        }
    }
    Ok(())
}

fn chain_of(map: &[(IdentityRange, String)], identity: u32) -> Option<&str> {
    let entry = map.iter().find(|(range, _)| (range.first..=range.last).contains(&identity));
    entry.map(|(_, chain)| chain.as_str())
}

/// When a sandbox took its slot, as the slot's file tells: the next one in it has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    inode: u64,
    modified: (i64, i64),
}

/// Whether some process holds this slot, and since when.
pub(super) fn taken(run: &Path, uid: u32, identity: u32) -> Result<Option<Taken>, ApplyError> {
    match open_slots(run, uid)? {
        Some(slots) => slot_taken(&slots, identity),
        None => Ok(None),
    }
}

/// A user's directory of slots.
struct Slots {
    directory: OwnedFd,
    path: PathBuf,
}

fn open_slots(run: &Path, uid: u32) -> Result<Option<Slots>, ApplyError> {
    let path = run.join(format!("{uid}/slots"));
    let failed = |errno: Errno| RunError::doing("open", &path)(errno.into());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let run = rustix::fs::open(run, flags, Mode::empty()).map_err(failed)?;
    let directory = open_beneath(&run, &format!("{uid}/slots"), flags).map_err(failed)?;
    Ok(directory.map(|directory| Slots { directory, path }))
}

fn slot_taken(slots: &Slots, identity: u32) -> Result<Option<Taken>, ApplyError> {
    let name = identity.to_string();
    let failed = |attempt: &'static str, errno: Errno| RunError::doing(attempt, &slots.path.join(&name))(errno.into());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slot = match open_beneath(&slots.directory, &name, flags) {
        Ok(Some(slot)) => slot,
        Ok(None) => return Ok(None),
        // Its owner has a lease on the file (fcntl(2), F_SETLEASE), so somebody runs. Nobody's lease
        // keeps root from loading rules, or others' leases from ending.
        Err(Errno::WOULDBLOCK) => return Ok(Some(Taken { inode: 0, modified: (0, 0) })),
        Err(errno) => return Err(failed("open", errno).into()),
    };
    let stat = rustix::fs::fstat(&slot).map_err(|errno| failed("inspect", errno))?;
    match rustix::fs::flock(&slot, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK) => {
            Ok(Some(Taken { inode: stat.st_ino, modified: (stat.st_mtime, stat.st_mtime_nsec as i64) }))
        }
        Err(errno) => Err(failed("lock", errno).into()),
    }
}

/// Opens what is there. The directory is the user's, so no link in it is followed and nothing is
/// read from it.
fn open_beneath(directory: &OwnedFd, path: &str, flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve) {
        Ok(opened) => Ok(Some(opened)),
        // The user's own doing, and it takes only the user's own protection away.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}
