//! What servers that have nothing to do keep resident.

use super::broker::{Broker, resident};
use super::jetstream::{JetStream, Sync};
use super::relay::Relay;
use super::table::{Table, mebibytes, ratio};
use rcc::relay::client::stream;
use rustix::process::{Resource, getrlimit};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const SESSIONS: u64 = 10_000;
/// Descriptors that a server has beside those of its sessions.
const OWN: u64 = 100;
/// KiB: what the project wants.
const IDLE: u64 = 15 << 10;
const FULL: u64 = 100 << 10;
/// Until what was begun has ended.
const REST: Duration = Duration::from_secs(2);

pub fn measure(directory: &Path, table: &mut Table, _rounds: usize) {
    let mut relay = Relay::start(&directory.join("relay"));
    let jetstream = JetStream::start(&directory.join("jetstream"), Sync::Default);
    std::thread::sleep(REST);
    let (ours, theirs) = (resident(relay.process()), resident(jetstream.process()));
    table.head("resident memory", ["", "", "", "of ours"]);
    table.row("rcc relay, idle", [&mebibytes(ours), "", "", ""]);
    table.row("nats-server with JetStream, idle", [&mebibytes(theirs), "", "", &ratio(theirs as f64, ours as f64)]);
    table.bar("idle, below 15 MiB", &mebibytes(ours), ours < IDLE);

    // Each takes two descriptors of the relay's, and this process may not have as many as it likes.
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let sessions = SESSIONS.min(most.saturating_sub(OWN) / 2);
    let start = Instant::now();
    let mut host = relay.host();
    let connections: Vec<UnixStream> = (0..sessions)
        .map(|_| {
            let (_, socket) = relay.open(&mut host);
            stream(&socket).expect("the relay listens")
        })
        .collect();
    let opening = start.elapsed().as_secs_f64() * 1e3 / sessions as f64;
    std::thread::sleep(REST);
    let full = resident(relay.process());
    let each = full.saturating_sub(ours) as f64 / sessions as f64;
    let all = ours + (each * SESSIONS as f64) as u64;
    let name = format!("rcc relay, {} idle sessions with a client each", connections.len());
    table.row(&name, [&mebibytes(full), &format!("{each:.1} KiB each"), &format!("{opening:.2} ms/open"), ""]);
    table.bar("with 10,000 of them, below 100 MiB", &mebibytes(all), all < FULL);
}
