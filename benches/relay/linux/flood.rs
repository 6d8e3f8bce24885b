//! One session does all that is refused, over as many connections as it may have, and another one goes on; also where
//! it does that to another relay: what is left then is the machine's.

use super::broker::{Broker, Session};
use super::latency::{listen, say};
use super::relay::Relay;
use super::table::{Table, median, micros, quantile};
use rcc::relay::client::stream;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Messages of the quiet one, and the pause between two.
const MESSAGES: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);
/// Connections of the loud one: as many as a session may have.
const CONNECTIONS: usize = 32;
/// What it says, over and over: what nobody gets, what is nobody's, what is no request, and the beginning of one.
const REFUSED: &[&[u8]] = &[
    b"{\"type\":\"send\",\"to\":\"nobody\",\"text\":\"x\"}\n",
    b"{\"type\":\"stop\"}\n",
    b"{\"type\":\"dance\"}\n",
    b"[[[[[[[[\n",
    b"\n",
];
const HALF: &[u8] = b"{\"type\":\"send\",\"to\":\"nobody\",\"text\":\"";
/// How many times as long the quiet one may wait.
const BAR: f64 = 2.0;

pub fn measure(directory: &Path, table: &mut Table, rounds: usize) {
    let mut relay = Relay::start(&directory.join("relay"));
    let mut other = Relay::start(&directory.join("other"));
    table.head("a quiet session beside a flood of refused requests", ["p50", "p99", "", "flood/s"]);
    let mut times: [Vec<Duration>; 3] = Default::default();
    let (mut rates, mut ratios) = ([0.0; 3], Vec::new());
    for _ in 0..rounds {
        let alone = quietly(&mut relay);
        let (_, elsewhere) = opened(&mut other);
        let (apart, to_other) = beside(&elsewhere, &mut relay);
        let (_, here) = opened(&mut relay);
        let (loudly, to_it) = beside(&here, &mut relay);
        rates = [0.0, to_other, to_it];
        ratios.push(quantile(&loudly, 990).as_secs_f64() / quantile(&alone, 990).as_secs_f64());
        times.iter_mut().zip([alone, apart, loudly]).for_each(|(all, round)| all.extend(round));
    }
    let names = ["alone", "beside a flood of another relay", "beside a flood of its own"];
    for ((name, times), rate) in names.iter().zip(&times).zip(rates) {
        let rate = if rate > 0.0 { format!("{rate:.0}") } else { String::new() };
        table.row(name, [&micros(quantile(times, 500)), &micros(quantile(times, 990)), "", &rate]);
    }
    let ratio = median(&ratios);
    table.bar("p99 beside it, at most twice that alone", &format!("{ratio:.2} x"), ratio <= BAR);
}

fn opened(relay: &mut Relay) -> (String, PathBuf) {
    let mut host = relay.host();
    relay.open(&mut host)
}

/// The quiet one's times beside a flood of that socket, and how many times a second that said something.
fn beside(loud: &Path, relay: &mut Relay) -> (Vec<Duration>, f64) {
    let (over, said, start) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
    let times = scope(|scope| {
        scope.spawn(|| flood(loud, &over, &said));
        sleep(Duration::from_millis(200));
        let times = quietly(relay);
        over.store(true, Relaxed);
        times
    });
    (times, said.load(Relaxed) as f64 / start.elapsed().as_secs_f64())
}

fn quietly(relay: &mut Relay) -> Vec<Duration> {
    let mut sessions = relay.sessions(2, 100);
    let (to, from): (Session, Session) = (sessions.pop().expect("two"), sessions.pop().expect("two"));
    let start = Instant::now();
    let (mut mouth, mut receipts) = from;
    scope(|scope| {
        let listening = scope.spawn(move || listen_only(to, start));
        for _ in 0..MESSAGES {
            say(&mut *mouth, 1, start);
            receipts.hear();
            sleep(PAUSE);
        }
        listening.join().expect("it heard all of them")
    })
}

fn listen_only((_mouth, ear): Session, start: Instant) -> Vec<Duration> {
    listen(ear, start, MESSAGES, 0)
}

/// Until it is over; whoever is thrown out comes again.
fn flood(socket: &Path, over: &AtomicBool, said: &AtomicU64) {
    let mut connections: Vec<Option<UnixStream>> = (0..CONNECTIONS).map(|_| None).collect();
    let (mut answers, mut number) = (vec![0; 64 << 10], 0_usize);
    while !over.load(Relaxed) {
        let before = said.load(Relaxed);
        for connection in &mut connections {
            let stream = connection.get_or_insert_with(|| {
                let stream = stream(socket).expect("the relay listens");
                stream.set_nonblocking(true).expect("a socket");
                stream
            });
            number += 1;
            let turn = number % (REFUSED.len() + 1);
            let words = REFUSED.get(turn).copied().unwrap_or(HALF);
            let gone = |result: std::io::Result<usize>| match result {
                Ok(count) => count == 0,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            let (wrote, read) = ((&*stream).write(words), (&*stream).read(&mut answers));
            said.fetch_add(u64::from(wrote.is_ok()), Relaxed);
            // Half of a line is left behind now and then, too.
            if gone(wrote) || gone(read) || number % 1000 == 0 {
                *connection = None;
            }
        }
        // The processor is for the relay, where that takes no more.
        if said.load(Relaxed) == before {
            sleep(PAUSE);
        }
    }
}
