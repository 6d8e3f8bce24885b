//! The lock that useradd, usermod and userdel take on `/etc/subuid` and `/etc/subgid`.
//!
//! Convention of shadow-utils (lib/commonio.c): `FILE.lock` is a hard link to a file that
//! contains the holder's pid; a lock whose holder is dead is removed.

use super::durable::{self, FileError};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long another holder is waited for. shadow-utils waits 15 s (`LOCK_TRIES` times `LOCK_SLEEP`).
const PATIENCE: Duration = Duration::from_secs(15);
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// The lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A file of the lock could not be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process keeps it.
    #[error("{} is held by process {holder}: wait for it, or remove the file if that is no user tool", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the lock file says; empty if it says nothing.
        holder: String,
    },
}

/// The lock, released on drop.
#[derive(Debug)]
pub struct ShadowLock {
    path: PathBuf,
}

impl ShadowLock {
    /// Locks a file against shadow-utils and other runs of rcc.
    pub fn take(file: &Path) -> Result<Self, LockError> {
        Self::take_within(file, PATIENCE)
    }

    fn take_within(file: &Path, patience: Duration) -> Result<Self, LockError> {
        let lock = beside(file, "lock");
        let own = beside(file, &std::process::id().to_string());
        durable::remove(&own)?;
        write_pid(&own)?;
        let taken = link_patiently(&own, &lock, patience);
        durable::remove(&own)?;
        taken.map(|()| Self { path: lock })
    }
}

impl Drop for ShadowLock {
    fn drop(&mut self) {
        // A leftover is harmless: our pid will be dead, so that the next taker removes it.
        let _ = durable::remove(&self.path);
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn write_pid(own: &Path) -> Result<(), FileError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(own, flags, Mode::RUSR | Mode::WUSR).map_err(FileError::doing("create", own))?;
    // shadow-utils write the terminating NUL too.
    let content = format!("{}\0", std::process::id());
    File::from(fd).write_all(content.as_bytes()).map_err(FileError::doing("write", own))
}

fn link_patiently(own: &Path, lock: &Path, patience: Duration) -> Result<(), LockError> {
    let deadline = Instant::now() + patience;
    loop {
        match rustix::fs::link(own, lock) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(FileError::doing("lock", lock)(errno).into()),
        }
        let holder = durable::read(lock, 64)?.map(|(content, _)| content).unwrap_or_default();
        let holder = String::from_utf8_lossy(&holder).trim_end_matches(['\0', '\n']).to_owned();
        if holder.parse().is_ok_and(is_dead) {
            durable::remove(lock)?;
        } else if Instant::now() >= deadline {
            return Err(LockError::Held { path: lock.to_owned(), holder });
        } else {
            std::thread::sleep(PAUSE);
        }
    }
}

fn is_dead(pid: i32) -> bool {
    // `from_raw` panics on negative numbers; 0 is no process.
    let Some(pid) = rustix::process::Pid::from_raw(pid.max(0)) else { return false };
    rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_waits_and_then_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("subuid");
        let held = ShadowLock::take(&file).unwrap();
        let refused = ShadowLock::take_within(&file, Duration::ZERO).unwrap_err();
        assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        drop(ShadowLock::take_within(&file, Duration::ZERO).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_lock_of_a_dead_process_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("subuid");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        std::fs::write(beside(&file, "lock"), format!("{}\0", child.id())).unwrap();
        ShadowLock::take_within(&file, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_lock_that_names_nobody_is_respected() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("subuid");
        for content in ["", "nonsense", "-1", "0"] {
            std::fs::write(beside(&file, "lock"), content).unwrap();
            ShadowLock::take_within(&file, Duration::ZERO).unwrap_err();
        }
    }
}
