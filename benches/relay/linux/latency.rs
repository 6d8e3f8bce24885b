//! From the moment that a message is written until its receiver has it, at a rate that sessions of people do not
//! exceed.

use super::broker::{Broker, Ear, Heard, Mouth};
use super::disk::syncs;
use super::hand_over::handed_over;
use super::jetstream::{JetStream, Sync};
use super::relay::Relay;
use super::table::{Table, median, micros, quantile, ratio};
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

const SESSIONS: usize = 30;
/// Between two messages of all sessions together: a thousand a second.
const APART: Duration = Duration::from_millis(1);
/// Messages of a round.
const MESSAGES: usize = 3000;
/// Bytes of a text.
const SIZE: usize = 100;
/// What the project wants.
const P50: Duration = Duration::from_micros(150);
const P99: Duration = Duration::from_millis(1);

pub fn measure(directory: &Path, table: &mut Table, rounds: usize) {
    let mut relay = Relay::start(&directory.join("relay"));
    let mut always = JetStream::start(&directory.join("always"), Sync::Always);
    let mut default = JetStream::start(&directory.join("default"), Sync::Default);
    let title = format!("sent to delivered, {SESSIONS} sessions, 1,000 messages/s, each acked");
    table.head(&title, ["p50", "p99", "p50/fsync", "p99/fsync"]);
    let mut results: [Quantiles; 6] = Default::default();
    for _ in 0..rounds {
        results[0].add(&syncs(directory, SIZE, 300, Duration::ZERO));
        results[1].add(&syncs(directory, SIZE, 1000, APART));
        results[2].add(&handed_over(directory, SIZE, 1000, APART));
        results[3].add(&round(&mut relay));
        results[4].add(&round(&mut always));
        results[5].add(&round(&mut default));
    }
    let names = [
        "a bare fdatasync, one after another".to_owned(),
        "a bare fdatasync, 1,000 a second".to_owned(),
        "that, by way of two threads and two sockets".to_owned(),
        "rcc relay".to_owned(),
        format!("JetStream, {}", always.how),
        format!("JetStream, {}", default.how),
    ];
    let bare = results[1].medians();
    for (name, result) in names.iter().zip(&results) {
        let (p50, p99) = result.medians();
        let of = |value: Duration, bare: Duration| ratio(value.as_secs_f64(), bare.as_secs_f64());
        table.row(name, [&micros(p50), &micros(p99), &of(p50, bare.0), &of(p99, bare.1)]);
    }
    let (p50, p99) = results[3].medians();
    table.bar(&format!("p50 below {}", micros(P50)), &micros(p50), p50 < P50);
    table.bar(&format!("p99 below {}", micros(P99)), &micros(p99), p99 < P99);
}

/// Of each round.
#[derive(Default)]
struct Quantiles {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Quantiles {
    fn add(&mut self, times: &[Duration]) {
        self.p50.push(quantile(times, 500).as_secs_f64());
        self.p99.push(quantile(times, 990).as_secs_f64());
    }

    fn medians(&self) -> (Duration, Duration) {
        (Duration::from_secs_f64(median(&self.p50)), Duration::from_secs_f64(median(&self.p99)))
    }
}

/// Each session writes to the next one, in turn.
fn round(broker: &mut dyn Broker) -> Vec<Duration> {
    let sessions = broker.sessions(SESSIONS, SIZE);
    let (mut mouths, ears): (Vec<_>, Vec<_>) = sessions.into_iter().unzip();
    let start = Instant::now();
    scope(|scope| {
        let listening = ears
            .into_iter()
            .map(|ear| scope.spawn(move || listen(ear, start, MESSAGES / SESSIONS, MESSAGES / SESSIONS)));
        let listening: Vec<_> = listening.collect();
        for number in 0..MESSAGES {
            sleep((start + APART * number as u32).saturating_duration_since(Instant::now()));
            let from = number % SESSIONS;
            say(&mut *mouths[from], (from + 1) % SESSIONS, start);
        }
        listening.into_iter().flat_map(|thread| thread.join().expect("it heard all of them")).collect()
    })
}

/// A text that says when it was written.
pub fn say(mouth: &mut dyn Mouth, to: usize, start: Instant) {
    mouth.say(to, &format!("{:0SIZE$}", start.elapsed().as_nanos()));
    mouth.flush();
}

/// How old each of so many messages was, beside so many receipts.
pub fn listen(mut ear: Box<dyn Ear>, start: Instant, count: usize, receipts: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count);
    let mut heard = 0;
    while times.len() < count || heard < receipts {
        if ear.hear() == Heard::Receipt {
            heard += 1;
            continue;
        }
        let now = start.elapsed();
        let said = std::str::from_utf8(ear.text()).expect("digits").parse().expect("nanoseconds");
        times.push(now - Duration::from_nanos(said));
        ear.acknowledge();
    }
    times
}
