//! What the thread does beside writing: it mends the store, and lets go what is old.

use super::WriterError;
use super::batch::Scribe;
use crate::journal::JournalError;
use crate::moment::Moment;
use crate::relay::event::Event;
use crate::relay::store::{Store, StoreError, renew, restore};
use std::time::{Duration, Instant};

/// Between two looks for what is old.
const OFTEN: Duration = Duration::from_secs(3600);
/// Between two parts of that work.
const PART: Duration = Duration::from_millis(20);
/// Between two attempts to mend the store: each may read a file of the journal.
const RETRY: Duration = Duration::from_millis(200);
/// Bytes of entries that are written at once.
const BATCH: usize = 4 << 20;

impl Scribe {
    /// How long the thread may wait for something to write.
    pub fn idle(&self) -> Duration {
        if self.trouble.is_some() { RETRY * 5 } else { self.chores.saturating_duration_since(Instant::now()) }
    }

    /// Brings the store to where the journal is, if it is not there. A damaged one is made anew, which takes as
    /// long as it takes to read the journal.
    pub fn mend(&mut self) {
        let behind = self.trouble.is_none() && self.store.position() != self.journal.head();
        let again = self.trouble.is_some() && self.tried.elapsed() >= RETRY;
        if !behind && !again {
            return;
        }
        self.tried = Instant::now();
        let ailed = self.trouble.is_some();
        match self.catch_up() {
            Ok(()) => {
                self.trouble = None;
                if ailed {
                    tracing::warn!("{} is in order again", self.store.path().display());
                }
            }
            Err(error) if !ailed => self.ails(error),
            Err(error) => self.trouble = Some(error),
        }
    }

    fn catch_up(&mut self) -> Result<(), StoreError> {
        let mut mended = Vec::new();
        let mut spoilt = self.trouble.take_if(|error| error.spoilt().is_some());
        if spoilt.is_none() && !self.store.is_absent() {
            match self.store.catch_up(&self.journal, &mut mended) {
                Err(error) if error.spoilt().is_some() => spoilt = Some(error),
                done => return done,
            }
        }
        let path = self.store.path().to_owned();
        // It must be closed before its files get other names: closing removes files by name.
        self.store = Store::absent(&path, self.journal.path())?;
        let (store, found) = match spoilt {
            Some(error) => renew(&path, &self.journal, &error)?,
            None => restore(&path, &self.journal)?,
        };
        self.store = store;
        mended.extend(found);
        mended.iter().for_each(|what| tracing::warn!("{what}"));
        let events: Vec<Event> = mended.into_iter().map(|what| Event::Mended { what }).collect();
        self.record(&events).unwrap_or_else(|error| tracing::error!("that is not on record: {error}"));
        Ok(())
    }

    /// Before the first commit.
    pub fn begin(&mut self) -> Result<(), WriterError> {
        self.store.catch_up(&self.journal, &mut Vec::new())?;
        Ok(self.prune()?)
    }

    /// Lets a part of what is old go, where it is time.
    pub fn clear_up(&mut self) {
        if self.chores > Instant::now() || self.trouble.is_some() {
            return;
        }
        let more = match self.store.forget(Moment::now(), self.retention) {
            Ok(more) => more,
            Err(error) => {
                self.ails(error);
                false
            }
        };
        if !more && self.trouble.is_none() {
            self.prune().unwrap_or_else(|error| tracing::warn!("{error}"));
        }
        self.chores = Instant::now() + if more { PART } else { OFTEN };
    }

    /// Removes files of the journal that are older than they are kept. Before that, the journal says again what
    /// they say that holds still, and that they go.
    fn prune(&mut self) -> Result<(), JournalError> {
        let before = Moment(Moment::now().0.saturating_sub(self.retention.as_millis() as u64));
        let looked = self.store.needed().map(|needed| self.journal.old(before, needed));
        let standing = looked.and_then(|old| {
            let Some(old) = old else { return Ok(None) };
            self.store.standing(old.last + 1).map(|standing| Some((old, standing)))
        });
        let (old, mut events) = match standing {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(error) => {
                self.ails(error);
                return Ok(());
            }
        };
        events.push(Event::Pruned { first: old.first, last: old.last });
        self.record(&events)?;
        self.journal.remove(&old)
    }

    /// Writes events of the writer's own, and waits for the disk.
    fn record(&mut self, events: &[Event]) -> Result<(), JournalError> {
        let mut left = events;
        while !left.is_empty() {
            self.journal.begin(Moment::now());
            let mut staged = Vec::new();
            while let Some((event, rest)) = left.split_first().filter(|_| self.journal.staged() < BATCH) {
                match self.journal.stage(std::slice::from_ref(event)) {
                    Ok(()) => staged.push(event),
                    // It was written once, and has not grown.
                    Err(error) => tracing::error!("an entry of the relay's journal is not written again: {error}"),
                }
                left = rest;
            }
            if staged.is_empty() {
                continue;
            }
            let written = self.journal.write(true)?;
            self.apply(&staged, written);
        }
        Ok(())
    }
}
