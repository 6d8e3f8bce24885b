//! What the store lets go, and what it needs of old entries of the journal before those go.

use super::query::{remembered, schedule};
use super::row::stored;
use super::{Store, StoreError};
use crate::moment::Moment;
use crate::relay::commit::Remembered;
use crate::relay::event::Event;
use rusqlite::{Connection, Result, params};
use std::time::Duration;

/// How long a message that was read is kept: a person who asks for the whole inbox looks at the last working day.
const KEPT_READ: Duration = Duration::from_secs(24 * 3600);
/// How long after it was accepted a message that waits nowhere is kept, so that a sender that did not hear of the
/// receipt and tries again sends nothing twice.
const KEPT_SETTLED: Duration = Duration::from_secs(24 * 3600);
/// Messages that are looked at in one go, about a millisecond.
const SLICE: usize = 500;

impl Store {
    /// Drops a part of what is too old, and says whether there may be more; sessions go when they ended longer
    /// ago than `retention`.
    ///
    /// # Errors
    /// If the database cannot be written to.
    pub fn forget(&mut self, now: Moment, retention: Duration) -> std::result::Result<bool, StoreError> {
        let failed = self.error("drop what is old from");
        self.swept = self.sweep(now, retention).map_err(failed)?;
        Ok(self.swept != 0)
    }

    /// Looks at the messages behind the place that the last sweep reached, and returns the new place; 0 at the
    /// end.
    fn sweep(&mut self, now: Moment, retention: Duration) -> Result<i64> {
        let swept = self.swept;
        let transaction = self.connection.transaction()?;
        let keys: Result<Vec<i64>> = transaction
            .prepare_cached("SELECT key FROM messages WHERE key > ?1 ORDER BY key LIMIT ?2")?
            .query_map(params![swept, SLICE as i64], |row| row.get(0))?
            .collect();
        let keys = keys?;
        for key in &keys {
            let read = "DELETE FROM deliveries WHERE message = ?1 AND done = 1 AND read < ?2";
            transaction.prepare_cached(read)?.execute([*key, ago(now, KEPT_READ)])?;
            let gone = "SELECT accepted < ?2 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message = ?1)
                        FROM messages WHERE key = ?1";
            let values = [*key, ago(now, KEPT_SETTLED)];
            if transaction.prepare_cached(gone)?.query_row(values, |row| row.get(0))? {
                remove(&transaction, *key)?;
            }
        }
        if swept == 0 {
            let ended = "DELETE FROM sessions WHERE closed < ?1";
            transaction.prepare_cached(ended)?.execute([ago(now, retention)])?;
        }
        transaction.commit()?;
        Ok(keys.last().filter(|_| keys.len() == SLICE).copied().unwrap_or(0))
    }

    /// The first entry that the journal must keep: the oldest message that waits, or the first of the file that has
    /// the oldest text which is only there.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn needed(&self) -> std::result::Result<Option<u64>, StoreError> {
        let statement = "SELECT min(n) FROM (SELECT min(message) AS n FROM deliveries WHERE done = 0
                         UNION ALL SELECT min(file) FROM messages WHERE file IS NOT NULL)";
        let found = self.connection.query_row(statement, [], |row| row.get::<_, Option<i64>>(0));
        found.map(|found| found.map(i64::unsigned_abs)).map_err(self.error("read"))
    }

    /// What entries before number `n` say that holds still, to be said again before they are removed.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn standing(&self, n: u64) -> std::result::Result<Vec<Event>, StoreError> {
        self.read_standing(stored(Moment(n))).map_err(self.error("read"))
    }

    fn read_standing(&self, n: i64) -> Result<Vec<Event>> {
        let mut statement = self.connection.prepare("SELECT body, next FROM schedules WHERE recorded < ?1")?;
        let schedules: Result<Vec<Event>> =
            statement.query_map([n], |row| schedule(row).map(Event::Scheduled))?.collect();
        // Sessions come after their schedules, so that those do not seem to have come from them just now.
        let mut statement = self.connection.prepare(
            "SELECT opened, 0, title, client_id, figures, last_seq, heard FROM sessions WHERE closed IS NULL
             AND (recorded < ?1 OR name IN (SELECT session FROM schedules WHERE recorded < ?1))",
        )?;
        let sessions: Result<Vec<Event>> = statement.query_map([n], |row| remembered(row).map(kept))?.collect();
        let mut standing = schedules?;
        standing.extend(sessions?);
        Ok(standing)
    }
}

fn kept(known: Remembered) -> Event {
    let Remembered { session, title, client_id, figures, last_seq, heard, .. } = known;
    Event::Kept { session, title, client_id, figures, last_seq, heard }
}

fn ago(now: Moment, time: Duration) -> i64 {
    stored(Moment(now.0.saturating_sub(time.as_millis() as u64)))
}

/// Removes a message and all that speaks of it.
pub(super) fn remove(store: &Connection, key: i64) -> Result<()> {
    let due = "DELETE FROM due WHERE message = ?1 AND expires = (SELECT expires FROM messages WHERE key = ?1)";
    store.prepare_cached(due)?.execute([key])?;
    store.prepare_cached("DELETE FROM deliveries WHERE message = ?1")?.execute([key])?;
    store.prepare_cached("DELETE FROM messages WHERE key = ?1")?.execute([key]).map(drop)
}
