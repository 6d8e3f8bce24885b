//! Opens configuration files, and refuses what the agent or another user could have put there.

use super::private_group;
use super::problem::{Document, printable};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// The most that root's or the user's file may hold, in bytes: 100,000 exceptions take 6 MiB.
const SIZE_MAX: u64 = 16 << 20;
/// The most that a project's file may hold, in bytes: the agent writes it.
const PROJECT_SIZE_MAX: u64 = 256 << 10;
/// The most symlinks on one path (path_resolution(7)).
const SYMLINKS_MAX: usize = 40;

/// Why a file was refused before its text was read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system said no.
    #[error("cannot {action} {}: {source}", shown(path))]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A directory, a fifo, a device, a symlink where none is followed.
    #[error("cannot read {}: it is {kind}, not a regular file", shown(path))]
    Kind {
        /// Which file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// See the constants above.
    #[error("cannot read {}: it is larger than {} KiB", shown(path), limit >> 10)]
    Size {
        /// Which file.
        path: PathBuf,
        /// Bytes that it may have.
        limit: u64,
    },
    /// TOML is UTF-8 (TOML 1.1, "Spec").
    #[error("cannot read {}: byte {offset}, in line {line}, is not UTF-8", shown(path))]
    Encoding {
        /// Which file.
        path: PathBuf,
        /// The first bad byte, from 0.
        offset: usize,
        /// Its line, from 1.
        line: usize,
    },
    /// Somebody else's file.
    #[error("cannot trust {}: it belongs to uid {owner}, not to {}", shown(path), owners(*expected))]
    Owner {
        /// The file, or a directory or symlink on the way to it.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        expected: u32,
    },
    /// Somebody else can write it.
    #[error("cannot trust {}: its mode {mode:04o} lets others write it", shown(path))]
    Writable {
        /// The file, or a directory on the way to it.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The agent could write it.
    #[error("cannot use {}: it lies inside {}, which the agent can write", shown(path), shown(root))]
    Inside {
        /// The file, or a symlink on the way to it.
        path: PathBuf,
        /// The project or a writable mount.
        root: PathBuf,
    },
    /// The agent would write where rcc keeps programs, homes or its configuration.
    #[error("cannot let an agent write {}: it lies inside {}, where rcc keeps its own files", shown(path), shown(own))]
    Own {
        /// The project or a writable mount.
        path: PathBuf,
        /// rcc's directory.
        own: PathBuf,
    },
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn owners(expected: u32) -> String {
    if expected == 0 { "root".to_owned() } else { format!("uid {expected} or root") }
}

impl FileError {
    /// What to do next.
    pub fn remedy(&self) -> String {
        match self {
            Self::Io { path, source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                format!("everyone who runs rcc reads this file: chmod a+r {}", shown(path))
            }
            Self::Io { .. } => "look at the file and its directory".to_owned(),
            Self::Kind { path, .. } => format!("put a regular file at {}, or remove what is there", shown(path)),
            Self::Size { .. } => "remove entries, or comments; a prefix stands for many addresses".to_owned(),
            Self::Encoding { path, .. } => format!("save it as UTF-8: iconv -t UTF-8 {}", shown(path)),
            Self::Owner { path, expected, .. } => {
                format!("look at what it says, then: chown {expected} {}", shown(path))
            }
            Self::Writable { path, .. } => format!("look at what it says, then: chmod go-w {}", shown(path)),
            Self::Inside { .. } | Self::Own { .. } => {
                "run rcc in a directory that holds neither rcc's configuration nor its data, or move \
                                    those elsewhere"
                    .to_owned()
            }
        }
    }

    pub(super) fn missing(path: &Path) -> Self {
        Self::io("open", path, Errno::NOENT)
    }

    fn io(action: &'static str, path: &Path, source: impl Into<std::io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }
}

/// Root's file. `owner` is who may own it and the directories above it, 0 outside of tests;
/// `None` if there is no such file.
pub(super) fn read_admin(path: &Path, owner: u32) -> Result<Option<Document>, FileError> {
    let Some(file) = open(path, OFlags::empty())? else { return Ok(None) };
    trusted(path, &regular(path, &file)?, owner)?;
    trusted_way(path, owner)?;
    Ok(Some(read(path, file, SIZE_MAX)?))
}

/// Each symlink on the way, its end, and the directories of all of them.
fn trusted_way(path: &Path, owner: u32) -> Result<(), FileError> {
    for place in trail(path)? {
        let found = std::fs::symlink_metadata(&place).map_err(|error| FileError::io("look at", &place, error))?;
        // A symlink's own mode means nothing, its owner does.
        owned(&place, &found, owner)?;
        for directory in place.ancestors().skip(1) {
            let found = std::fs::metadata(directory).map_err(|error| FileError::io("look at", directory, error))?;
            trusted(directory, &found, owner)?;
        }
    }
    Ok(())
}

/// A program that root or `owner` decides: its path without symlinks, none of which is anybody else's, nor is a
/// directory on the way. What `path` leads to later makes no difference.
pub(super) fn program(path: &Path, owner: u32) -> Result<PathBuf, FileError> {
    let real = own(path, owner)?;
    let found = std::fs::metadata(&real).map_err(|error| FileError::io("look at", &real, error))?;
    if found.mode() & 0o111 == 0 {
        return Err(FileError::io("execute", &real, Errno::ACCESS));
    }
    Ok(real)
}

/// The same for a file that is read.
pub(super) fn own(path: &Path, owner: u32) -> Result<PathBuf, FileError> {
    let real = std::fs::canonicalize(path).map_err(|error| FileError::io("look at", path, error))?;
    let found = std::fs::metadata(&real).map_err(|error| FileError::io("look at", &real, error))?;
    if !found.is_file() {
        return Err(FileError::Kind { path: real, kind: "a directory or a device" });
    }
    trusted(&real, &found, owner)?;
    trusted_way(path, owner)?;
    Ok(real)
}

/// The user's file, owned by the user or root; `None` if there is none.
pub(super) fn read_user(path: &Path, uid: u32) -> Result<Option<Document>, FileError> {
    let Some(file) = open(path, OFlags::empty())? else { return Ok(None) };
    trusted(path, &regular(path, &file)?, uid)?;
    Ok(Some(read(path, file, SIZE_MAX)?))
}

/// The project's file: no symlink is followed, so it can't show a file from outside.
pub(super) fn read_project(path: &Path) -> Result<Option<Document>, FileError> {
    let Some(file) = open(path, OFlags::NOFOLLOW)? else { return Ok(None) };
    regular(path, &file)?;
    Ok(Some(read(path, file, PROJECT_SIZE_MAX)?))
}

/// A file that is only to be checked: whoever owns it.
pub(super) fn read_any(path: &Path) -> Result<Document, FileError> {
    let file = open(path, OFlags::empty())?.ok_or_else(|| FileError::missing(path))?;
    regular(path, &file)?;
    read(path, file, SIZE_MAX)
}

/// Opens without waiting for a fifo's writer and without getting a terminal.
fn open(path: &Path, flags: OFlags) -> Result<Option<File>, FileError> {
    let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd.into())),
        Err(Errno::NOENT) if std::fs::symlink_metadata(path).is_err() => Ok(None),
        Err(Errno::NOENT) => Err(FileError::Kind { path: path.to_owned(), kind: "a symlink to nothing" }),
        Err(Errno::LOOP) => Err(FileError::Kind { path: path.to_owned(), kind: "a symlink" }),
        Err(Errno::NXIO) => Err(FileError::Kind { path: path.to_owned(), kind: "a socket or a device" }),
        Err(error) => Err(FileError::io("open", path, error)),
    }
}

fn regular(path: &Path, file: &File) -> Result<Metadata, FileError> {
    let found = file.metadata().map_err(|error| FileError::io("look at", path, error))?;
    let kind = match found.file_type() {
        kind if kind.is_file() => return Ok(found),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a fifo",
        _ => "a device",
    };
    Err(FileError::Kind { path: path.to_owned(), kind })
}

fn read(path: &Path, file: File, limit: u64) -> Result<Document, FileError> {
    let mut bytes = Vec::new();
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| FileError::io("read", path, error))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::Size { path: path.to_owned(), limit });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Document { path: path.to_owned(), text }),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
            Err(FileError::Encoding { path: path.to_owned(), offset, line })
        }
    }
}

/// Owned by `owner` or root, and writable by nobody else, but for a group that is the owner alone. A sticky directory
/// (`/tmp`, the Nix store) may be: there only the owner of a file can replace it.
fn trusted(path: &Path, found: &Metadata, owner: u32) -> Result<(), FileError> {
    owned(path, found, owner)?;
    let mode = found.mode();
    let sticky = found.is_dir() && mode & 0o1000 != 0;
    let by_group = || mode & 0o020 != 0 && !private_group::is_private(found.gid(), found.uid());
    if !sticky && (mode & 0o002 != 0 || by_group()) {
        return Err(FileError::Writable { path: path.to_owned(), mode: mode & 0o7777 });
    }
    Ok(())
}

fn owned(path: &Path, found: &Metadata, owner: u32) -> Result<(), FileError> {
    if found.uid() != owner && found.uid() != 0 {
        return Err(FileError::Owner { path: path.to_owned(), owner: found.uid(), expected: owner });
    }
    Ok(())
}

/// What an absolute path leads through: each symlink on the way, and the end. Their directories
/// are real paths; what does not exist is taken as it is written.
pub(super) fn trail(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let names = |path: &Path| -> Vec<OsString> {
        let named = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
        path.components().filter(named).map(|part| part.as_os_str().to_owned()).collect()
    };
    let mut rest = VecDeque::from(names(path));
    let (mut here, mut places) = (PathBuf::from("/"), Vec::new());
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&name);
        match std::fs::read_link(&next) {
            Ok(_) if places.len() == SYMLINKS_MAX => return Err(FileError::io("follow", path, Errno::LOOP)),
            Ok(target) => {
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                names(&target).into_iter().rev().for_each(|name| rest.push_front(name));
                places.push(next);
            }
            // EINVAL: no symlink. What is missing or closed to the user can't lead anywhere else.
            Err(_) => here = next,
        }
    }
    places.push(here);
    Ok(places)
}

/// Refuses roots, which the agent can write, that hold one of `paths` or a symlink on the way to
/// it, even if nothing is there yet; or that lie in one of rcc's own directories themselves.
/// Roots must exist.
pub(super) fn check_outside(roots: &[&Path], paths: &[&Path], own: &[&Path]) -> Result<(), FileError> {
    for root in roots {
        let real = std::fs::canonicalize(root).map_err(|error| FileError::io("look at", root, error))?;
        for path in paths.iter().chain(own) {
            if let Some(place) = trail(path)?.into_iter().find(|place| holds(&real, place)) {
                return Err(FileError::Inside { path: place, root: (*root).to_owned() });
            }
        }
        for own in own {
            if std::fs::canonicalize(own).is_ok_and(|own| holds(&own, &real)) {
                return Err(FileError::Own { path: (*root).to_owned(), own: (*own).to_owned() });
            }
        }
    }
    Ok(())
}

/// Whether the place is the directory or lies in it, under whichever name: a bind mount shows
/// the same directory elsewhere.
fn holds(directory: &Path, place: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let Some(wanted) = identity(directory) else { return place.starts_with(directory) };
    place.starts_with(directory) || place.ancestors().any(|above| identity(above) == Some(wanted))
}
