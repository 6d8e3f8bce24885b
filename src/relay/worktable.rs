//! Worktables: the documents that a group's members share.
//!
//! A worktable is a directory of the relay's, one file for each document. The members' sandboxes have it mounted
//! read-only, `nosuid`, `nodev` and `noexec`; what they write goes through the relay. A reader sees a document as
//! it was or as it is, never half of it.
//!
//! No lock is taken on anything in the directory: who can read a file can hold a lock on it for ever (flock(2)).
//! Two handles on one directory do no harm but to the quota, and the relay, which is the only one that runs, has
//! one.

use super::name::DocumentName;
use super::wire::answer::What;
use crate::moment::Moment;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, fsync, openat2, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Bytes on a worktable, if nothing else is said: many times what people or agents read, and little enough to
/// lie in each host's page cache.
pub const BYTES: u64 = 16 << 20;
/// Documents on a worktable, if nothing else is said: a list of them is one answer of some tens of KiB.
pub const DOCUMENTS: u32 = 256;
/// Entries of the directory that are looked at. Whoever put more there was not the relay.
const ENTRIES_MAX: usize = 4096;
/// What drafts are called; no document's name begins with a dot.
const DRAFT: &str = ".draft-";
/// Everybody whom the mount lets in reads; nobody writes, as a document is replaced whole.
const READABLE: Mode = Mode::RUSR.union(Mode::RGRP).union(Mode::ROTH);
/// One component below the directory, on the same file system, never through a link.
const SAFE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// How much may lie on a worktable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all documents.
    pub bytes: u64,
    /// Documents.
    pub documents: u32,
}

impl Default for Quota {
    fn default() -> Self {
        Self { bytes: BYTES, documents: DOCUMENTS }
    }
}

/// A document that lies there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Its name.
    pub name: DocumentName,
    /// Its size.
    pub bytes: u64,
    /// When it was put there.
    pub changed: Moment,
}

/// What became of a worktable, for those who share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which document.
    pub name: DocumentName,
    /// What became of it.
    pub what: What,
    /// Its size; that which it had, if it was removed.
    pub bytes: u64,
}

/// A worktable can't be used like that. [`WorktableError::File`] and [`WorktableError::Untrusted`] tell a path of the host's.
#[derive(Debug, thiserror::Error)]
pub enum WorktableError {
    /// It would hold too many bytes.
    #[error(
        "{name} does not fit: with it the worktable has {needed} bytes, and {most} at most; remove what is done with"
    )]
    Bytes {
        /// Which document.
        name: DocumentName,
        /// With it.
        needed: u64,
        /// Allowed.
        most: u64,
    },
    /// It would hold too many documents.
    #[error(
        "there is no place for {name}: the worktable has {most} documents at most; remove one, or put it into another"
    )]
    Documents {
        /// Which document.
        name: DocumentName,
        /// Allowed.
        most: u32,
    },
    /// There is none by that name.
    #[error("there is no {name} on the worktable to be removed")]
    NoSuch {
        /// Which document.
        name: DocumentName,
    },
    /// Somebody else could write to the directory.
    #[error("{} is no directory that only the relay can write to: it must be its own, 0755 at most", path.display())]
    Untrusted {
        /// The directory.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("cannot {attempt} {}: {source}", path.display())]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// One group's.
#[derive(Debug)]
pub struct Worktable {
    path: PathBuf,
    directory: OwnedFd,
    drafts: u64,
}

impl Worktable {
    /// Opens the directory, made if it is not there; who comes to it is for the one above to say. What a crash
    /// left half-written is removed.
    ///
    /// # Errors
    /// If it can't be opened, or somebody else could write to it.
    pub fn open(path: &Path) -> Result<Self, WorktableError> {
        match std::fs::DirBuilder::new().mode(0o755).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", path)(error)),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(failed("open", path))?;
        let found = fstat(&directory).map_err(failed("look at", path))?;
        let others = Mode::from_raw_mode(found.st_mode).intersects(Mode::WGRP | Mode::WOTH);
        if found.st_uid != rustix::process::geteuid().as_raw() || others {
            return Err(WorktableError::Untrusted { path: path.to_owned() });
        }
        let table = Self { path: path.to_owned(), directory, drafts: 0 };
        for name in table.names()?.into_iter().filter(|name| name.starts_with(DRAFT)) {
            unlinkat(&table.directory, &name, AtFlags::empty()).map_err(failed("remove", &path.join(&name)))?;
        }
        Ok(table)
    }

    /// Puts a document there, in place of another one of its name. It is on disk when this returns.
    ///
    /// # Errors
    /// If it doesn't fit or can't be written, and all is as before; or if the directory can't be, and the document
    /// is there, but a crash may bring the one before back.
    pub fn put(&mut self, name: &DocumentName, text: &[u8], quota: Quota) -> Result<Change, WorktableError> {
        let documents = self.list()?;
        let others = || documents.iter().filter(|document| document.name != *name);
        let replaced = others().count() < documents.len();
        let bytes = text.len() as u64;
        let needed = others().fold(bytes, |sum, document| sum.saturating_add(document.bytes));
        if needed > quota.bytes {
            return Err(WorktableError::Bytes { name: name.clone(), needed, most: quota.bytes });
        }
        if others().count() >= quota.documents as usize {
            return Err(WorktableError::Documents { name: name.clone(), most: quota.documents });
        }
        self.drafts += 1;
        let draft = format!("{DRAFT}{}-{}", std::process::id(), self.drafts);
        let written = self.write(&draft, text).and_then(|()| {
            let target = self.path.join(name.as_str());
            renameat(&self.directory, &draft, &self.directory, name.as_str()).map_err(failed("replace", &target))
        });
        if written.is_err() {
            // The cause matters more than what cleaning up meets; the next start removes it.
            let _ = unlinkat(&self.directory, &draft, AtFlags::empty());
        }
        written?;
        self.settle()?;
        Ok(Change { name: name.clone(), what: if replaced { What::Replaced } else { What::Added }, bytes })
    }

    /// Removes a document.
    ///
    /// # Errors
    /// If there is none, or it can't be removed.
    pub fn remove(&mut self, name: &DocumentName) -> Result<Change, WorktableError> {
        let found = self.list()?.into_iter().find(|document| document.name == *name);
        let Some(Document { bytes, .. }) = found else { return Err(WorktableError::NoSuch { name: name.clone() }) };
        let path = self.path.join(name.as_str());
        unlinkat(&self.directory, name.as_str(), AtFlags::empty()).map_err(failed("remove", &path))?;
        self.settle()?;
        Ok(Change { name: name.clone(), what: What::Removed, bytes })
    }

    /// What lies there, by name. What the relay did not put there is left out.
    ///
    /// # Errors
    /// If the directory can't be read.
    pub fn list(&self) -> Result<Vec<Document>, WorktableError> {
        let mut documents = Vec::new();
        for name in self.names()? {
            let Ok(name) = name.parse::<DocumentName>() else { continue };
            let found = match statat(&self.directory, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => found,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(failed("look at", &self.path.join(name.as_str()))(errno)),
            };
            if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
                let bytes = u64::try_from(found.st_size).unwrap_or(0);
                let seconds = u64::try_from(found.st_mtime).unwrap_or(0);
                let changed =
                    Moment(seconds.saturating_mul(1000).saturating_add(found.st_mtime_nsec as u64 / 1_000_000));
                documents.push(Document { name, bytes, changed });
            }
        }
        documents.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(documents)
    }

    fn names(&self) -> Result<Vec<String>, WorktableError> {
        let read = || -> rustix::io::Result<Vec<String>> {
            let entries = Dir::read_from(&self.directory)?.take(ENTRIES_MAX).collect::<rustix::io::Result<Vec<_>>>()?;
            // Neither a document nor a draft has a name that is not UTF-8.
            Ok(entries.iter().filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned())).collect())
        };
        read().map_err(failed("list", &self.path))
    }

    /// Writes a file that nobody knows yet.
    fn write(&self, draft: &str, text: &[u8]) -> Result<(), WorktableError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = || -> io::Result<()> {
            let mut file = File::from(openat2(&self.directory, draft, flags, Mode::RUSR | Mode::WUSR, SAFE)?);
            file.write_all(text)?;
            fchmod(&file, READABLE)?;
            file.sync_all()
        };
        write().map_err(failed("write", &self.path.join(draft)))
    }

    /// Waits until the directory itself is on disk.
    fn settle(&self) -> Result<(), WorktableError> {
        fsync(&self.directory).map_err(failed("write", &self.path))
    }
}

fn failed<E: Into<io::Error>>(attempt: &'static str, path: &Path) -> impl FnOnce(E) -> WorktableError {
    let path = path.to_owned();
    move |error| WorktableError::File { attempt, path, source: error.into() }
}

#[cfg(test)]
#[path = "worktable_tests.rs"]
mod tests;
