//! Adding to the journal: batches of entries, each written whole or not at all.

use super::files::{self, Directory};
use super::hash::Hash;
use super::line::{self, LINE_MAX};
use super::recover::{Current, Past, recover};
use super::{Entries, Extent, Head, Recorded};
use crate::moment::Moment;
use rustix::fs::fdatasync;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of the buffer for a batch that stay allocated between batches.
const BUFFER_KEPT: usize = 256 << 10;
const DAY: u64 = Duration::from_secs(24 * 3600).as_millis() as u64;

/// The journal did not take a batch, or could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Something did not work this time.
    #[error(
        "cannot {attempt} {}, where everything is recorded before it counts: {source}. Make room there, or see to the \
         directory; it is tried again by itself",
        path.display()
    )]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The kernel could not write to the disk, and what it forgot for that is not known (fsync(2), EIO): nothing
    /// more is taken.
    #[error(
        "the disk did not take {}: {why}. Nothing more is accepted until whoever writes it is started again, once the \
         disk is well: `rcc relay stop` and `rcc relay start`, or `rcc plugin stop` and `rcc plugin start`",
        path.display()
    )]
    Final {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        why: String,
    },
}

/// An event that cannot be a line of the journal.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    /// It is longer than a line.
    #[error("as a line of the journal it would be longer than {LINE_MAX} bytes")]
    TooLong,
    /// JSON has no form for it.
    #[error("it cannot be recorded: {0}")]
    Json(#[from] serde_json::Error),
}

/// When a new file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of a file after which the next one is begun.
    pub file: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { file: 64 << 20 }
    }
}

/// A batch that is in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The number of its first entry; the others follow it.
    pub first: u64,
    /// When it was written.
    pub at: Moment,
    /// How far the journal goes now.
    pub head: Head,
    /// Whether a new file was begun for it.
    pub rotated: bool,
    /// Where each of its lines is.
    pub lines: Vec<Extent>,
}

/// Files that are older than the audit is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    files: Vec<u64>,
    /// The number of their first entry.
    pub first: u64,
    /// The number of their last entry.
    pub last: u64,
}

/// A journal that this process alone adds to.
#[derive(Debug)]
pub struct Journal {
    directory: Directory,
    sizes: Sizes,
    /// The last entry that is in a file.
    head: Head,
    past: Vec<Past>,
    current: Option<Current>,
    /// The last entry of the batch that is being made.
    staged: Head,
    /// When that batch is.
    now: Moment,
    batch: Vec<u8>,
    /// Where its lines are, as if its file began with it.
    lines: Vec<Extent>,
    /// Whether the file may hold more than whole batches, because it could not be made shorter.
    torn: bool,
    failed: Option<String>,
}

impl Journal {
    /// Opens the journal in this directory, and says what was found wrong with its end and dealt with.
    ///
    /// # Errors
    /// If the directory cannot be used, is not the caller's own, or another process writes to it.
    pub fn open<E: Recorded>(path: &Path, sizes: Sizes) -> Result<(Self, Vec<String>), JournalError> {
        let error = |source| JournalError::Io { attempt: "open", path: path.to_owned(), source };
        let directory = Directory::hold(path).map_err(error)?;
        let found = recover::<E>(&directory).map_err(error)?;
        let journal = Self {
            directory,
            sizes,
            head: found.head,
            past: found.past,
            current: found.current,
            staged: found.head,
            now: Moment::now(),
            batch: Vec::new(),
            lines: Vec::new(),
            torn: false,
            failed: None,
        };
        Ok((journal, found.mended))
    }

    /// How far it goes.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Reads its entries from number `from` on.
    pub fn entries<E: Recorded>(&self, from: u64) -> Entries<'_, E> {
        Entries::new(&self.directory, from)
    }

    /// Begins a batch. What an earlier one left is forgotten.
    pub fn begin(&mut self, now: Moment) {
        self.batch.clear();
        self.lines.clear();
        self.staged = self.head;
        self.now = now;
    }

    /// Adds events to the batch: all of them, or on error none.
    ///
    /// # Errors
    /// If one of them cannot be a line.
    pub fn stage<E: Recorded>(&mut self, events: &[E]) -> Result<(), Unwritable> {
        let before = (self.batch.len(), self.lines.len(), self.staged);
        let staged = events.iter().try_for_each(|event| self.stage_one(event));
        if staged.is_err() {
            self.batch.truncate(before.0);
            self.lines.truncate(before.1);
            self.staged = before.2;
        }
        staged
    }

    fn stage_one(&mut self, event: &impl Recorded) -> Result<(), Unwritable> {
        let (n, begin) = (self.staged.n + 1, self.batch.len());
        line::write(&mut self.batch, n, self.now, &self.staged.hash, event)?;
        let line = &self.batch[begin..];
        if line.len() > LINE_MAX {
            return Err(Unwritable::TooLong);
        }
        let (hash, length) = (Hash::of(line), line.len() as u32);
        self.staged = Head { n, hash };
        self.lines.push(Extent { file: 0, offset: begin as u64, length, hash });
        self.batch.push(b'\n');
        Ok(())
    }

    /// Bytes of the batch.
    pub fn staged(&self) -> usize {
        self.batch.len()
    }

    /// Writes the batch, and returns when it is on the disk if that is asked for.
    ///
    /// # Errors
    /// Then the journal is as before, or takes nothing any more.
    pub fn write(&mut self, durable: bool) -> Result<Written, JournalError> {
        if let Some(why) = &self.failed {
            return Err(JournalError::Final { path: self.directory.path().to_owned(), why: why.clone() });
        }
        let rotated = self.rotate()?;
        let first = self.head.n + 1;
        let path = self.current.as_ref().map_or(first, |current| current.first);
        let path = self.directory.path_of(path);
        let error = |source| JournalError::Io { attempt: "write to", path: path.clone(), source };
        let Some(current) = &mut self.current else {
            return Err(error(io::ErrorKind::NotFound.into()));
        };
        if self.torn {
            current.file.set_len(current.length).map_err(error)?;
            self.torn = false;
        }
        if let Err(source) = (&current.file).write_all(&self.batch) {
            self.torn = current.file.set_len(current.length).is_err();
            return Err(error(source));
        }
        if durable && let Err(errno) = fdatasync(&current.file) {
            // Best effort: what was refused should not come back with the next start.
            let _ = current.file.set_len(current.length);
            let why = io::Error::from(errno).to_string();
            self.failed = Some(why.clone());
            return Err(JournalError::Final { path, why });
        }
        let at = |line: Extent| Extent { file: current.first, offset: current.length + line.offset, ..line };
        let lines = self.lines.drain(..).map(at).collect();
        current.length += self.batch.len() as u64;
        current.last = self.now;
        self.head = self.staged;
        self.batch.clear();
        self.batch.shrink_to(BUFFER_KEPT);
        Ok(Written { first, at: self.now, head: self.head, rotated, lines })
    }

    /// Returns when everything that was written is on the disk.
    ///
    /// # Errors
    /// Then the journal takes nothing any more.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let first = self.current.as_ref().map_or(self.head.n, |current| current.first);
        let path = self.directory.path_of(first);
        if self.failed.is_none()
            && let Some(Err(errno)) = self.current.as_ref().map(|current| fdatasync(&current.file))
        {
            self.failed = Some(io::Error::from(errno).to_string());
        }
        self.failed.clone().map_or(Ok(()), |why| Err(JournalError::Final { path, why }))
    }

    /// Begins a new file where the newest is full, or of another day than this batch. A clock that went back
    /// begins none.
    fn rotate(&mut self) -> Result<bool, JournalError> {
        let fits = |current: &Current| {
            current.length < self.sizes.file && self.now.0 / DAY <= current.begun.0.max(current.last.0) / DAY
        };
        // What could not be cut off stays in its file until it can.
        if self.torn || self.current.as_ref().is_some_and(fits) {
            return Ok(false);
        }
        let first = self.head.n + 1;
        let path = self.directory.path_of(first);
        let error = |attempt| move |source| JournalError::Io { attempt, path, source };
        if let Some(current) = &self.current {
            // The entries of the old file that nobody waited for: no later sync is theirs.
            if let Err(errno) = fdatasync(&current.file) {
                let why = io::Error::from(errno).to_string();
                self.failed = Some(why.clone());
                return Err(JournalError::Final { path: self.directory.path_of(current.first), why });
            }
        }
        let file = self.begin_file(first).map_err(error("begin"))?;
        let next = Current { first, file, length: 0, begun: self.now, last: self.now };
        let old = self.current.replace(next);
        self.past.extend(old.map(|old| Past { first: old.first, last: Some(old.last) }));
        Ok(true)
    }

    fn begin_file(&self, first: u64) -> io::Result<File> {
        match self.directory.create(first) {
            // Of an attempt whose entry could not be written.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = self.directory.reopen(first)?;
                if file.metadata()?.len() != 0 {
                    return Err(error);
                }
                self.directory.sync()?;
                Ok(file)
            }
            created => created,
        }
    }

    /// The files whose last entry is older than `before`, except the newest file, and except what holds entry
    /// `needed` or comes after it.
    pub fn old(&self, before: Moment, needed: Option<u64>) -> Option<Old> {
        // Whatever its own clock says, a file is as old as the ones after it.
        let aged = self.past.iter().rposition(|past| past.last.is_some_and(|last| last < before))?;
        let next = |at: usize| self.past.get(at + 1).map(|past| past.first).or(self.current.as_ref().map(|c| c.first));
        let mut files = Vec::new();
        let mut end = 0;
        for at in 0..=aged {
            match next(at) {
                Some(next) if needed.is_none_or(|needed| next <= needed) => end = next,
                _ => break,
            }
            files.push(self.past[at].first);
        }
        let first = *files.first()?;
        Some(Old { files, first, last: end - 1 })
    }

    /// Removes these files. An entry that says so should be on the disk.
    ///
    /// # Errors
    /// If one cannot be removed; those after it stay, too.
    pub fn remove(&mut self, old: &Old) -> Result<(), JournalError> {
        for first in &old.files {
            match self.directory.remove(*first) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let path = self.directory.path().join(files::name(*first));
                    return Err(JournalError::Io { attempt: "remove the old", path, source: error });
                }
                _ => self.past.retain(|past| past.first != *first),
            }
        }
        Ok(())
    }

    /// Lets a test put something else in the place of the newest file.
    #[cfg(test)]
    pub(crate) fn swap_file(&mut self, file: File) -> Option<File> {
        self.current.as_mut().map(|current| std::mem::replace(&mut current.file, file))
    }
}
