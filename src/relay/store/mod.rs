//! The store: what the journal amounts to, in SQLite.
//!
//! The journal is what is durable. The store is written after it and never waits for the disk, and remembers how
//! far it has come; what it lacks after a crash is read from the journal again, and a store that is lost, damaged,
//! of another version or from before the machine went down (see `seal`) is made anew from it. So there are no
//! migrations, and nothing in it is worth more than the time to read the journal. Long texts stay in the journal,
//! and the store knows where.

mod checkpoint;
mod debts;
mod error;
mod fold;
mod forget;
mod mailbox;
mod query;
mod restore;
mod row;
#[cfg(test)]
pub(super) mod samples;
mod schema;
mod seal;
#[cfg(test)]
mod tests;

pub use debts::Debt;
pub use error::StoreError;
pub use fold::Recorded;
pub use query::{Clash, Listed, Listing, Overdue};
pub use restore::{renew, restore};
pub use schema::head;

use crate::journal::Head;
use checkpoint::Checkpointer;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The store, held by the one thread that writes to it.
#[derive(Debug)]
pub struct Store {
    // Dropped first, so that the last connection to close is the one below, which empties the log.
    checkpointer: Option<Checkpointer>,
    connection: Connection,
    path: PathBuf,
    /// The journal's directory, where long texts are.
    journal: PathBuf,
    /// How far it has come.
    position: Head,
    /// Where [`Store::forget`] goes on.
    swept: i64,
}

impl Store {
    /// Opens the database, or makes an empty one. Long texts are in the journal of that directory.
    ///
    /// # Errors
    /// If it cannot be opened or written to, is damaged, is of another version, or is from before the machine went
    /// down.
    pub fn open(path: &Path, journal: &Path) -> Result<Self, StoreError> {
        let connection = schema::open(path)?;
        let position = schema::position(&connection).map_err(StoreError::at("read", path))?;
        let checkpointer = Some(Checkpointer::start(path)?);
        let (path, journal) = (path.to_owned(), journal.to_owned());
        Ok(Self { checkpointer, connection, path, journal, position, swept: 0 })
    }

    /// Puts everything on the disk, so that the next boot need not make the store anew.
    ///
    /// # Errors
    /// If that fails; then it is as if it had not been closed.
    pub fn close(mut self) -> Result<(), StoreError> {
        if self.checkpointer.take().is_none() {
            return Ok(());
        }
        let failed = self.error("empty the log of");
        let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        let closed = busy.and_then(|busy| self.connection.close().map_err(|(_, error)| error).map(|()| busy));
        match closed.map_err(failed)? {
            // Somebody reads what is in the log: it is not all in the one file.
            true => Ok(()),
            false => seal::close(&self.path),
        }
    }

    /// In the place of a store that cannot be used: whatever it is asked fails.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn absent(path: &Path, journal: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open_in_memory().map_err(StoreError::at("close", path))?;
        let (path, journal) = (path.to_owned(), journal.to_owned());
        Ok(Self { checkpointer: None, connection, path, journal, position: Head::default(), swept: 0 })
    }

    /// Whether this only stands in a store's place.
    pub fn is_absent(&self) -> bool {
        self.checkpointer.is_none()
    }

    /// The last entry that was applied.
    pub fn position(&self) -> Head {
        self.position
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes every write fail, or work again.
    #[cfg(test)]
    pub(super) fn freeze(&self, frozen: bool) {
        self.connection.pragma_update(None, "query_only", frozen).unwrap();
    }

    fn error(&self, attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError + use<> {
        StoreError::at(attempt, &self.path)
    }
}
