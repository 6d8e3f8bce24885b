//! What passed at one end, chained like the relay's journal: for each pair a directory among the user's data.

use super::super::event::Event;
use super::super::journal::{Journal, JournalError, Sizes};
use super::super::name::{Moment, SessionName};
use super::super::wire::{Reason, Refusal};
use std::path::Path;
use std::time::Duration;

/// Milliseconds between two entries about refusals: what comes meanwhile is counted.
const REFUSALS_APART: u64 = 10_000;

/// The journal of one end.
pub(super) struct Audit {
    journal: Journal,
    refused: u64,
    told: Option<u64>,
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
        Ok(Self { journal, refused: 0, told: None })
    }

    /// Writes these, and returns when they are on the disk. What is not on record does not pass.
    pub(super) fn write(&mut self, events: &[Event], now: Moment) -> Result<(), Refusal> {
        let storage = |error: &dyn std::fmt::Display| Refusal::new(Reason::Storage, format!("not on record: {error}"));
        self.journal.begin(now);
        self.journal.stage(events).map_err(|error| Refusal::new(Reason::TooLarge, error.to_string()))?;
        self.journal.write(true).map(drop).map_err(|error| storage(&error))
    }

    /// Puts a refusal on record, some of them in one entry: a flood of them does not fill the disk.
    pub(super) fn refused(&mut self, session: &SessionName, what: &str, why: &str, now: Moment) {
        self.refused += 1;
        if self.told.is_some_and(|told| now.0.saturating_sub(told) < REFUSALS_APART) {
            return;
        }
        let (what, why) = (what.to_owned(), why.to_owned());
        let event = Event::Refused { session: session.clone(), what, why, count: self.refused };
        // The next one counts it again where it fails.
        if self.write(&[event], now).is_ok() {
            (self.refused, self.told) = (0, Some(now.0));
        }
    }
}
