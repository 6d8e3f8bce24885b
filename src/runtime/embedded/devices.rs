//! A `/dev` with nothing in it that reaches hardware or another session.

use super::mounts::{self, SAFE, attach, clone_tree};
use super::root::{During, RootError};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Character devices that every program may expect; a user namespace cannot make device nodes, so
/// they are the host's own.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// The links that udev makes, and `ptmx` of our own devpts.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// No set-uid bit and no program counts in `/dev`.
const PLAIN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

pub(super) fn place(onto: &OwnedFd, target: &Path, noexec: bool) -> Result<(), RootError> {
    let dev = mounts::new_filesystem("tmpfs", &[("mode", "0755")], PLAIN).during("make a tmpfs for", target)?;
    attach(&dev, onto).during("mount a tmpfs on", target)?;
    for name in NODES {
        let source = Path::new("/dev").join(name);
        let node = mounts::host(&source).during("open", &source)?;
        let node = clone_tree(node, PLAIN).during("clone the mounts at", &source)?;
        mounts::make_file(&dev, Path::new(name), "", 0o666).during("make a place to mount on at", &source)?;
        let place = mounts::beneath(&dev, Path::new(name)).during("open", &source)?;
        attach(node, place).during("mount something on", &source)?;
    }
    for (name, to) in LINKS {
        rustix::fs::symlinkat(to, &dev, name).during("make the link", &target.join(name))?;
    }
    let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];
    inner(&dev, "pts", "devpts", &options, PLAIN)?;
    let shared = if noexec { SAFE.union(PLAIN) } else { SAFE };
    inner(&dev, "shm", "tmpfs", &[("mode", "1777")], shared)?;
    match inner(&dev, "mqueue", "mqueue", &[], SAFE.union(PLAIN)) {
        // A kernel without POSIX message queues: nothing is exposed by their absence.
        Ok(()) | Err(RootError::Step { cause: Errno::NODEV, .. }) => {}
        Err(error) => return Err(error),
    }
    mounts::set_attributes_here(&dev, MountAttrFlags::MOUNT_ATTR_RDONLY).during("make read-only", target)
}

fn inner(
    dev: &OwnedFd,
    name: &str,
    kind: &'static str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<(), RootError> {
    let shown = Path::new("/dev").join(name);
    rustix::fs::mkdirat(dev, name, Mode::from_raw_mode(0o755)).during("make the directory", &shown)?;
    let place = mounts::beneath(dev, Path::new(name)).during("open", &shown)?;
    let filesystem = mounts::new_filesystem(kind, options, attributes).during("make a file system for", &shown)?;
    attach(filesystem, place).during("mount something on", &shown)
}
