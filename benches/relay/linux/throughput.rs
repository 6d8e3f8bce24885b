//! One session sends to another as fast as receipts allow.

use super::broker::{Broker, Heard, Session, processor_time};
use super::disk::syncs;
use super::jetstream::{JetStream, Sync, version};
use super::relay::Relay;
use super::table::{Table, median, micros, quantile, ratio};
use std::path::Path;
use std::time::{Duration, Instant};

/// Messages without a receipt.
const WINDOW: usize = 64;
/// Messages that are acknowledged at once.
const GROUP: usize = 32;
/// Bytes of a text, and messages of one round.
const SIZES: [(&str, usize, usize); 3] = [("100 B", 100, 4000), ("4 KiB", 4 << 10, 2000), ("256 KiB", 256 << 10, 100)];

/// What a round came to.
struct Round {
    /// Messages a second.
    rate: f64,
    /// Seconds of the server's processor time for one.
    each: f64,
}

pub fn measure(directory: &Path, table: &mut Table, rounds: usize) {
    let mut relay = Relay::start(&directory.join("relay"));
    let mut always = JetStream::start(&directory.join("always"), Sync::Always);
    let mut default = JetStream::start(&directory.join("default"), Sync::Default);
    let columns = ["msg/s", "MB/s", "CPU/msg", "of ours"];
    table.head(&format!("durable, one to one, {WINDOW} in flight ({})", version()), columns);
    let names = ["rcc relay".to_owned(), format!("JetStream, {}", always.how), format!("JetStream, {}", default.how)];
    for (label, size, count) in SIZES {
        let text = text(size);
        let mut bare = Vec::new();
        let mut results: [Vec<Round>; 3] = Default::default();
        for _ in 0..rounds {
            bare.extend(syncs(directory, size, 100, Duration::ZERO));
            results[0].push(round(&mut relay, &text, count));
            results[1].push(round(&mut always, &text, count));
            results[2].push(round(&mut default, &text, count));
        }
        let wait = format!("p50 {} p99 {}", micros(quantile(&bare, 500)), micros(quantile(&bare, 990)));
        table.row(&format!("{label}; a bare fdatasync: {wait}"), [""; 4]);
        let rate = |rounds: &[Round]| median(&rounds.iter().map(|round| round.rate).collect::<Vec<_>>());
        let ours = rate(&results[0]);
        for (name, rounds) in names.iter().zip(&results) {
            let (rate, each) = (rate(rounds), median(&rounds.iter().map(|round| round.each).collect::<Vec<_>>()));
            let bytes = format!("{:.1}", rate * size as f64 / 1e6);
            let each = micros(Duration::from_secs_f64(each));
            table.row(&format!("  {name}"), [&format!("{rate:.0}"), &bytes, &each, &ratio(rate, ours)]);
        }
        let theirs = rate(&results[1]);
        table.bar(&format!("{label}: at least JetStream's"), &ratio(ours, theirs), ours >= theirs);
    }
}

/// Lines of words, as messages are.
fn text(size: usize) -> String {
    let line = "The build of \"api\" is green again; see the log for what was slow about it.\n";
    line.chars().cycle().take(size).collect()
}

fn round(broker: &mut dyn Broker, text: &str, count: usize) -> Round {
    let process = broker.process();
    let mut sessions = broker.sessions(2, text.len());
    let (to, from) = (sessions.pop().expect("two"), sessions.pop().expect("two"));
    let (before, start) = (processor_time(process), Instant::now());
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(to, count));
        send(from, text, count);
        receiver.join().expect("it got all of them");
    });
    let seconds = start.elapsed().as_secs_f64();
    Round { rate: count as f64 / seconds, each: (processor_time(process) - before) / count as f64 }
}

fn send((mut mouth, mut ear): Session, text: &str, count: usize) {
    let (mut sent, mut receipts) = (0, 0);
    while receipts < count {
        while sent < count && sent - receipts < WINDOW {
            mouth.say(1, text);
            sent += 1;
        }
        mouth.flush();
        loop {
            assert_eq!(ear.hear(), Heard::Receipt);
            receipts += 1;
            if receipts == sent || !ear.more() {
                break;
            }
        }
    }
}

/// Takes them all, and says so of groups.
fn receive((_mouth, mut ear): Session, count: usize) {
    for number in 1..=count {
        assert_eq!(ear.hear(), Heard::Message);
        if number % GROUP == 0 || number == count {
            ear.acknowledge();
        }
    }
}
