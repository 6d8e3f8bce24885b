//! What nothing durable can be faster than.

use rustix::fs::fdatasync;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Bytes that are appended before each wait, beside a message's own.
const AROUND: usize = 400;

/// A file of its own, as a log is one.
pub struct Log {
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
}

impl Log {
    /// An empty one.
    pub fn begin(directory: &Path, size: usize) -> Self {
        let path = directory.join("bare");
        let file = File::create(&path).expect("the directory is ours");
        Self { path, file, bytes: vec![b'x'; size + AROUND] }
    }

    /// Adds to it.
    pub fn add(&mut self) {
        self.file.write_all(&self.bytes).expect("there is room");
    }

    /// Waits for the disk.
    pub fn sync(&self) {
        fdatasync(&self.file).expect("a disk");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).expect("it is ours");
    }
}

/// Times that fdatasync(2) takes after so many bytes were added to a file, and so long after the one before: a
/// processor and a disk that were idle take longer.
pub fn syncs(directory: &Path, size: usize, count: usize, apart: Duration) -> Vec<Duration> {
    let mut log = Log::begin(directory, size);
    let each = (0..count).map(|_| {
        sleep(apart);
        log.add();
        let start = Instant::now();
        log.sync();
        start.elapsed()
    });
    each.collect()
}
