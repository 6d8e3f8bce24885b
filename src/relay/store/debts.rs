//! What waits, as far as counting goes: who sent it, and how much it is.

use super::mailbox::{key, mailbox};
use super::row::{number, parsed, unreadable};
use super::{Store, StoreError};
use crate::relay::commit::Waiting;
use crate::relay::name::{HostName, Mailbox, MessageId, SessionName};
use rusqlite::{OptionalExtension, Result, Row, params};
use std::collections::BTreeMap;

/// A message that waits in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debt {
    /// Which.
    pub id: MessageId,
    /// Who sent it.
    pub sender: SessionName,
    /// The other host that it came from.
    pub host: Option<HostName>,
    /// Bytes of its text.
    pub bytes: u64,
}

impl Debt {
    /// Its sender, if that is a session of this relay's.
    pub fn own_sender(&self) -> Option<&SessionName> {
        self.host.is_none().then_some(&self.sender)
    }
}

const COLUMNS: &str = "m.id, m.session, m.host, m.bytes";

impl Store {
    /// Which of these wait in the mailbox.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn waiting(&self, mailbox: &Mailbox, ids: &[MessageId]) -> std::result::Result<Vec<Debt>, StoreError> {
        let key = key(mailbox);
        let found: Result<Vec<Option<Debt>>> = ids.iter().map(|id| self.one(&key, id)).collect();
        found.map(|found| found.into_iter().flatten().collect()).map_err(self.error("read what waits in"))
    }

    fn one(&self, key: &str, id: &MessageId) -> Result<Option<Debt>> {
        let statement = format!(
            "SELECT {COLUMNS} FROM messages m JOIN deliveries d ON d.message = m.key
             WHERE m.id = ?2 AND d.mailbox = ?1 AND d.done = 0"
        );
        self.connection.prepare_cached(&statement)?.query_row(params![key, id.as_str()], debt).optional()
    }

    /// Everything that waits in the mailbox.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn all_waiting(&self, mailbox: &Mailbox) -> std::result::Result<Vec<Debt>, StoreError> {
        let read = || -> Result<Vec<Debt>> {
            let statement = format!(
                "SELECT {COLUMNS} FROM deliveries d JOIN messages m ON m.key = d.message
                 WHERE d.mailbox = ?1 AND d.done = 0"
            );
            self.connection.prepare_cached(&statement)?.query_map([key(mailbox)], debt)?.collect()
        };
        read().map_err(self.error("read what waits in"))
    }

    /// What waits of each sender of this host's, counted once for each mailbox.
    pub(super) fn sent(&self) -> Result<BTreeMap<SessionName, Waiting>> {
        let statement = "SELECT m.session, count(*), sum(m.bytes) FROM deliveries d
                         JOIN messages m ON m.key = d.message WHERE d.done = 0 AND m.host = '' GROUP BY m.session";
        let mut statement = self.connection.prepare(statement)?;
        let found = statement
            .query_map([], |row| Ok((parsed(row, 0)?, Waiting { messages: row.get(1)?, bytes: number(row, 2)? })))?;
        found.collect()
    }

    /// The mailboxes that have or had a message of this host's.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn places(&self, id: &MessageId, sender: &SessionName) -> std::result::Result<Vec<Mailbox>, StoreError> {
        let read = || -> Result<Vec<Mailbox>> {
            let statement = "SELECT d.mailbox FROM deliveries d JOIN messages m ON m.key = d.message
                             WHERE m.id = ?1 AND m.session = ?2 AND m.host = ''";
            let mut statement = self.connection.prepare_cached(statement)?;
            let found = statement.query_map([id.as_str(), sender.as_str()], |row| {
                mailbox(row.get_ref(0)?.as_str()?).ok_or_else(|| unreadable(0, std::fmt::Error))
            })?;
            found.collect()
        };
        read().map_err(self.error("look for a message in"))
    }
}

fn debt(row: &Row<'_>) -> Result<Debt> {
    Ok(Debt { id: parsed(row, 0)?, sender: parsed(row, 1)?, host: super::row::host(row, 2)?, bytes: number(row, 3)? })
}
