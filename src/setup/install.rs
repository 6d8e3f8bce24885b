//! The files that `init` puts on every host, and their removal: the configuration's template and
//! the root-owned copies of rcc. Each step can be repeated.

use super::Failure;
use super::durable::{self, Attributes, FileError};
use super::layout::Layout;
use super::program;
use super::unit;
use std::path::{Path, PathBuf};

/// Tells the user what was done.
pub type Say<'a> = &'a dyn Fn(&str);

/// Why there is no root-owned copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Its file or link.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its directory is open to others.
    #[error("{} can be changed by others than root, so no root service may run from it: make it and the directories above it root's own", .0.display())]
    Unguarded(PathBuf),
}

/// Writes one of our own files unless it says this already; says whether it had to.
///
/// # Errors
/// If it can't be read or written.
pub fn write(path: &Path, text: &str, say: Say) -> Result<bool, FileError> {
    let current = durable::read(path, 1 << 20)?;
    let wanted = Attributes::mode(0o644);
    if current.is_some_and(|(content, found)| content == text.as_bytes() && found.mode == wanted.mode) {
        return Ok(false);
    }
    program::create_directory(path.parent().unwrap_or(Path::new("/")))?;
    durable::replace(path, text.as_bytes(), wanted)?;
    say(&format!("wrote {}", path.display()));
    Ok(true)
}

/// What the root-owned copies are made of.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// rcc.
    pub program: &'a Path,
    /// What of it runs inside of sandboxes.
    pub guest: &'a Path,
}

/// Installs the root-owned copies and the link, the one that needs the other last.
///
/// # Errors
/// If others could change them, or one can't be written.
pub fn copies(layout: &Layout, images: Images, say: Say) -> Result<(), CopyError> {
    guarded(layout)?;
    let guest = layout.guest_copy();
    if program::install_copy(&guest, images.guest)? {
        say(&format!("installed {}", guest.display()));
    }
    copy(layout, images.program, say)
}

/// Installs the root-owned copy of rcc and its link.
///
/// # Errors
/// If others could change it, or it can't be written.
pub fn copy(layout: &Layout, image: &Path, say: Say) -> Result<(), CopyError> {
    guarded(layout)?;
    let copy = layout.copy();
    if program::install_copy(&copy, image)? {
        say(&format!("installed {}", copy.display()));
    }
    let link = layout.link();
    if program::link_copy(layout)? {
        say(&format!("linked {} to it", link.display()));
    } else if !program::is_linked(layout) {
        say(&format!("left {} alone, which is not ours", link.display()));
    }
    Ok(())
}

/// Makes the directory of the copies, which nobody but root can change.
fn guarded(layout: &Layout) -> Result<(), CopyError> {
    let copy = layout.copy();
    let directory = copy.parent().unwrap_or(Path::new("/"));
    program::create_directory(directory)?;
    let host = layout.on_host(directory);
    if host == directory && !program::is_guarded(directory) {
        return Err(CopyError::Unguarded(host));
    }
    Ok(())
}

/// Removes a file if it is there.
///
/// # Errors
/// If it can't be removed.
pub fn remove(path: &Path, say: Say) -> Result<(), Failure> {
    if durable::remove(path)? {
        say(&format!("removed {}", path.display()));
    }
    Ok(())
}

/// Removes the copies and the link to the one of rcc.
///
/// # Errors
/// If something can't be removed.
pub fn remove_copy(layout: &Layout, say: Say) -> Result<(), Failure> {
    let copy = layout.copy();
    if program::is_linked(layout) {
        remove(&layout.link(), say)?;
    }
    remove(&copy, say)?;
    remove(&layout.guest_copy(), say)?;
    for directory in copy.ancestors().skip(1).take(2) {
        durable::remove_if_empty(directory)?;
    }
    Ok(())
}

/// Removes the configuration unless it was edited; with `purge` also then.
///
/// # Errors
/// If it can't be read or removed.
pub fn remove_config(layout: &Layout, purge: bool, say: Say) -> Result<(), Failure> {
    let path = layout.config();
    let content = if purge { None } else { durable::read(&path, 16 << 20)? };
    if content.is_some_and(|(content, _)| content != unit::CONFIG_TEMPLATE.as_bytes()) {
        say(&format!("kept {}, which was edited; --purge removes it too", path.display()));
        return Ok(());
    }
    remove(&path, say)?;
    durable::remove_if_empty(path.parent().unwrap_or(Path::new("/")))?;
    Ok(())
}

/// Removes the record of changes to the network policy, which outlives rcc unless asked for.
pub fn remove_record(layout: &Layout, purge: bool, say: Say) -> Result<(), Failure> {
    let path = layout.record();
    if !path.is_dir() {
        return Ok(());
    }
    if !purge {
        say(&format!("kept {}, the record of changes to the network policy; --purge removes it too", path.display()));
        return Ok(());
    }
    // Nobody but root writes there.
    std::fs::remove_dir_all(&path)?;
    say(&format!("removed {}", path.display()));
    Ok(())
}
