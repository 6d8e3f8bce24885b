//! What a relay that does nothing takes: threads and sockets, and the disk.

use super::disk::Log;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

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
