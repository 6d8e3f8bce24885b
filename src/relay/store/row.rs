//! Messages as rows, and rows as messages.

use crate::journal::{Extent, Hash};
use crate::moment::Moment;
use crate::relay::name::HostName;
use crate::relay::wire::{Message, Sender};
use rusqlite::Row;
use rusqlite::types::Type;
use std::str::FromStr;

/// The columns of a message, in the order in which [`message`] reads them. Statements call the table `m`.
pub(super) const COLUMNS: &str = "m.id, m.session, m.host, m.project, m.user, m.uid, m.recipient, m.kind, \
                                  m.reply_to, m.seq, m.accepted, m.expires, m.schedule, m.bytes, \
                                  m.file, m.offset, m.length, m.hash, m.text";
/// How many those are.
pub(super) const COUNT: usize = 19;

/// A time as SQLite's integer. What is later than it can hold is never reached either.
pub(super) fn stored(moment: Moment) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}

/// A time of a column.
pub(super) fn moment(row: &Row<'_>, at: usize) -> rusqlite::Result<Moment> {
    number(row, at).map(Moment)
}

/// A time of a column that may be empty.
pub(super) fn maybe_moment(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Moment>> {
    let value: Option<i64> = row.get(at)?;
    value.map(|value| u64::try_from(value).map(Moment).map_err(|error| unreadable(at, error))).transpose()
}

/// A number of a column that is never negative.
pub(super) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(at)?;
    u64::try_from(value).map_err(|error| unreadable(at, error))
}

/// A name of a column.
pub(super) fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    at: usize,
) -> rusqlite::Result<T> {
    row.get_ref(at)?.as_str()?.parse().map_err(|error| unreadable(at, error))
}

/// A name of a column that may be empty.
pub(super) fn maybe<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &Row<'_>,
    at: usize,
) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(at)?.as_str_or_null()?;
    text.map(|text| text.parse().map_err(|error| unreadable(at, error))).transpose()
}

/// For what a column holds that rcc never wrote.
pub(super) fn unreadable(at: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error))
}

/// The other host of a column; an empty one means this one.
pub(super) fn host(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<HostName>> {
    let host = row.get_ref(at)?.as_str()?;
    (!host.is_empty()).then(|| host.parse()).transpose().map_err(|error| unreadable(at, error))
}

/// The sender, of the first columns.
fn sender(row: &Row<'_>) -> rusqlite::Result<Sender> {
    Ok(Sender {
        session: parsed(row, 1)?,
        host: host(row, 2)?,
        project: maybe(row, 3)?,
        user: row.get(4)?,
        uid: row.get(5)?,
    })
}

/// A message as the database has it.
#[derive(Debug)]
pub(super) struct Stored {
    /// Without its text, if that is in the journal.
    pub message: Message,
    /// Bytes of its text.
    pub bytes: u64,
    /// Where in the journal its text is.
    pub extent: Option<Extent>,
}

/// A message, of [`COLUMNS`].
pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let extent = match row.get::<_, Option<i64>>(14)? {
        None => None,
        Some(_) => Some(Extent {
            file: number(row, 14)?,
            offset: number(row, 15)?,
            length: row.get(16)?,
            hash: Hash::from_bytes(row.get(17)?),
        }),
    };
    let text = if extent.is_some() { String::new() } else { row.get(18)? };
    let message = Message {
        id: parsed(row, 0)?,
        from: sender(row)?,
        to: parsed(row, 6)?,
        kind: parsed(row, 7)?,
        reply_to: maybe(row, 8)?,
        seq: number(row, 9)?,
        accepted: moment(row, 10)?,
        expires: moment(row, 11)?,
        schedule: maybe(row, 12)?,
        text,
    };
    Ok(Stored { message, bytes: number(row, 13)?, extent })
}
