//! What can go wrong with the store.

use crate::journal::Misread;
use crate::relay::name::MessageId;
use rusqlite::ErrorCode;
use std::io;
use std::path::{Path, PathBuf};

/// The store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not.
    #[error("cannot {attempt} {}, the relay's store: {source}{}", path.display(), remedy(source))]
    Database {
        /// What was attempted.
        attempt: &'static str,
        /// The database.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// The file system did not.
    #[error(
        "cannot {attempt} {}, the relay's store: {source}. Its directory must be writable by the relay's user \
         alone: see to its owner, its mode and its mount",
        path.display()
    )]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another rcc made it.
    #[error("{} is of version {found}, and this rcc's is {ours}", path.display())]
    Version {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The one that this program reads and writes.
        ours: i64,
    },
    /// It holds what the journal does not.
    #[error("{} has seen entry {n} of another journal, or one that the journal has lost", path.display())]
    Apart {
        /// The database.
        path: PathBuf,
        /// The entry.
        n: u64,
    },
    /// It was written to when the machine went down, and nobody knows what of that it has.
    #[error("{} was in use when the machine went down, or was replaced since", path.display())]
    Unsealed {
        /// The database.
        path: PathBuf,
    },
    /// The journal does not give a text that is in it alone.
    #[error(
        "cannot read the text of message {id}: {source}. `rcc relay audit --verify` tells more. Put that file back as \
         it was, or give the message up: an `ack` of its id takes it out of its mailbox, and so does its expiry"
    )]
    Text {
        /// Which.
        id: MessageId,
        /// Why it failed.
        #[source]
        source: Misread,
    },
    /// The journal cannot be read.
    #[error("cannot read the journal that {} is made from: {source}", path.display())]
    Journal {
        /// The database.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err`: what was attempted, on which database.
    pub(super) fn at(attempt: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Database { attempt, path, source }
    }

    /// As [`at`](Self::at), for the file system.
    pub(super) fn file<E: Into<io::Error>>(attempt: &'static str, path: &Path) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |source| Self::File { attempt, path, source: source.into() }
    }

    /// Why it failed, for clients: without the host's paths.
    pub fn cause(&self) -> String {
        match self {
            Self::Database { source, .. } => source.to_string(),
            Self::File { source, .. } | Self::Journal { source, .. } => source.to_string(),
            Self::Text { id, source } => format!("the text of message {id} cannot be read: {source}"),
            Self::Version { .. } | Self::Apart { .. } | Self::Unsealed { .. } => "it must be made anew".to_owned(),
        }
    }

    /// What is the matter with the database, where another one is to be made from the journal.
    pub fn spoilt(&self) -> Option<&'static str> {
        match self {
            Self::Database { source, .. } if is_corrupt(source) => Some("corrupt"),
            Self::Version { found, ours, .. } if found < ours => Some("outdated"),
            Self::Apart { .. } => Some("apart"),
            Self::Unsealed { .. } => Some("unsealed"),
            _ => None,
        }
    }
}

/// SQLite found damage, or content that rcc never writes.
fn is_corrupt(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => {
            matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        }
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}

fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ". Make room on that disk",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            ". The file and its directory must be writable by the relay's user: see to owner, mode and mount"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ". Another program holds it: end that one",
        _ => "",
    }
}
