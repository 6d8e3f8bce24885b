//! What passed at one end, chained like the relay's journal: for each pair a directory among the user's data.

use super::super::event::Event;
use super::super::hub::Now;
use super::super::name::{MessageId, SessionName};
use super::super::wire::{Reason, Refusal};
use crate::journal::{Journal, JournalError, Sizes};
use crate::moment::Moment;
use crate::rate::Bucket;
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
    /// What has passed and is not on record, and why not.
    lost: Option<String>,
}

impl Audit {
    /// Opens it, and removes what is older than it is kept.
    pub(super) fn open(path: &Path, retention: Duration, now: Moment) -> Result<Self, JournalError> {
        let (mut journal, mended) = Journal::open::<Event>(path, Sizes::default())?;
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
        Ok(Self { journal, entries: Bucket::new(REFUSALS_RATE, REFUSALS_RATE), refused: None, lost: None })
    }

    /// Writes these, and returns when they are on the disk. What is not on record does not pass.
    pub(super) fn write(&mut self, events: &[Event], now: Moment) -> Result<(), Refusal> {
        let storage = |error: &dyn std::fmt::Display| Refusal::new(Reason::Storage, format!("not on record: {error}"));
        self.journal.begin(now);
        self.journal.stage(events).map_err(|error| Refusal::new(Reason::TooLarge, error.to_string()))?;
        self.journal.write(true).map(drop).map_err(|error| storage(&error))
    }

    /// Whether more may pass: not before what was lost is on record as that.
    pub(super) fn ready(&mut self, now: Moment) -> Result<(), Refusal> {
        if let Some(what) = &self.lost {
            self.write(&[Event::Mended { what: what.clone() }], now)?;
            self.lost = None;
        }
        Ok(())
    }

    /// Writes what has passed already.
    pub(super) fn passed(&mut self, id: &MessageId, events: &[Event], now: Moment) {
        if let Err(refusal) = self.write(events, now) {
            self.lost = Some(format!("the message {id} went out, and that was {}", refusal.error));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn after_an_entry_was_lost_nothing_passes_until_that_is_on_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let now = Moment::now();
        let mut audit = Audit::open(&path, Duration::from_secs(86_400), now).unwrap();
        audit.ready(now).unwrap();
        // A disk without room, write(2): ENOSPC.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let good = audit.journal.swap_file(full).unwrap();
        let id = "m1".parse().unwrap();
        audit.passed(&id, &[Event::Mended { what: "an entry".into() }], now);
        assert_eq!(audit.ready(now).unwrap_err().reason, Reason::Storage);
        let _full = audit.journal.swap_file(good).unwrap();
        audit.ready(now).unwrap();
        let text = std::fs::read_dir(&path).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        assert!(text.collect::<String>().contains("the message m1 went out, and that was not on record"));
    }
}
