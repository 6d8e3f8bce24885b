//! What is asked of the store.

use super::mailbox::{key, mailbox};
use super::row::{COLUMNS, COUNT, Stored, maybe_moment, message, moment, number, parsed, stored, unreadable};
use super::{Store, StoreError};
use crate::journal::{Directory, Misread};
use crate::moment::Moment;
use crate::relay::commit::{Remains, Remembered, Waiting};
use crate::relay::event::{Event, Schedule, Session};
use crate::relay::name::{Mailbox, MessageId, SessionName};
use crate::relay::wire::{Message, Sender};
use rusqlite::{OptionalExtension, Result, Row, params};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Messages of one id that are looked at: each is of another sender.
const NAMESAKES: u32 = 64;

/// Which messages of a mailbox are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// Whose.
    pub mailbox: &'a Mailbox,
    /// Those after this one; from the first on where the mailbox has none of that id.
    pub after: Option<&'a MessageId>,
    /// Those that were read, too.
    pub all: bool,
    /// At most so many.
    pub limit: u32,
    /// At most so many bytes of texts, but one message at least.
    pub bytes: usize,
}

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The message.
    pub message: Message,
    /// When it was written to a client's socket first.
    pub delivered: Option<Moment>,
    /// When it was read.
    pub read: Option<Moment>,
}

/// A message, when it was written to a client's socket first, and when it was read.
type Found = (Stored, Option<Moment>, Option<Moment>);

/// A message that nobody took in its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// Its id.
    pub id: MessageId,
    /// Where it waits.
    pub mailboxes: Vec<Mailbox>,
    /// Bytes of its text.
    pub bytes: u64,
}

/// How a message stands to those that the store holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Clash {
    /// There is none like it.
    Free,
    /// The same sender sent it before: this one.
    Known(Box<Message>),
    /// The same sender sent another one under its id.
    Replayed,
    /// Another sender's message in one of its mailboxes has its id.
    Taken,
}

impl Store {
    /// Messages of one mailbox, in the order in which they were accepted.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn inbox(&self, listing: Listing<'_>) -> std::result::Result<Vec<Listed>, StoreError> {
        let found = self.read_inbox(listing).map_err(self.error("read messages of"))?;
        let whole = found.into_iter().map(|(stored, delivered, read)| {
            let message = self.whole(stored)?;
            Ok(Listed { message, delivered, read })
        });
        whole.collect()
    }

    /// With its text, wherever that is.
    fn whole(&self, stored: Stored) -> std::result::Result<Message, StoreError> {
        let Stored { mut message, extent, .. } = stored;
        let Some(extent) = extent else { return Ok(message) };
        let file = || self.journal.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let directory = Directory::open(&self.journal).map_err(|source| Misread::Io { file: file(), source });
        let text = directory.and_then(|directory| match directory.event(&extent)? {
            // The hash is of the whole line: this is the very message.
            Event::Accepted { message, .. } => Ok(message.text),
            _ => Err(extent.changed()),
        });
        message.text = text.map_err(|source| StoreError::Text { id: message.id.clone(), source })?;
        Ok(message)
    }

    fn read_inbox(&self, listing: Listing<'_>) -> Result<Vec<Found>> {
        let mailbox = key(listing.mailbox);
        let after = listing.after.map(|id| self.place(&mailbox, id)).transpose()?.flatten().unwrap_or(0);
        let done = if listing.all { "IN (0, 1)" } else { "= 0" };
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, d.delivered, d.read FROM deliveries d JOIN messages m ON m.key = d.message
             WHERE d.mailbox = ?1 AND d.done {done} AND d.message > ?2 ORDER BY d.message LIMIT ?3"
        ))?;
        let mut rows = statement.query(params![mailbox, after, listing.limit])?;
        let (mut listed, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let stored = message(row)?;
            bytes += stored.bytes;
            if bytes > listing.bytes as u64 && !listed.is_empty() {
                break;
            }
            listed.push((stored, maybe_moment(row, COUNT)?, maybe_moment(row, COUNT + 1)?));
        }
        Ok(listed)
    }

    fn place(&self, mailbox: &str, id: &MessageId) -> Result<Option<i64>> {
        let statement = "SELECT max(m.key) FROM messages m JOIN deliveries d ON d.message = m.key
                         WHERE m.id = ?1 AND d.mailbox = ?2";
        self.connection.prepare_cached(statement)?.query_row([id.as_str(), mailbox], |row| row.get(0))
    }

    /// The messages of this id, each of another sender.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn messages(&self, id: &MessageId) -> std::result::Result<Vec<Message>, StoreError> {
        let found = self.namesakes(id).map_err(self.error("look for a message in"))?;
        found.into_iter().map(|stored| self.whole(stored)).collect()
    }

    fn namesakes(&self, id: &MessageId) -> Result<Vec<Stored>> {
        let statement = format!("SELECT {COLUMNS} FROM messages m WHERE m.id = ?1 ORDER BY m.key LIMIT {NAMESAKES}");
        self.connection.prepare_cached(&statement)?.query_map([id.as_str()], message)?.collect()
    }

    /// Who sent the message of this id that came to this mailbox, read or not: for answers to it.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn received(&self, to: &Mailbox, id: &MessageId) -> std::result::Result<Option<Sender>, StoreError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM messages m JOIN deliveries d ON d.message = m.key
             WHERE m.id = ?1 AND d.mailbox = ?2 ORDER BY m.key DESC LIMIT 1"
        );
        let found = self
            .connection
            .prepare_cached(&statement)
            .and_then(|mut statement| statement.query_row([id.as_str(), &key(to)], message).optional());
        let found = found.map_err(self.error("look for a message in"))?;
        Ok(found.map(|stored| stored.message.from))
    }

    /// Where it waits.
    fn mailboxes(&self, number: i64) -> Result<Vec<Mailbox>> {
        let statement = "SELECT mailbox FROM deliveries WHERE message = ?1 AND done = 0";
        self.connection.prepare_cached(statement)?.query_map([number], |row| mailbox_of(row, 0))?.collect()
    }

    /// How a message stands to those that are here.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn clash(&self, new: &Message, mailboxes: &[Mailbox]) -> std::result::Result<Clash, StoreError> {
        let found = self.namesakes(&new.id).map_err(self.error("look for a message in"))?;
        let of = |message: &Message| (message.from.session.clone(), message.from.host.clone());
        let (own, others): (Vec<Stored>, Vec<Stored>) = found.into_iter().partition(|old| of(&old.message) == of(new));
        if let Some(old) = own.into_iter().next() {
            return Ok(Clash::between(&self.whole(old)?, new));
        }
        for old in others {
            for mailbox in mailboxes {
                let same = self.received(mailbox, &new.id)?;
                if same.is_some_and(|same| same == old.message.from) {
                    return Ok(Clash::Taken);
                }
            }
        }
        Ok(Clash::Free)
    }

    /// Messages that wait although their time was over at this moment, the longest overdue first.
    ///
    /// # Errors
    /// If the database cannot be read or written to.
    pub fn overdue(&mut self, now: Moment, limit: u32) -> std::result::Result<Vec<Overdue>, StoreError> {
        let failed = self.error("look for expired messages in");
        self.read_overdue(now, limit).map_err(failed)
    }

    fn read_overdue(&mut self, now: Moment, limit: u32) -> Result<Vec<Overdue>> {
        loop {
            let (mut overdue, mut settled) = (Vec::new(), Vec::new());
            let statement = "SELECT m.id, m.bytes, u.message, u.expires FROM due u
                             JOIN messages m ON m.key = u.message WHERE u.expires <= ?1 ORDER BY u.expires LIMIT ?2";
            let mut statement = self.connection.prepare_cached(statement)?;
            let mut rows = statement.query(params![stored(now), limit])?;
            while let Some(row) = rows.next()? {
                let mailboxes = self.mailboxes(row.get(2)?)?;
                if mailboxes.is_empty() {
                    settled.push((row.get(3)?, row.get(2)?));
                } else {
                    overdue.push(Overdue { id: parsed(row, 0)?, mailboxes, bytes: number(row, 1)? });
                }
            }
            drop(rows);
            drop(statement);
            if settled.is_empty() {
                return Ok(overdue);
            }
            self.drop_due(&settled)?;
        }
    }

    fn drop_due(&mut self, settled: &[(i64, i64)]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut statement = transaction.prepare_cached("DELETE FROM due WHERE expires = ?1 AND message = ?2")?;
            settled.iter().try_for_each(|(expires, message)| statement.execute([expires, message]).map(drop))?;
        }
        transaction.commit()
    }

    /// All that a daemon must know that starts.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn remains(&self) -> std::result::Result<Remains, StoreError> {
        self.read_remains().map_err(self.error("read"))
    }

    fn read_remains(&self) -> Result<Remains> {
        let statement = "SELECT opened, closed IS NOT NULL, title, client_id, figures, last_seq, heard FROM sessions";
        let mut statement = self.connection.prepare(statement)?;
        let sessions: Result<BTreeMap<SessionName, Remembered>> = statement
            .query_map([], remembered)?
            .map(|found| found.map(|found| (found.session.name.clone(), found)))
            .collect();
        let mut statement = self.connection.prepare("SELECT body, next FROM schedules ORDER BY next, id")?;
        let schedules: Result<Vec<Schedule>> = statement.query_map([], schedule)?.collect();
        let mut statement = self.connection.prepare(
            "SELECT d.mailbox, count(*), sum(m.bytes) FROM deliveries d
             JOIN messages m ON m.key = d.message WHERE d.done = 0 GROUP BY d.mailbox",
        )?;
        let waiting: Result<BTreeMap<Mailbox, Waiting>> = statement
            .query_map([], |row| Ok((mailbox_of(row, 0)?, Waiting { messages: row.get(1)?, bytes: number(row, 2)? })))?
            .collect();
        Ok(Remains {
            sessions: sessions?,
            schedules: schedules?,
            waiting: waiting?,
            sent: self.sent()?,
            mended: Vec::new(),
        })
    }
}

impl Clash {
    /// Between two messages that one sender sent under one id.
    pub fn between(old: &Message, new: &Message) -> Self {
        let content = |message: &Message| (message.kind, message.to.clone(), message.reply_to.clone());
        if content(old) == content(new) && old.text == new.text {
            Self::Known(Box::new(old.clone()))
        } else {
            Self::Replayed
        }
    }
}

fn mailbox_of(row: &Row<'_>, at: usize) -> Result<Mailbox> {
    mailbox(row.get_ref(at)?.as_str()?).ok_or_else(|| unreadable(at, std::fmt::Error))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> Result<T> {
    serde_json::from_str(row.get_ref(at)?.as_str()?).map_err(|error| unreadable(at, error))
}

/// A session of the columns that [`Store::remains`] and [`Store::standing`] read.
pub(super) fn remembered(row: &Row<'_>) -> Result<Remembered> {
    let figures = row.get_ref(4)?.as_str_or_null()?.map(serde_json::from_str).transpose();
    Ok(Remembered {
        session: json::<Session>(row, 0)?,
        closed: row.get(1)?,
        title: row.get(2)?,
        client_id: row.get(3)?,
        figures: figures.map_err(|error| unreadable(4, error))?,
        last_seq: number(row, 5)?,
        heard: moment(row, 6)?,
    })
}

/// A schedule, of the columns `body` and `next`.
pub(super) fn schedule(row: &Row<'_>) -> Result<Schedule> {
    Ok(Schedule { next: moment(row, 1)?, ..json(row, 0)? })
}
