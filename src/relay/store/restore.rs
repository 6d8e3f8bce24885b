//! Brings the store to where the journal is: from where it was, or from the journal's beginning.

use super::fold::Recorded;
use super::{Store, StoreError};
use crate::journal::{Entry, Extent, Found, Head, Journal};
use crate::moment::Moment;
use crate::relay::event::Event;
use crate::sd_notify;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries that are applied in one transaction, and bytes of their texts: what a rebuild holds in memory.
const CHUNK: usize = 1000;
const CHUNK_BYTES: usize = 4 << 20;
/// Between two times that the service manager is told how far it is.
const TELL: Duration = Duration::from_secs(2);
/// Faults of the journal that are told one by one.
const TOLD: usize = 5;

/// Opens the store, and applies what the journal has and it has not. One that is damaged, of an older version,
/// or of another journal is kept beside it, and a new one is made; one from before the machine went down is no loss.
/// Also says what was wrong.
///
/// # Errors
/// If there is no way to have a store.
pub fn restore(path: &Path, journal: &Journal) -> Result<(Store, Vec<String>), StoreError> {
    let mut mended = Vec::new();
    let opened = Store::open(path, journal.path()).and_then(|mut store| {
        store.catch_up(journal, &mut mended)?;
        // What a daemon reads first shows most damage that there may be.
        store.remains()?;
        Ok(store)
    });
    match opened {
        Ok(store) => Ok((store, mended)),
        Err(error) if error.spoilt().is_some() => renew(path, journal, &error),
        Err(error) => Err(error),
    }
}

/// Keeps the store beside its place, because of this error, and makes a new one. It must be closed. Also says
/// what was wrong.
///
/// # Errors
/// If there is no way to have a store.
pub fn renew(path: &Path, journal: &Journal, error: &StoreError) -> Result<(Store, Vec<String>), StoreError> {
    let mut mended = match error {
        StoreError::Unsealed { .. } => {
            remove(path)?;
            vec![format!("{error}: a new store is made from the journal")]
        }
        _ => {
            let kept = set_aside(path, error.spoilt().unwrap_or("old"))?;
            vec![format!("{error}: it is kept as {}, and a new store is made from the journal", kept.display())]
        }
    };
    let mut store = Store::open(path, journal.path())?;
    store.catch_up(journal, &mut mended)?;
    Ok((store, mended))
}

impl Store {
    /// Applies the entries of the journal that are behind the store's position.
    ///
    /// # Errors
    /// If they cannot be read or applied, or if the store's position is not one of this journal.
    pub fn catch_up(&mut self, journal: &Journal, mended: &mut Vec<String>) -> Result<(), StoreError> {
        let (position, end) = (self.position(), journal.head());
        let apart = || StoreError::Apart { path: self.path().to_owned(), n: position.n };
        if position == end {
            return Ok(());
        }
        if position.n >= end.n {
            return Err(apart());
        }
        let (mut faults, mut first) = (0, true);
        let mut told = Instant::now();
        let mut chunk = Chunk::default();
        for found in journal.entries(position.n + 1) {
            let path = self.path().to_owned();
            match found.map_err(|source| StoreError::Journal { path, source })? {
                Found::Fault(fault) => {
                    faults += 1;
                    if faults <= TOLD {
                        mended.push(format!("the journal is damaged, and its other entries count: {fault}"));
                    }
                }
                Found::Entry(line) => {
                    let follows = line.entry.n == position.n + 1 && line.entry.prev == position.hash;
                    if first && position.n > 0 && !follows {
                        return Err(StoreError::Apart { path: self.path().to_owned(), n: position.n });
                    }
                    first = false;
                    chunk.add(line.entry, line.extent);
                }
            }
            if chunk.is_full() {
                chunk.apply(self)?;
                // A long journal takes minutes, and a service manager waits for one.
                if told.elapsed() >= TELL {
                    told = Instant::now();
                    let (n, last) = (self.position().n, end.n);
                    sd_notify::busy(&format!("makes its store from the journal: entry {n} of {last}"), TELL * 30);
                }
            }
        }
        chunk.apply(self)
    }
}

#[derive(Default)]
struct Chunk {
    entries: Vec<(Entry<Event>, Extent)>,
    head: Head,
    bytes: usize,
}

impl Chunk {
    fn add(&mut self, entry: Entry<Event>, extent: Extent) {
        self.head = Head { n: entry.n, hash: extent.hash };
        if let crate::relay::event::Event::Accepted { message, .. } = &entry.event {
            self.bytes += message.text.len();
        }
        self.entries.push((entry, extent));
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= CHUNK || self.bytes >= CHUNK_BYTES
    }

    fn apply(&mut self, store: &mut Store) -> Result<(), StoreError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let entries = self.entries.iter().map(|(entry, extent)| {
            let Entry { n, at, event, .. } = entry;
            Recorded { n: *n, at: *at, event, extent: *extent }
        });
        store.apply(entries, self.head)?;
        self.entries.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// The endings of the files that belong to a database, and hold part of it.
const LOG: [&str; 2] = ["-wal", "-shm"];

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Removes the database and the files that belong to it; the database last, without which they are nothing.
fn remove(path: &Path) -> Result<(), StoreError> {
    for ending in LOG.iter().chain(&[""]) {
        match std::fs::remove_file(with(path, ending)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::file("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Renames the database and the files that belong to it; returns its new name.
fn set_aside(path: &Path, state: &str) -> Result<PathBuf, StoreError> {
    let moment = Moment::now().0;
    let kept = with(path, &format!(".{state}-{moment}"));
    for ending in LOG {
        match std::fs::rename(with(path, ending), with(&kept, ending)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::file("move away the files of", path)(error));
            }
            _ => {}
        }
    }
    std::fs::rename(path, &kept).map_err(StoreError::file("move away", path))?;
    Ok(kept)
}
