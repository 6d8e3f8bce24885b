//! What of a view Apple's tool can lay, and what it cannot.
//!
//! It mounts directories of the host's (virtiofs, read-only or not) and tmpfs, and nothing else: no single files, no
//! links, nothing without the right to execute. It follows symbolic links of a source, so nothing below a directory
//! that agents write can be a source either: the parts of a project that are read-only or invisible. All that is left
//! over has to be laid inside, by the first process of the container.

use crate::view::{Access, Mount, Tree, View, What};
use std::path::{Path, PathBuf};

/// A mount of the tool's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Laid {
    /// A directory of the host's.
    Directory {
        /// Which.
        source: PathBuf,
        /// Where.
        target: PathBuf,
        /// Nothing in it can be changed: the host itself sees to that.
        read_only: bool,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Where.
        target: PathBuf,
        /// The permissions of its top directory.
        mode: u32,
    },
}

/// What the tool cannot lay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Where it belongs.
    pub target: PathBuf,
    /// Why.
    pub why: &'static str,
}

/// Divides a view. `is_directory` tells what a path of the host's is. `/dev` and `/proc` are those of the virtual
/// machine, in which there is nothing but the sandbox.
pub fn divide(view: &View, is_directory: &dyn Fn(&Path) -> bool) -> (Vec<Laid>, Vec<Left>) {
    let (mut laid, mut left) = (Vec::new(), Vec::new());
    for mount in &view.mounts {
        match part(mount, is_directory) {
            Ok(part) => laid.extend(part),
            Err(why) => left.push(Left { target: mount.target.clone(), why }),
        }
        if let What::Tree(tree) = &mount.what {
            left.extend(inside(&mount.target, tree));
        }
    }
    (laid, left)
}

fn part(mount: &Mount, is_directory: &dyn Fn(&Path) -> bool) -> Result<Option<Laid>, &'static str> {
    let target = mount.target.clone();
    match &mount.what {
        What::Bind { source, access } | What::Tree(Tree { source, access, .. }) => {
            if !is_directory(source) {
                return Err("it mounts directories alone, and this is a file");
            }
            let read_only = match access {
                Access::ReadOnly => true,
                Access::Writable => false,
                Access::Inert | Access::WritableNoexec => return Err("it cannot keep programs in it from running"),
            };
            Ok(Some(Laid::Directory { source: source.clone(), target, read_only }))
        }
        What::Tmpfs { mode, noexec: false } => Ok(Some(Laid::Tmpfs { target, mode: *mode })),
        What::Devices { noexec: false } | What::Processes { .. } => Ok(None),
        What::Tmpfs { .. } | What::Devices { .. } => Err("it cannot keep programs in it from running"),
        What::Ramfs { .. } => Err("it has no file system that is never swapped"),
        What::Directory | What::Symlink { .. } | What::File { .. } => {
            Err("it adds no directories, links and files to an image")
        }
    }
}

/// Innermost parts too: what is not laid there could be written or read.
fn inside<'a>(target: &'a Path, tree: &'a Tree) -> impl Iterator<Item = Left> + 'a {
    let left = move |path: &Path, why| Left { target: target.join(path), why };
    let pins =
        tree.pins.iter().map(move |path| left(path, "it lets agents rename what is in a directory that they write"));
    let read_only = tree.read_only.iter().map(move |path| left(path, "it follows links that agents made in there"));
    let substitutes = tree.substitutes.iter().map(move |part| left(&part.path, "it has no other content for a file"));
    let masks = tree.masks.iter().map(move |mask| left(&mask.path, "it hides nothing"));
    pins.chain(read_only).chain(substitutes).chain(masks)
}
