//! What nothing durable can be faster than.

use rustix::fs::fdatasync;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Bytes that are appended before each wait, beside a message's own.
const AROUND: usize = 400;

/// A file of its own, as a log is one.
struct Log {
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
}

impl Log {
    fn begin(directory: &Path, size: usize) -> Self {
        let path = directory.join("bare");
        let file = File::create(&path).expect("the directory is ours");
        Self { path, file, bytes: vec![b'x'; size + AROUND] }
    }

    fn add(&mut self) {
        self.file.write_all(&self.bytes).expect("there is room");
    }

    fn sync(&self) {
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

/// Times from one thread by way of two others to a fourth, over sockets from and to the outer ones, of which the third
/// waits for the disk: what is left of a relay that does nothing.
pub fn handed_over(directory: &Path, size: usize, count: usize, apart: Duration) -> Vec<Duration> {
    let mut log = Log::begin(directory, size);
    let (mut from, reader) = UnixStream::pair().expect("sockets");
    let (mut writer, to) = UnixStream::pair().expect("sockets");
    let (ask, asked) = channel();
    let start = Instant::now();
    let word = |mut socket: &UnixStream| {
        let mut word = [0; 16];
        socket.read_exact(&mut word).expect("it comes");
        word
    };
    scope(|scope| {
        scope.spawn(move || (0..count).for_each(|_| ask.send(word(&reader)).expect("it is taken")));
        scope.spawn(move || {
            for word in asked {
                log.add();
                log.sync();
                writer.write_all(&word).expect("it is taken");
            }
        });
        let listening = scope.spawn(move || {
            let age = |_| {
                let said = Duration::from_nanos(u128::from_ne_bytes(word(&to)) as u64);
                start.elapsed() - said
            };
            (0..count).map(age).collect()
        });
        for _ in 0..count {
            sleep(apart);
            from.write_all(&start.elapsed().as_nanos().to_ne_bytes()).expect("it is taken");
        }
        listening.join().expect("it heard all of them")
    })
}
