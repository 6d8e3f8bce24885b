//! The few system calls that make mounts, with their safe defaults.
//!
//! Every path is resolved from a descriptor by openat2(2) without following a symbolic link:
//! projects and private homes are written by agents, who could put a link anywhere.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

/// On every mount of the sandbox but device nodes.
pub(super) const SAFE: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
/// [`SAFE`] and not writable.
pub(super) const READ_ONLY: MountAttrFlags = SAFE.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// Opens what lies at `path` below `base`, never through a link. A last component that is itself a
/// link fails with ELOOP.
pub(super) fn beneath(base: impl AsFd, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    rustix::fs::openat2(base, path, flags, Mode::empty(), no_links(ResolveFlags::BENEATH))
}

/// Like [`beneath`], but a last component that is a link is opened itself.
pub(super) fn link_beneath(base: impl AsFd, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(base, path, flags, Mode::empty(), no_links(ResolveFlags::BENEATH))
}

/// Opens an absolute path of the host, never through a link.
pub(super) fn host(path: &Path) -> Result<OwnedFd> {
    rustix::fs::openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), no_links(ResolveFlags::empty()))
}

fn no_links(more: ResolveFlags) -> ResolveFlags {
    more | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

/// Whether the descriptor is a directory's.
pub(super) fn is_directory(file: impl AsFd) -> Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode) == FileType::Directory)
}

/// A detached copy of the mounts at and below `source`. Recursive, because the mounts of a more
/// privileged namespace are locked together (mount_namespaces(7)).
pub(super) fn clone_tree(source: impl AsFd, attributes: MountAttrFlags) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(source, c"", flags)?;
    set_attributes(&tree, attributes)?;
    Ok(tree)
}

/// Adds attributes to a mount and to all below it.
fn set_attributes(mount: impl AsFd, attributes: MountAttrFlags) -> Result<()> {
    mount_setattr(mount, AtFlags::EMPTY_PATH.bits() | libc::AT_RECURSIVE as u32, attributes)
}

/// Adds attributes to one mount.
pub(super) fn set_attributes_here(mount: impl AsFd, attributes: MountAttrFlags) -> Result<()> {
    mount_setattr(mount, AtFlags::EMPTY_PATH.bits(), attributes)
}

/// mount_setattr(2), Linux 5.12.
fn mount_setattr(mount: impl AsFd, flags: u32, attributes: MountAttrFlags) -> Result<()> {
    let change = libc::mount_attr { attr_set: u64::from(attributes.bits()), attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the descriptor is open, the path is a NUL-terminated empty string, and the structure
    // and its size belong together; the kernel only reads them.
    let status = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    if status == 0 { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// A new, detached file system. An option without a value is a flag.
pub(super) fn new_filesystem(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        match *value {
            "" => fsconfig_set_flag(context.as_fd(), *key)?,
            value => fsconfig_set_string(context.as_fd(), *key, value)?,
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Mounts a detached tree on what `onto` refers to.
pub(super) fn attach(tree: impl AsFd, onto: impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, c"", onto, c"", flags)
}

/// Opens the directory at `path` below `base`, and makes what is missing (mode 0755 minus umask).
pub(super) fn make_directories(base: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    match beneath(base, path) {
        Err(Errno::NOENT) => {}
        found => return found,
    }
    let mut parent = beneath(base, Path::new("."))?;
    for component in path.components() {
        let Component::Normal(name) = component else { return Err(Errno::INVAL) };
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            // An existing directory of a read-only mount.
            Err(Errno::ROFS) if beneath(&parent, Path::new(name)).is_ok() => {}
            Err(error) => return Err(error),
        }
        parent = beneath(&parent, Path::new(name))?;
    }
    Ok(parent)
}

/// Makes a new file with this content, and returns its descriptor.
pub(super) fn make_file(directory: impl AsFd, name: &Path, text: &str, mode: u32) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(mode))?);
    file.write_all(text.as_bytes()).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(file.into())
}
