//! Builds a sandbox's file system from a [`View`] and enters it.
//!
//! The caller is the first process of new user, mount and PID namespaces and still has every
//! capability over them. [`build`] attaches a new tmpfs on top of the old root, where absolute
//! paths do not look, and fills it; [`enter`] makes it the root and drops the old one. What fails
//! leaves the process in a half-built namespace: the caller ends it, and with it the namespace.

use super::mounts::{self, READ_ONLY, SAFE, attach, clone_tree};
use super::{devices, processes};
use crate::view::{Access, Mount, Tree, View, What};
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Why the file system could not be built. The sandbox must not start.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A step failed.
    #[error("cannot {action} {}: {cause}{}", path.display(), remedy(*cause))]
    Step {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: Errno,
    },
    /// The kernel refuses a new procfs where parts of the old one are covered.
    #[error(
        "cannot mount /proc: {cause}; parts of this machine's own /proc are covered, as they are in most containers: \
         start the outer container with an uncovered /proc (podman: --security-opt unmask=ALL, \
         docker: --security-opt systempaths=unconfined)"
    )]
    Processes {
        /// What the kernel said.
        #[source]
        cause: Errno,
    },
}

fn remedy(cause: Errno) -> &'static str {
    match cause {
        Errno::LOOP => "; a symbolic link is in the way, and none is followed there: replace it by what it names",
        Errno::NOENT => "; it vanished while the sandbox was being built: run again",
        Errno::NOSYS => "; this needs Linux 5.12 or newer",
        Errno::ROFS => "; its parent is read-only inside: choose a target whose parent is not a host directory",
        _ => "",
    }
}

/// Names the step that an error belongs to.
pub(super) trait During<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, RootError>;
}

impl<T> During<T> for rustix::io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T, RootError> {
        self.map_err(|cause| RootError::Step { action, path: path.to_owned(), cause })
    }
}

/// Builds the file system; the descriptor is the new root's.
///
/// # Errors
/// The step that failed, on what, why, and where there is one, the remedy.
pub fn build(view: &View) -> Result<OwnedFd, RootError> {
    let old = Path::new("/");
    // Mounts that the host makes later must not appear in our copies.
    rustix::mount::mount_change(old, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .during("make private the mounts below", old)?;
    let sources = Sources::clone_from_host(view)?;
    let stage = Stage::new()?;
    fill(&stage, view, sources)?;
    stage.finish()
}

fn fill(stage: &Stage, view: &View, sources: Sources) -> Result<(), RootError> {
    let umask = rustix::process::umask(Mode::from_raw_mode(0o022));
    for (mount, source) in view.mounts.iter().zip(sources.0) {
        stage.place(mount, source)?;
    }
    rustix::process::umask(umask);
    Ok(())
}

/// Completes a file system that somebody else has made, and makes it read-only: all of the view appears in it but
/// devices and processes. `enter` leads the calling process, which must have every capability over both, from the
/// host's mounts to those of that file system.
///
/// # Errors
/// As [`build`]. The file system may be half complete then.
pub fn complete(view: &View, enter: impl FnOnce() -> Result<(), Errno>) -> Result<(), RootError> {
    let path = Path::new("/");
    rustix::mount::mount_change(path, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .during("make private the mounts below", path)?;
    let sources = Sources::clone_from_host(view)?;
    enter().during("enter the container's mounts at", path)?;
    let root = mounts::host(path).during("open", path)?;
    let stage = Stage::with_blanks(root, Base::Image)?;
    fill(&stage, view, sources)?;
    stage.finish().map(drop)
}

/// Makes `root` the root directory and the current directory, and drops the old root.
///
/// # Errors
/// The step that failed and why.
pub fn enter(root: OwnedFd) -> Result<(), RootError> {
    let path = Path::new("/");
    rustix::process::fchdir(&root).during("enter", path)?;
    // pivot_root(2): with "." twice the old root lies on top of the new one, and is dropped at once.
    rustix::process::pivot_root(".", ".").during("make the new file system the root", path)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).during("drop the old root from", path)?;
    rustix::process::chdir("/").during("enter", path)
}

fn attributes(access: Access) -> MountAttrFlags {
    let noexec = MountAttrFlags::MOUNT_ATTR_NOEXEC;
    match access {
        Access::ReadOnly => READ_ONLY,
        Access::Inert => READ_ONLY.union(noexec),
        Access::Writable => SAFE,
        Access::WritableNoexec => SAFE.union(noexec),
    }
}

/// Names in the new root while it is built; a clone needs a source that is mounted.
const BLANK_DIRECTORY: &str = ".blank-directory";
const BLANK_FILE: &str = ".blank-file";
const GENERATED_FILE: &str = ".generated-file";

/// What the host contributes to a mount: detached copies of its own.
enum Source {
    Nothing,
    Bind {
        directory: bool,
        tree: OwnedFd,
    },
    Tree {
        /// Where something is pinned.
        lower: Option<OwnedFd>,
        upper: OwnedFd,
    },
}

/// One for each mount of a view.
struct Sources(Vec<Source>);

impl Sources {
    fn clone_from_host(view: &View) -> Result<Self, RootError> {
        view.mounts.iter().map(|mount| Source::clone_from_host(&mount.what)).collect::<Result<_, _>>().map(Self)
    }
}

impl Source {
    fn clone_from_host(what: &What) -> Result<Self, RootError> {
        let clone = |from: &OwnedFd, source: &Path, attributes| {
            clone_tree(from, attributes).during("clone the mounts at", source)
        };
        match what {
            What::Bind { source, access } => {
                let from = mounts::host(source).during("open", source)?;
                let directory = mounts::is_directory(&from).during("inspect", source)?;
                Ok(Self::Bind { directory, tree: clone(&from, source, attributes(*access))? })
            }
            What::Tree(tree) => {
                let from = mounts::host(&tree.source).during("open", &tree.source)?;
                let lower = (!tree.pins.is_empty()).then(|| clone(&from, &tree.source, READ_ONLY)).transpose()?;
                Ok(Self::Tree { lower, upper: clone(&from, &tree.source, attributes(tree.access))? })
            }
            _ => Ok(Self::Nothing),
        }
    }
}

/// What is there before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// Nothing.
    Empty,
    /// An image's files, and an engine's devices and processes.
    Image,
}

/// The new root while it is built.
pub(super) struct Stage {
    base: Base,
    root: OwnedFd,
    /// Empty, mode 0000: laid over what must not be seen.
    blank_directory: OwnedFd,
    blank_file: OwnedFd,
}

impl Stage {
    fn new() -> Result<Self, RootError> {
        let path = Path::new("/");
        let root = mounts::new_filesystem("tmpfs", &[("mode", "0755")], SAFE).during("make a tmpfs for", path)?;
        let old = mounts::host(path).during("open", path)?;
        attach(&root, &old).during("attach a tmpfs to", path)?;
        Self::with_blanks(root, Base::Empty)
    }

    fn with_blanks(root: OwnedFd, base: Base) -> Result<Self, RootError> {
        let blank = Path::new(BLANK_DIRECTORY);
        rustix::fs::mkdirat(&root, blank, Mode::empty()).during("make the directory", blank)?;
        let blank_directory = mounts::beneath(&root, blank).during("open", blank)?;
        let blank = Path::new(BLANK_FILE);
        mounts::make_file(&root, blank, "", 0).during("make the file", blank)?;
        let blank_file = mounts::beneath(&root, blank).during("open", blank)?;
        Ok(Self { base, root, blank_directory, blank_file })
    }

    fn place(&self, mount: &Mount, source: Source) -> Result<(), RootError> {
        let target = mount.target.as_path();
        match &mount.what {
            What::Directory => self.directory(target).map(drop),
            What::Symlink { to } => {
                let (parent, name) = self.parent(target)?;
                match rustix::fs::symlinkat(to, parent, name) {
                    Err(Errno::EXIST) if self.base == Base::Image => Ok(()),
                    made => made.during("make the link", target),
                }
            }
            What::File { text } => self.file(text, target),
            What::Tmpfs { mode, noexec } => {
                let options = [("mode", &*format!("{mode:o}"))];
                let access = if *noexec { Access::WritableNoexec } else { Access::Writable };
                let tmpfs =
                    mounts::new_filesystem("tmpfs", &options, attributes(access)).during("make a tmpfs for", target)?;
                attach(tmpfs, self.directory(target)?).during("mount a tmpfs on", target)
            }
            What::Ramfs { mode } => {
                let (options, attributes) = ([("mode", &*format!("{mode:o}"))], attributes(Access::WritableNoexec));
                let ramfs = mounts::new_filesystem("ramfs", &options, attributes).during("make a ramfs for", target)?;
                attach(ramfs, self.directory(target)?).during("mount a ramfs on", target)
            }
            What::Bind { .. } => match source {
                Source::Bind { directory, tree } => self.bind(directory, tree, target),
                _ => Err(Errno::INVAL).during("find the source of", target),
            },
            What::Tree(tree) => match source {
                Source::Tree { lower, upper } => self.tree(tree, lower, upper, target),
                _ => Err(Errno::INVAL).during("find the source of", target),
            },
            // The engine has made these.
            What::Devices { .. } | What::Processes { .. } if self.base == Base::Image => Ok(()),
            What::Devices { noexec } => devices::place(&self.directory(target)?, target, *noexec),
            What::Processes { read_only, masked } => {
                let onto = self.directory(target)?;
                processes::place(self, &onto, target, read_only, masked)
            }
        }
    }

    /// A file with this text; what an image has in its place is covered, or removed if it is a link.
    fn file(&self, text: &str, target: &Path) -> Result<(), RootError> {
        let (parent, name) = self.parent(target)?;
        let make = || mounts::make_file(&parent, name, text, 0o444).map(drop);
        match make() {
            Err(Errno::EXIST) if self.base == Base::Image => match mounts::beneath(&parent, name) {
                Ok(there) => self.replace(there, text, target),
                Err(Errno::LOOP) => {
                    rustix::fs::unlinkat(&parent, name, AtFlags::empty()).during("remove the link", target)?;
                    make().during("write", target)
                }
                Err(cause) => Err(cause).during("open", target),
            },
            made => made.during("write", target),
        }
    }

    fn bind(&self, directory: bool, tree: OwnedFd, target: &Path) -> Result<(), RootError> {
        let onto = if directory {
            self.directory(target)?
        } else {
            let (parent, name) = self.parent(target)?;
            match mounts::make_file(&parent, name, "", 0o444) {
                Ok(_) | Err(Errno::EXIST) => {}
                Err(cause) => return Err(cause).during("make a place to mount on at", target),
            }
            mounts::beneath(&parent, name).during("open", target)?
        };
        attach(tree, onto).during("mount something on", target)
    }

    /// Two clones on one place. In the lower one, which the upper one covers, something lies on
    /// each pin: the kernel then refuses (EBUSY) to rename or remove that directory entry through
    /// any mount of this namespace, while the upper one stays a single mount, so that renames and
    /// hard links between its directories work.
    fn tree(&self, tree: &Tree, lower: Option<OwnedFd>, upper: OwnedFd, target: &Path) -> Result<(), RootError> {
        let mut onto = self.directory(target)?;
        if let Some(lower) = lower {
            attach(&lower, onto).during("mount something on", target)?;
            for pin in &tree.pins {
                let pinned = mounts::link_beneath(&lower, pin).during("open", &tree.source.join(pin))?;
                self.cover(pinned, &tree.source.join(pin))?;
            }
            onto = lower;
        }
        attach(&upper, onto).during("mount something on", target)?;
        for path in &tree.read_only {
            let shown = target.join(path);
            let part = mounts::beneath(&upper, path).during("open", &shown)?;
            let frozen = clone_tree(&part, READ_ONLY).during("clone the mounts at", &shown)?;
            attach(frozen, part).during("make read-only", &shown)?;
        }
        for substitute in &tree.substitutes {
            let shown = target.join(&substitute.path);
            let replaced = mounts::beneath(&upper, &substitute.path).during("open", &shown)?;
            self.replace(replaced, &substitute.text, &shown)?;
        }
        for mask in &tree.masks {
            let shown = target.join(&mask.path);
            let hidden = mounts::beneath(&upper, &mask.path).during("open", &shown)?;
            self.cover(hidden, &shown)?;
        }
        Ok(())
    }

    /// Lays a generated file over a file.
    fn replace(&self, what: OwnedFd, text: &str, path: &Path) -> Result<(), RootError> {
        let name = Path::new(GENERATED_FILE);
        mounts::make_file(&self.root, name, text, 0o444).during("write", path)?;
        let generated = mounts::beneath(&self.root, name).during("open", name)?;
        let generated = clone_tree(generated, READ_ONLY).during("clone the mounts at", name)?;
        attach(generated, what).during("replace", path)?;
        rustix::fs::unlinkat(&self.root, name, AtFlags::empty()).during("remove", name)
    }

    /// Lays something empty and unreadable over a file or directory.
    pub(super) fn cover(&self, what: OwnedFd, path: &Path) -> Result<(), RootError> {
        let directory = mounts::is_directory(&what).during("inspect", path)?;
        let blank = if directory { &self.blank_directory } else { &self.blank_file };
        let blank = clone_tree(blank, READ_ONLY).during("make a cover for", path)?;
        attach(blank, what).during("cover", path)
    }

    /// The directory at an absolute path inside, made where missing.
    fn directory(&self, target: &Path) -> Result<OwnedFd, RootError> {
        let below = target.strip_prefix("/").unwrap_or(target);
        mounts::make_directories(self.root.as_fd(), below).during("make the directory", target)
    }

    /// The directory that holds `target`, and its last component.
    fn parent<'a>(&self, target: &'a Path) -> Result<(OwnedFd, &'a Path), RootError> {
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Errno::INVAL).during("place something at", target);
        };
        Ok((self.directory(parent)?, Path::new(name)))
    }

    fn finish(self) -> Result<OwnedFd, RootError> {
        for (name, flags) in [(BLANK_DIRECTORY, AtFlags::REMOVEDIR), (BLANK_FILE, AtFlags::empty())] {
            rustix::fs::unlinkat(&self.root, name, flags).during("remove", Path::new(name))?;
        }
        mounts::set_attributes_here(&self.root, READ_ONLY).during("make read-only", Path::new("/"))?;
        Ok(self.root)
    }
}
