//! What the processes of one session know of each other's work: who delivers, and what was handed over and may
//! not be acknowledged yet. In the sandbox's private `/tmp`, gone with it.

use crate::relay::name::MessageId;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where it is.
pub const DIRECTORY: &str = "/tmp/.rcc-relay";

/// What one process at a time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Hands messages over. The bridge to the messaging socket has this as long as it runs.
    Deliver,
    /// Waits for a message that wakes the session.
    Wait,
}

/// The directory. It is created when it is first used.
#[derive(Clone, Debug)]
pub struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// Opens it.
    ///
    /// # Errors
    /// If it cannot be made, or somebody else's lies there.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
        make(dir)?;
        let meta = std::fs::symlink_metadata(dir)?;
        if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o077 != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        for name in ["handed", "announced"] {
            make(&dir.join(name))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Takes a turn until the file is dropped; `None` if another process has it.
    pub fn take(&self, turn: Turn) -> Option<File> {
        self.lock(turn, FlockOperation::NonBlockingLockExclusive)
    }

    /// Waits for a turn. Whoever has it has it for the time of one delivery, or for the whole session.
    pub fn await_turn(&self, turn: Turn) -> Option<File> {
        self.lock(turn, FlockOperation::LockExclusive)
    }

    fn lock(&self, turn: Turn, operation: FlockOperation) -> Option<File> {
        let name = match turn {
            Turn::Deliver => "deliver",
            Turn::Wait => "wait",
        };
        let file = File::options().write(true).create(true).truncate(false).open(self.dir.join(name)).ok()?;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Some(file),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Says that the agent has a message. What cannot be noted is acknowledged all the same, or comes again.
    pub fn note(&self, id: &MessageId) {
        let _ = File::create(self.handed(id));
    }

    /// Whether the agent has it.
    pub fn knows(&self, id: &MessageId) -> bool {
        self.handed(id).exists()
    }

    /// The relay knows it too: it will not send it again.
    pub fn forget(&self, id: &MessageId) {
        let _ = std::fs::remove_file(self.handed(id));
    }

    /// Says that the agent was told of a long message; false if it had been before.
    pub fn announce(&self, id: &MessageId) -> bool {
        File::create_new(self.dir.join("announced").join(id.as_str())).is_ok()
    }

    /// Says that hooks run in this session.
    pub fn note_hooks(&self) {
        let _ = File::create(self.dir.join("hooks"));
    }

    /// Whether they do: they confirm what came by the messaging socket.
    pub fn has_hooks(&self) -> bool {
        self.dir.join("hooks").exists()
    }

    fn handed(&self, id: &MessageId) -> PathBuf {
        self.dir.join("handed").join(id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_turn_is_taken_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("l")).unwrap();
        let turn = ledger.take(Turn::Deliver).unwrap();
        assert!(ledger.take(Turn::Deliver).is_none());
        assert!(ledger.take(Turn::Wait).is_some());
        drop(turn);
        assert!(ledger.take(Turn::Deliver).is_some());
    }

    #[test]
    fn what_was_handed_over_is_known_until_the_relay_knows_it() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("l")).unwrap();
        let id = "m1".parse().unwrap();
        ledger.note(&id);
        assert!(Ledger::open(&dir.path().join("l")).unwrap().knows(&id));
        ledger.forget(&id);
        assert!(!ledger.knows(&id));
        assert!(ledger.announce(&id) && !ledger.announce(&id));
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("l");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(Ledger::open(&open).is_err());
    }
}
