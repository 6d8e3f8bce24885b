//! The tables, and how the database is opened.

use super::{StoreError, seal};
use crate::journal::{Hash, Head};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The version of the tables (`PRAGMA user_version`). A store of an older one is made anew.
pub(super) const VERSION: i64 = 2;
/// Databases of up to so many bytes are looked through when they are opened, which takes a tenth of a second
/// at most. In larger ones damage shows when the damaged page is used, and is dealt with then.
const CHECKED_MAX: u64 = 64 << 20;
/// How long a connection waits for the other one.
const BUSY: Duration = Duration::from_secs(5);

/// `messages.key` is the number of the journal's entry, so that order is the order in which they were accepted. The
/// text comes last: what reads only the rest does not load it. A long one is in the journal, and here is where: `file`
/// to `hash`. `due` may list what waits no more.
const TABLES: &str = "
CREATE TABLE position (id INTEGER PRIMARY KEY CHECK (id = 0), n INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE messages (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    session TEXT NOT NULL,
    host TEXT NOT NULL,
    project TEXT,
    user TEXT NOT NULL,
    uid INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,
    reply_to TEXT,
    seq INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    schedule TEXT,
    bytes INTEGER NOT NULL,
    file INTEGER,
    offset INTEGER,
    length INTEGER,
    hash BLOB,
    text TEXT
);
CREATE UNIQUE INDEX messages_by_id ON messages (id, session, host);
CREATE INDEX messages_by_file ON messages (file) WHERE file IS NOT NULL;
CREATE TABLE deliveries (
    mailbox TEXT NOT NULL,
    done INTEGER NOT NULL,
    message INTEGER NOT NULL,
    delivered INTEGER,
    read INTEGER,
    PRIMARY KEY (mailbox, done, message)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_message ON deliveries (message, done);
CREATE TABLE due (expires INTEGER NOT NULL, message INTEGER NOT NULL, PRIMARY KEY (expires, message)) WITHOUT ROWID;
CREATE TABLE sessions (
    name TEXT PRIMARY KEY,
    recorded INTEGER NOT NULL,
    opened TEXT NOT NULL,
    closed INTEGER,
    title TEXT,
    client_id TEXT,
    figures TEXT,
    last_seq INTEGER NOT NULL,
    heard INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    recorded INTEGER NOT NULL,
    session TEXT NOT NULL,
    next INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
";

/// Opens the database, or makes an empty one.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let file = create(path)?;
    let used = file.len() > 0 || has_log(path)?;
    if used && !seal::holds(path, &file)? {
        return Err(StoreError::Unsealed { path: path.to_owned() });
    }
    seal::begin(path, &file)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    prepare(&connection).map_err(StoreError::at("open", path))?;
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let found: i64 = found.map_err(StoreError::at("read", path))?;
    match found {
        0 if is_empty(&connection).map_err(StoreError::at("read", path))? => {
            let script = format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;");
            connection.execute_batch(&script).map_err(StoreError::at("make the tables of", path))?;
        }
        VERSION => {}
        found => return Err(StoreError::Version { path: path.to_owned(), found, ours: VERSION }),
    }
    if file.len() <= CHECKED_MAX {
        check(&connection).map_err(StoreError::at("use", path))?;
    }
    // To begin a write tells at once whether one is possible.
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK;").map_err(StoreError::at("write to", path))?;
    Ok(connection)
}

/// A connection with what every connection has.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::at("open", path))?;
    connection.busy_timeout(BUSY).map_err(StoreError::at("open", path))?;
    // The journal is what waits for the disk; nothing else should keep that from it.
    connection.pragma_update(None, "synchronous", "OFF").map_err(StoreError::at("open", path))?;
    Ok(connection)
}

/// Whether there is a log beside the database.
fn has_log(path: &Path) -> Result<bool, StoreError> {
    let mut name = std::ffi::OsString::from(path);
    name.push("-wal");
    match std::fs::symlink_metadata(&name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        found => found.map(|found| found.len() > 0).map_err(StoreError::file("look for the log of", path)),
    }
}

/// Makes the file with its mode, which SQLite gives to the files beside it, and says how it is.
fn create(path: &Path) -> Result<Metadata, StoreError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(StoreError::file("open", path))?;
    let found = File::from(file).metadata().map_err(StoreError::file("look at", path))?;
    if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() {
        let why = std::io::Error::other("it is not a regular file of the relay's own");
        return Err(StoreError::file("trust", path)(why));
    }
    Ok(found)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // Checkpoints are made by a thread of their own, because they take their time.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 16777216; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;",
    )
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn check(connection: &Connection) -> rusqlite::Result<()> {
    let told: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if told == "ok" {
        return Ok(());
    }
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(corrupt, Some(told)))
}

/// How far the store has come.
pub(super) fn position(connection: &Connection) -> rusqlite::Result<Head> {
    let row = connection
        .query_row("SELECT n, hash FROM position", [], |row| {
            Ok(Head { n: row.get::<_, i64>(0)?.unsigned_abs(), hash: Hash::from_bytes(row.get(1)?) })
        })
        .optional()?;
    Ok(row.unwrap_or_default())
}

/// How far the store at this path has come, for whoever verifies the journal; `None` if there is no store, or one
/// from before the machine went down, which tells nothing. A relay may run meanwhile.
///
/// # Errors
/// If it cannot be read.
pub fn head(path: &Path) -> Result<Option<Head>, StoreError> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(StoreError::file("look at", path))?,
    };
    if !seal::holds(path, &found)? {
        return Ok(None);
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    position(&connection).map(Some).map_err(StoreError::at("read", path))
}
