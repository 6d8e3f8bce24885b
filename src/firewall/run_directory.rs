//! The directory that root prepares for locks, and the locks in it.

use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Something in the directory is not as it must be.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}: {source}", path.display())]
pub struct RunError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl RunError {
    /// For `map_err`: what was tried, on what.
    pub(super) fn doing(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { attempt, path, source }
    }
}

/// The lock that whoever changes the rules holds alone, and whoever adds to their sets shares.
pub(super) const LOCK: &str = "firewall.lock";

/// The lock that the service holds while it runs.
pub(super) const WATCH: &str = "firewall.watch";

/// One apply at a time; the lock goes with the file.
pub(super) fn lock(run: &Path) -> Result<File, RunError> {
    let file = lock_file(run, LOCK)?;
    let path = run.join(LOCK);
    rustix::fs::flock(&file, FlockOperation::LockExclusive)
        .map_err(|errno| RunError::doing("lock", &path)(errno.into()))?;
    Ok(file)
}

/// The service holds a lock on this file while it runs.
pub(super) fn watch_lock(run: &Path) -> Result<File, RunError> {
    lock_file(run, WATCH)
}

/// Opens one of root's locks, and creates it if it is not there.
pub(super) fn lock_file(run: &Path, name: &str) -> Result<File, RunError> {
    directory(run, 0o755)?;
    let owner = std::fs::symlink_metadata(run).map_err(RunError::doing("inspect", run))?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(RunError::doing("trust", run)(io::Error::other(format!("it belongs to uid {owner}"))));
    }
    let path = run.join(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600));
    file.map(File::from).map_err(|errno| RunError::doing("open", &path)(errno.into()))
}

/// Creates a directory of root's, or corrects the mode of one.
pub(super) fn directory(path: &Path, mode: u32) -> Result<(), RunError> {
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(RunError::doing("create", path)(error));
        }
        _ => {}
    }
    let metadata = std::fs::symlink_metadata(path).map_err(RunError::doing("inspect", path))?;
    if !metadata.is_dir() {
        return Err(RunError::doing("use", path)(io::ErrorKind::NotADirectory.into()));
    }
    if metadata.mode() & 0o7777 != mode {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).map_err(RunError::doing("set the mode of", path))?;
    }
    Ok(())
}
