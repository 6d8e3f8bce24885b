//! A `/proc` of the sandbox's own PID namespace, without the parts that speak for the machine.

use super::mounts::{self, READ_ONLY, SAFE, attach, clone_tree};
use super::root::{During, RootError, Stage};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::os::fd::OwnedFd;
use std::path::Path;

pub(super) fn place(
    stage: &Stage,
    onto: &OwnedFd,
    target: &Path,
    read_only: &[String],
    masked: &[String],
) -> Result<(), RootError> {
    let attributes = SAFE.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
    let proc = match mounts::new_filesystem("proc", &[], attributes) {
        Err(cause @ Errno::PERM) => return Err(RootError::Processes { cause }),
        proc => proc.during("make a procfs for", target)?,
    };
    attach(&proc, onto).during("mount a procfs on", target)?;
    for name in read_only {
        let path = target.join(name);
        let Some(entry) = entry(&proc, name, &path)? else { continue };
        let frozen = clone_tree(&entry, READ_ONLY.union(attributes)).during("clone the mounts at", &path)?;
        attach(frozen, entry).during("make read-only", &path)?;
    }
    for name in masked {
        let path = target.join(name);
        if let Some(entry) = entry(&proc, name, &path)? {
            stage.cover(entry, &path)?;
        }
    }
    Ok(())
}

/// Which entries exist depends on the kernel's configuration.
fn entry(proc: &OwnedFd, name: &str, path: &Path) -> Result<Option<OwnedFd>, RootError> {
    match mounts::beneath(proc, Path::new(name)) {
        Err(Errno::NOENT) => Ok(None),
        found => found.during("open", path).map(Some),
    }
}
