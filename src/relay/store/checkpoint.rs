//! Moves what is in the write-ahead log into the database. That takes its time, so it is a thread's of its own,
//! which holds nobody up.

use super::{StoreError, schema};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes of entries after which a checkpoint is due. The log takes several times that.
const DUE: usize = 1 << 20;
/// Pages of the log, of 4 KiB, at which the writer waits for a checkpoint: while it goes on writing, the log
/// cannot begin anew.
const LOG_MAX: i64 = 16 << 10;

/// The thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    /// Rings. `None` only while it is dropped.
    bell: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    long: Arc<AtomicBool>,
    applied: usize,
}

impl Checkpointer {
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let (bell, rings) = sync_channel(1);
        let long = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&long);
        let thread = std::thread::Builder::new().name("checkpoint".into());
        let thread = thread.spawn(move || run(&connection, &rings, &told));
        let thread = thread.map_err(StoreError::file("start a thread for", path))?;
        Ok(Self { bell: Some(bell), thread: Some(thread), long, applied: 0 })
    }

    /// So many bytes were applied. True if the writer should make a checkpoint itself now.
    pub(super) fn applied(&mut self, bytes: usize) -> bool {
        self.applied += bytes;
        if self.applied >= DUE {
            self.applied = 0;
            // A full channel means that it rings already.
            let _ = self.bell.as_ref().map(|bell| bell.try_send(()));
        }
        self.long.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.bell = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(connection: &Connection, rings: &Receiver<()>, long: &AtomicBool) {
    while let Ok(()) = rings.recv() {
        let pages = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
        match pages {
            Ok(pages) if pages >= LOG_MAX => long.store(true, Ordering::Relaxed),
            Ok(_) => {}
            Err(error) => tracing::warn!("cannot move the log of the relay's store into it: {error}"),
        }
    }
}
