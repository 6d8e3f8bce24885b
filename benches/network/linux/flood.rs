//! One sandbox asks as fast as it can, and another asks now and then.

use super::client::{ask, query, socket, under};
use super::machine::{Load, Machine, Service};
use super::table::{Table, p99, ratio};
use rcc::resolver::Config;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// Questions of the quiet one, and the pause between two.
const QUESTIONS: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(2);

/// What the loud one asks for.
#[derive(Clone, Copy)]
enum Flood {
    Nothing,
    /// Always the same.
    Cached,
    /// Names that the host's own resolver has to be asked for.
    New,
    /// What is no question at all.
    Garbage,
}

pub fn measure(machine: &Machine, table: &mut Table, _rounds: usize) {
    machine.write(Load::Many);
    let _service = Service::start(machine);
    let (quiet, loud) = (machine.identity("public", 0), machine.identity("public", 1));
    let alone = one(table, (quiet, loud), Flood::Nothing, "alone");
    for (flood, name) in [
        (Flood::Cached, "beside a flood of one name"),
        (Flood::New, "beside a flood of new names"),
        (Flood::Garbage, "beside a flood of garbage"),
    ] {
        let times = one(table, (quiet, loud), flood, name);
        let ratio = ratio(p99(&times), p99(&alone));
        table.line("    ratio", "", &format!("{ratio:.1}"), "", None);
    }
}

fn one(table: &mut Table, (quiet, loud): (u32, u32), flood: Flood, name: &str) -> Vec<Duration> {
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let (times, lost) = scope(|scope| {
        scope.spawn(|| under(loud, || shout(flood, &over, &sent)));
        let result = under(quiet, questions);
        over.store(true, Relaxed);
        result
    });
    let rate = sent.load(Relaxed) as f64 / start.elapsed().as_secs_f64();
    table.times(&format!("a cached name of a quiet sandbox, {name}"), &times);
    if !matches!(flood, Flood::Nothing) {
        table.value("    of the flood", &format!("{:.0} k/s", rate / 1e3));
    }
    if lost > 0 {
        table.held("    questions without an answer", &lost.to_string(), "none", false);
    }
    times
}

/// Times to answers, and how many questions had none.
fn questions() -> (Vec<Duration>, usize) {
    let (socket, query) = (socket(Config::ADDRESS), query("n1.example.com"));
    let mut times = Vec::new();
    for _ in 0..QUESTIONS {
        let start = Instant::now();
        if ask(&socket, &query).is_some() {
            times.push(start.elapsed());
        }
        sleep(PAUSE);
    }
    let lost = QUESTIONS - times.len();
    (times, lost)
}

fn shout(flood: Flood, over: &AtomicBool, sent: &AtomicU64) {
    let socket = socket(Config::ADDRESS);
    let mut number = 0_u64;
    while !over.load(Relaxed) {
        let bytes = match flood {
            Flood::Nothing => return,
            Flood::Cached => query("n2.example.com"),
            Flood::New => query(&format!("f{number}.example.net")),
            Flood::Garbage => vec![0xff; 40],
        };
        // A full buffer is what a flood wants.
        let _ = socket.send(&bytes);
        number += 1;
        sent.store(number, Relaxed);
    }
}
