//! What passed at one end, chained like the relay's journal: for each pair a directory among the user's data.

use super::super::event::Event;
use super::super::hub::Now;
use super::super::journal::{Journal, JournalError, Sizes};
use super::super::name::{Moment, SessionName};
use super::super::rate::Bucket;
use super::super::wire::{Reason, Refusal};
use std::path::Path;
use std::time::Duration;

/// Entries a minute about refusals, in the long run and at once: what comes beyond is counted in the next one.
const REFUSALS_RATE: u32 = 10;

/// The journal of one end.
pub(super) struct Audit {
    journal: Journal,
    entries: Bucket,
    /// What was refused and is not on record.
    refused: Option<Event>,
}

impl Audit {
    /// Opens it, and removes what is older than it is kept.
    pub(super) fn open(path: &Path, retention: Duration, now: Moment) -> Result<Self, JournalError> {
        let (mut journal, mended) = Journal::open(path, Sizes::default())?;
        journal.begin(now);
        let mut events: Vec<Event> = mended.into_iter().map(|what| Event::Mended { what }).collect();
        events.push(Event::Started { version: env!("CARGO_PKG_VERSION").to_owned() });
        let before = Moment(now.0.saturating_sub(retention.as_millis() as u64));
        let old = journal.old(before, None);
        events.extend(old.as_ref().map(|old| Event::Pruned { first: old.first, last: old.last }));
        // None of these is long.
        let _ = journal.stage(&events);
        journal.write(true)?;
        if let Some(old) = old {
            journal.remove(&old)?;
        }
        Ok(Self { journal, entries: Bucket::new(REFUSALS_RATE, REFUSALS_RATE), refused: None })
    }

    /// Writes these, and returns when they are on the disk. What is not on record does not pass.
    pub(super) fn write(&mut self, events: &[Event], now: Moment) -> Result<(), Refusal> {
        let storage = |error: &dyn std::fmt::Display| Refusal::new(Reason::Storage, format!("not on record: {error}"));
        self.journal.begin(now);
        self.journal.stage(events).map_err(|error| Refusal::new(Reason::TooLarge, error.to_string()))?;
        self.journal.write(true).map(drop).map_err(|error| storage(&error))
    }

    /// Puts a refusal on record, with what was refused since the last one: a flood of them does not fill the disk.
    pub(super) fn refused(&mut self, session: &SessionName, what: &str, why: &str, now: Now) {
        let before = match self.refused.take() {
            Some(Event::Refused { count, .. }) => count,
            _ => 0,
        };
        let (what, why, count) = (what.to_owned(), why.to_owned(), before + 1);
        self.refused = Some(Event::Refused { session: session.clone(), what, why, count });
        if self.entries.take(now.ticks).is_ok() {
            self.flush(now.moment);
        }
    }

    /// Writes what was only counted.
    pub(super) fn flush(&mut self, now: Moment) {
        if let Some(event) = self.refused.take()
            && self.write(std::slice::from_ref(&event), now).is_err()
        {
            self.refused = Some(event);
        }
    }
}
