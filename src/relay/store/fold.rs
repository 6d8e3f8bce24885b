//! What each event makes of the store.

use super::mailbox::{key, session_key};
use super::row::stored;
use super::{Store, StoreError};
use crate::journal::{Extent, Head};
use crate::moment::Moment;
use crate::relay::event::{Event, Schedule, Session};
use crate::relay::name::{Mailbox, MessageId, SessionName};
use crate::relay::wire::{Figures, Message};
use rusqlite::{Connection, Error, ErrorCode, Result, ToSql, TransactionBehavior, params};

/// An entry of the journal.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// Its number.
    pub n: u64,
    /// When it was made.
    pub at: Moment,
    /// What happened.
    pub event: &'a Event,
    /// Where that is written.
    pub extent: Extent,
}

/// Bytes of a text above which it stays in the journal, and is read there when somebody wants it: a page of the
/// database holds most that are not longer.
pub(super) const TEXT_MAX: usize = 2 << 10;

impl Store {
    /// Applies entries, of which `head` is the last, and remembers that: all of it, or on error nothing.
    /// What was applied before is passed over.
    ///
    /// # Errors
    /// If the database cannot be written to.
    pub fn apply<'a>(
        &mut self,
        entries: impl IntoIterator<Item = Recorded<'a>>,
        head: Head,
    ) -> std::result::Result<(), StoreError> {
        let failed = self.error("write to");
        let bytes = self.write(entries, head).map_err(failed)?;
        self.position = head;
        if self.checkpointer.as_mut().is_some_and(|thread| thread.applied(bytes)) {
            let made = self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
            made.unwrap_or_else(|error| tracing::warn!("cannot shorten the log of the relay's store: {error}"));
        }
        Ok(())
    }

    fn write<'a>(&mut self, entries: impl IntoIterator<Item = Recorded<'a>>, head: Head) -> Result<usize> {
        let mut done = self.position.n;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut bytes = 0;
        for entry in entries {
            if entry.n > done {
                bytes += apply(&transaction, entry)?;
                done = entry.n;
            }
        }
        let position = "INSERT OR REPLACE INTO position (id, n, hash) VALUES (0, ?1, ?2)";
        run(&transaction, position, params![stored(Moment(head.n)), head.hash.bytes()])?;
        transaction.commit()?;
        Ok(bytes)
    }
}

/// Pages that an entry without a text changes, roughly, in bytes.
const SMALL: usize = 1 << 10;

fn apply(store: &Connection, entry: Recorded<'_>) -> Result<usize> {
    let Recorded { n, at, event, extent } = entry;
    let n = stored(Moment(n));
    match event {
        Event::Started { .. } | Event::Pruned { .. } | Event::Mended { .. } => return Ok(0),
        Event::Opened(session) => opened(store, n, session)?,
        Event::Met { session, title, client_id, figures } => met(store, session, at, title, client_id, figures)?,
        Event::Kept { session, title, client_id, figures, last_seq, heard } => {
            opened(store, n, session)?;
            met(store, &session.name, *heard, title, client_id, figures)?;
            let seq = "UPDATE sessions SET last_seq = ?2, heard = ?3 WHERE name = ?1";
            run(store, seq, params![session.name.as_str(), stored(Moment(*last_seq)), stored(*heard)])?;
        }
        Event::Closed { session, .. } => closed(store, session, at)?,
        Event::Accepted { message, mailboxes, next } => {
            accepted(store, n, at, (message, extent), mailboxes)?;
            if let Some(id) = &message.schedule {
                went_off(store, id.as_str(), &message.from.session, *next)?;
            }
            return Ok(SMALL + message.text.len().min(TEXT_MAX));
        }
        Event::Claimed { mailbox, session } => claimed(store, mailbox, session, at)?,
        Event::Delivered { mailbox, ids } => delivered(store, mailbox, ids, at)?,
        Event::Read { mailbox, ids } => read(store, mailbox, ids, at)?,
        Event::Expired { ids } => expired(store, ids, at)?,
        Event::Scheduled(schedule) => scheduled(store, n, schedule, at)?,
        Event::Cancelled { id } => run(store, "DELETE FROM schedules WHERE id = ?1", [id.as_str()])?,
        Event::Refused { session, .. } | Event::Document { session, .. } => heard(store, session, at)?,
    }
    Ok(SMALL)
}

/// Runs a statement that was prepared before, as a rule.
fn run(store: &Connection, statement: &str, values: impl rusqlite::Params) -> Result<()> {
    store.prepare_cached(statement)?.execute(values).map(drop)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))
}

fn heard(store: &Connection, session: &SessionName, at: Moment) -> Result<()> {
    run(store, "UPDATE sessions SET heard = ?2 WHERE name = ?1", params![session.as_str(), stored(at)])
}

fn opened(store: &Connection, n: i64, session: &Session) -> Result<()> {
    let statement = "INSERT OR REPLACE INTO sessions (name, recorded, opened, last_seq, heard)
                     VALUES (?1, ?2, ?3, 0, ?4)";
    run(store, statement, params![session.name.as_str(), n, json(session)?, stored(session.opened)])
}

fn met(
    store: &Connection,
    session: &SessionName,
    at: Moment,
    title: &Option<String>,
    client_id: &Option<String>,
    figures: &Option<Figures>,
) -> Result<()> {
    let statement = "UPDATE sessions SET title = ifnull(?2, title), client_id = ifnull(?3, client_id),
                     figures = ifnull(?4, figures), heard = ?5 WHERE name = ?1";
    let figures = figures.as_ref().map(json).transpose()?;
    run(store, statement, params![session.as_str(), title, client_id, figures, stored(at)])
}

fn closed(store: &Connection, session: &SessionName, at: Moment) -> Result<()> {
    run(
        store,
        "UPDATE sessions SET closed = ?2 WHERE name = ?1 AND closed IS NULL",
        params![session.as_str(), stored(at)],
    )?;
    run(store, "DELETE FROM deliveries WHERE mailbox = ?1 AND done = 0", [session_key(session)])
}

fn accepted(
    store: &Connection,
    n: i64,
    at: Moment,
    (message, extent): (&Message, Extent),
    mailboxes: &[Mailbox],
) -> Result<()> {
    match insert(store, n, message, extent) {
        // The same id again, after the first was forgotten: the writer lets no other through.
        Err(Error::SqliteFailure(error, _)) if error.code == ErrorCode::ConstraintViolation => {
            replaced(store, message)?;
            insert(store, n, message, extent)?;
        }
        inserted => inserted?,
    }
    for mailbox in mailboxes {
        let statement = "INSERT OR IGNORE INTO deliveries (mailbox, done, message) VALUES (?1, 0, ?2)";
        run(store, statement, params![key(mailbox), n])?;
    }
    run(store, "INSERT OR IGNORE INTO due (expires, message) VALUES (?1, ?2)", params![stored(message.expires), n])?;
    if message.from.host.is_none() {
        let statement = "UPDATE sessions SET last_seq = max(last_seq, ?2), heard = ?3 WHERE name = ?1";
        let values: [&dyn ToSql; 3] = [&message.from.session.as_str(), &stored(Moment(message.seq)), &stored(at)];
        run(store, statement, values.as_slice())?;
    }
    Ok(())
}

fn insert(store: &Connection, n: i64, message: &Message, extent: Extent) -> Result<()> {
    let statement = "INSERT INTO messages (key, id, session, host, project, user, uid, recipient, kind, reply_to,
                     seq, accepted, expires, schedule, bytes, file, offset, length, hash, text)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
                     ?20)";
    let from = &message.from;
    let (elsewhere, text) = match message.text.len() {
        0..=TEXT_MAX => (None, Some(&message.text)),
        _ => (Some(extent), None),
    };
    let values = params![
        n,
        message.id.as_str(),
        from.session.as_str(),
        from.host.as_ref().map_or("", |host| host.as_str()),
        from.project.as_ref().map(|project| project.as_str()),
        from.user,
        from.uid,
        message.to.to_string(),
        message.kind.word(),
        message.reply_to.as_ref().map(|id| id.as_str()),
        stored(Moment(message.seq)),
        stored(message.accepted),
        stored(message.expires),
        message.schedule.as_ref().map(|id| id.as_str()),
        message.text.len() as i64,
        elsewhere.map(|extent| stored(Moment(extent.file))),
        elsewhere.map(|extent| stored(Moment(extent.offset))),
        elsewhere.map(|extent| extent.length),
        elsewhere.map(|extent| *extent.hash.bytes()),
        text,
    ];
    run(store, statement, values)
}

fn replaced(store: &Connection, message: &Message) -> Result<()> {
    let host = message.from.host.as_ref().map_or("", |host| host.as_str());
    let values = [message.id.as_str(), message.from.session.as_str(), host];
    let old = "SELECT key FROM messages WHERE id = ?1 AND session = ?2 AND host = ?3";
    let old: i64 = store.query_row(old, values, |row| row.get(0))?;
    super::forget::remove(store, old)
}

/// A schedule has its next time in the same transaction as its message: it goes off once for each.
fn went_off(store: &Connection, id: &str, session: &SessionName, next: Option<Moment>) -> Result<()> {
    match next {
        Some(next) => {
            let statement = "UPDATE schedules SET next = ?3 WHERE id = ?1 AND session = ?2";
            run(store, statement, params![id, session.as_str(), stored(next)])
        }
        None => run(store, "DELETE FROM schedules WHERE id = ?1 AND session = ?2", [id, session.as_str()]),
    }
}

fn claimed(store: &Connection, mailbox: &Mailbox, session: &SessionName, at: Moment) -> Result<()> {
    let (from, to) = (key(mailbox), session_key(session));
    if from == to {
        return Ok(());
    }
    let twice = "DELETE FROM deliveries WHERE mailbox = ?1 AND done = 0
                 AND message IN (SELECT message FROM deliveries WHERE mailbox = ?2)";
    run(store, twice, [&from, &to])?;
    let statement = "UPDATE deliveries SET mailbox = ?2, delivered = NULL WHERE mailbox = ?1 AND done = 0";
    run(store, statement, [&from, &to])?;
    heard(store, session, at)
}

fn delivered(store: &Connection, mailbox: &Mailbox, ids: &[MessageId], at: Moment) -> Result<()> {
    let mailbox = key(mailbox);
    let statement = "UPDATE deliveries SET delivered = ?3 WHERE mailbox = ?1 AND done = 0
                     AND message IN (SELECT key FROM messages WHERE id = ?2) AND delivered IS NULL";
    ids.iter().try_for_each(|id| run(store, statement, params![mailbox, id.as_str(), stored(at)]))
}

fn read(store: &Connection, mailbox: &Mailbox, ids: &[MessageId], at: Moment) -> Result<()> {
    let statement = "UPDATE deliveries SET done = 1, read = ?3 WHERE mailbox = ?1 AND done = 0
                     AND message IN (SELECT key FROM messages WHERE id = ?2)";
    let name = key(mailbox);
    ids.iter().try_for_each(|id| run(store, statement, params![name, id.as_str(), stored(at)]))?;
    match mailbox {
        Mailbox::Session(session) => heard(store, session, at),
        _ => Ok(()),
    }
}

/// Only what is over: an id may be that of another sender's message, too.
fn expired(store: &Connection, ids: &[MessageId], at: Moment) -> Result<()> {
    let over = "(SELECT key FROM messages WHERE id = ?1 AND expires <= ?2)";
    let deliveries = format!("DELETE FROM deliveries WHERE done = 0 AND message IN {over}");
    let due = format!("DELETE FROM due WHERE expires <= ?2 AND message IN {over}");
    for id in ids {
        run(store, &deliveries, params![id.as_str(), stored(at)])?;
        run(store, &due, params![id.as_str(), stored(at)])?;
    }
    Ok(())
}

/// An id that is another session's already is left to it.
fn scheduled(store: &Connection, n: i64, schedule: &Schedule, at: Moment) -> Result<()> {
    let statement = "INSERT INTO schedules (id, recorded, session, next, body) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (id) DO UPDATE SET recorded = excluded.recorded, next = excluded.next,
                     body = excluded.body WHERE session = excluded.session";
    let values = params![schedule.id.as_str(), n, schedule.session.as_str(), stored(schedule.next), json(schedule)?];
    run(store, statement, values)?;
    heard(store, &schedule.session, at)
}
