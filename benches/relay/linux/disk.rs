//! What nothing durable can be faster than.

use rustix::fs::fdatasync;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes that are appended before each wait, beside a message's own.
const AROUND: usize = 400;

/// Times that fdatasync(2) takes after so many bytes were added to a file, as a log does it.
pub fn syncs(directory: &Path, size: usize, count: usize) -> Vec<Duration> {
    let path = directory.join("bare");
    let mut file = File::create(&path).expect("the directory is ours");
    let bytes = vec![b'x'; size + AROUND];
    let each = (0..count).map(|_| {
        file.write_all(&bytes).expect("there is room");
        let start = Instant::now();
        fdatasync(&file).expect("a disk");
        start.elapsed()
    });
    let times = each.collect();
    std::fs::remove_file(path).expect("it is ours");
    times
}
