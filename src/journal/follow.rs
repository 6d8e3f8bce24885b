//! Reading a journal as it grows.

use super::Recorded;
use super::files::Directory;
use super::reader::{Cursor, Found};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at the end of the journal. People watch it.
const INTERVAL: Duration = Duration::from_millis(200);

/// A reader that waits at the end.
#[derive(Debug)]
pub struct Follow<E> {
    directory: Directory,
    cursor: Cursor<E>,
}

impl<E: Recorded> Follow<E> {
    /// From entry `from` on, the first of which may be in the future.
    ///
    /// # Errors
    /// If the directory cannot be opened.
    pub fn new(path: &Path, from: u64) -> io::Result<Self> {
        Ok(Self { directory: Directory::open(path)?, cursor: Cursor::new(from) })
    }

    /// The next entry or fault; `None` if none came in this time.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn next(&mut self, time: Duration) -> io::Result<Option<Found<E>>> {
        let end = Instant::now() + time;
        loop {
            if let Some(found) = self.cursor.next(&self.directory)? {
                return Ok(Some(found));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(left.min(INTERVAL));
        }
    }
}
