//! A slot: one network identity, held by one running sandbox.

use rustix::fs::{
    FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock, futimens, mkdir, open,
};
use rustix::io::Errno;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A held identity. Dropping it gives the identity back.
#[derive(Debug)]
pub struct Slot {
    /// The host uid (and gid) that pasta gets.
    pub identity: u32,
    lock: OwnedFd,
}

/// Why no identity could be held.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// Root prepares the directory whenever it applies the rules.
    #[error("cannot use {}: {source}; `sudo rcc firewall apply` prepares it", path.display())]
    Directory {
        /// The directory of the slots' locks.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// Every slot of this profile is in use.
    #[error(
        "all {count} network identities of this profile are in use: `rcc ps` lists the sandboxes, `rcc stop` ends one"
    )]
    Exhausted {
        /// How many there are.
        count: usize,
    },
}

/// The directory of a user's slot locks below the user's runtime directory. `firewall apply`
/// looks there for identities in use.
pub fn directory(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("slots")
}

impl Slot {
    /// Takes the first free identity of a profile by flock(2).
    pub fn acquire(runtime_dir: &Path, identities: Range<u32>) -> Result<Self, SlotError> {
        let dir = directory(runtime_dir);
        match mkdir(&dir, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => (),
            Err(source) => return Err(SlotError::Directory { path: dir, source }),
        }
        let count = identities.len();
        for identity in identities {
            let path = dir.join(identity.to_string());
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let lock = open(&path, flags, Mode::RUSR | Mode::WUSR)
                .map_err(|source| SlotError::Directory { path: path.clone(), source })?;
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    mark(&lock).map_err(|source| SlotError::Directory { path, source })?;
                    return Ok(Self { identity, lock });
                }
                Err(Errno::WOULDBLOCK) => (),
                Err(source) => return Err(SlotError::Directory { path, source }),
            }
        }
        Err(SlotError::Exhausted { count })
    }
}

/// Has the file's time say that somebody else holds it from now on: what root gave to the last one
/// is not the next one's, however soon that one comes.
fn mark(lock: &OwnedFd) -> Result<(), Errno> {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    futimens(lock, &Timestamps { last_access: time(UTIME_OMIT), last_modification: time(UTIME_NOW) })
}

impl AsFd for Slot {
    /// The lock. A process that keeps it open holds the identity too.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_held_by_one_sandbox_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let first = Slot::acquire(dir.path(), 10..12).unwrap();
        let second = Slot::acquire(dir.path(), 10..12).unwrap();
        assert_eq!((first.identity, second.identity), (10, 11));
        assert!(matches!(Slot::acquire(dir.path(), 10..12), Err(SlotError::Exhausted { count: 2 })));
        drop(first);
        assert_eq!(Slot::acquire(dir.path(), 10..12).unwrap().identity, 10);
    }
}
