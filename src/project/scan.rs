//! One walk over the project for all that must be known about its files.

use super::exclude::{Matcher, PatternError};
use super::{Project, git, socket};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// A part of the project that appears empty and unreadable inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mask {
    /// Relative to the project; no component is a symbolic link.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub path: PathBuf,
}

/// What the walk found. Paths are relative to the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// What the exclude patterns name, with other names of the same files; and sockets on which
    /// somebody listens, who is outside.
    pub masks: Vec<Mask>,
    /// Directories and links that must keep their names, or what is excluded now would not be in the
    /// next run.
    pub pins: Vec<PathBuf>,
    /// `.git` directories and files below the project's own, and bare repositories.
    pub repositories: Vec<PathBuf>,
}

/// Masks in one project. Each is a mount of some 10 us; the kernel allows 100,000 in all
/// (`/proc/sys/fs/mount-max`).
pub const MAX_MASKS: usize = 5_000;

/// Why the project could not be searched. Nothing starts: a secret might be left in sight.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A pattern makes no sense.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A directory of the user's own cannot be read.
    #[error("cannot search {} for excluded files: {source}; make it readable (chmod u+rx), or exclude it", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Too many matches.
    #[error("the exclude patterns match more than {MAX_MASKS} files (one is {}): name their directory instead", example.display())]
    TooMany {
        /// One of them.
        example: PathBuf,
    },
}

/// Walks the project once. Never follows a link.
///
/// # Errors
/// A pattern is wrong, a directory cannot be read, or too much matches.
pub fn read(project: &Project, patterns: &[String]) -> Result<Scan, ScanError> {
    let matcher = Matcher::new(patterns)?;
    let mut found = Found::default();
    let mut walk = WalkDir::new(&project.root).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if passable(&error) => continue,
            Err(error) => return Err(ScanError::from(error)),
        };
        let Some(relative) = project.relative(entry.path()) else { continue };
        let directory = entry.file_type().is_dir();
        // A link may name a directory: better to hide too much.
        if matcher.excludes(relative, directory || entry.path_is_symlink()) {
            found.excluded(project, &entry, relative)?;
        } else if entry.file_type().is_socket() && socket::has_listener(entry.path()) {
            found.mask(relative, entry.path())?;
        } else if entry.file_name() == ".git" {
            // The project's own is known.
            found.repositories.extend((entry.depth() > 1).then(|| relative.to_owned()));
        } else if entry.file_name() == "HEAD" && entry.depth() > 1 {
            let top = entry.path().parent().filter(|top| git::is_git_directory(top));
            found.repositories.extend(top.and_then(|top| project.relative(top)).map(Path::to_owned));
            continue;
        } else {
            continue;
        }
        if directory {
            walk.skip_current_dir();
        }
    }
    found.other_names(project)?;
    if matcher.is_anchored() {
        found.masks.iter().for_each(|path| pin_above(&mut found.pins, path));
    }
    Ok(Scan {
        pins: found.pins.into_iter().collect(),
        masks: found.masks.into_iter().map(|path| Mask { path }).collect(),
        repositories: found.repositories,
    })
}

fn pin_above(pins: &mut BTreeSet<PathBuf>, path: &Path) {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    pins.extend(above.map(Path::to_owned));
}

#[derive(Default)]
struct Found {
    masks: BTreeSet<PathBuf>,
    pins: BTreeSet<PathBuf>,
    repositories: Vec<PathBuf>,
    /// Device and inode of excluded files that have other names.
    linked: BTreeSet<(u64, u64)>,
}

impl Found {
    fn excluded(&mut self, project: &Project, entry: &DirEntry, relative: &Path) -> Result<(), ScanError> {
        if entry.file_type().is_symlink() {
            // The link itself is no secret; what it names is, if it is inside.
            let target = std::fs::canonicalize(entry.path()).ok();
            let inside = target.as_deref().and_then(|target| project.relative(target));
            let Some(inside) = inside.filter(|inside| !inside.as_os_str().is_empty()) else { return Ok(()) };
            // Without the link, or where it leads nowhere, that would be no secret any more.
            self.pins.insert(relative.to_owned());
            pin_above(&mut self.pins, inside);
            return self.mask(inside, &project.root.join(inside));
        }
        self.mask(relative, entry.path())
    }

    fn mask(&mut self, relative: &Path, path: &Path) -> Result<(), ScanError> {
        if self.masks.len() >= MAX_MASKS {
            return Err(ScanError::TooMany { example: path.into() });
        }
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.linked_below(path)?,
            Ok(metadata) => self.note_links(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ScanError::Read { path: path.into(), source }),
        }
        self.masks.insert(relative.to_owned());
        Ok(())
    }

    fn note_links(&mut self, metadata: &std::fs::Metadata) {
        if metadata.nlink() > 1 {
            self.linked.insert((metadata.dev(), metadata.ino()));
        }
    }

    /// Files in an excluded directory may have other names outside of it.
    fn linked_below(&mut self, directory: &Path) -> Result<(), ScanError> {
        for entry in WalkDir::new(directory).min_depth(1) {
            let metadata = entry.and_then(|entry| entry.metadata());
            match metadata {
                Ok(metadata) if metadata.is_file() => self.note_links(&metadata),
                Ok(_) => {}
                // Hidden as a whole: what cannot be read here needs no further mask.
                Err(error) if error.io_error().map(io::Error::kind) == Some(io::ErrorKind::PermissionDenied) => {}
                Err(error) if passable(&error) => {}
                Err(error) => return Err(ScanError::from(error)),
            }
        }
        Ok(())
    }

    /// Masks the other names of excluded files. Names outside the project are out of sight anyway.
    fn other_names(&mut self, project: &Project) -> Result<(), ScanError> {
        if self.linked.is_empty() {
            return Ok(());
        }
        let mut walk = WalkDir::new(&project.root).min_depth(1).into_iter();
        while let Some(entry) = walk.next() {
            let (path, metadata) = match entry.and_then(|entry| Ok((entry.path().to_owned(), entry.metadata()?))) {
                Ok(found) => found,
                Err(error) if passable(&error) => continue,
                Err(error) => return Err(ScanError::from(error)),
            };
            let Some(relative) = project.relative(&path) else { continue };
            if self.masks.contains(relative) {
                if metadata.is_dir() {
                    walk.skip_current_dir();
                }
            } else if metadata.is_file() && self.linked.contains(&(metadata.dev(), metadata.ino())) {
                self.mask(relative, &path)?;
            }
        }
        Ok(())
    }
}

/// Vanished while walking; or a directory of somebody else that the agent, who has the same uid
/// and no capability, cannot read either.
fn passable(error: &walkdir::Error) -> bool {
    let kind = error.io_error().map(io::Error::kind);
    let Some(path) = error.path() else { return false };
    match kind {
        Some(io::ErrorKind::NotFound) => error.depth() > 0,
        Some(io::ErrorKind::PermissionDenied) => {
            let own = rustix::process::geteuid().as_raw();
            std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() != own)
        }
        _ => false,
    }
}

impl From<walkdir::Error> for ScanError {
    fn from(error: walkdir::Error) -> Self {
        let path = error.path().map(Path::to_owned).unwrap_or_default();
        Self::Read { path, source: error.into() }
    }
}
