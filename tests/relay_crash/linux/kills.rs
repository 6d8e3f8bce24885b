//! Kills under load.

use super::Moments;
use super::client::Client;
use super::daemon::{Daemon, Home, PATIENCE};
use super::load::{Sent, Session, Taken, receive, send};
use rcc::journal::{Directory, Entries, Found};
use rcc::relay::event::Event;
use rcc::relay::store;
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

const SENDERS: usize = 4;
const RECEIVERS: usize = 3;
/// Milliseconds until a daemon is killed, at most: it may not have come to listen yet.
const LIFE: u64 = 500;
/// Until the last acknowledgements were answered.
const REST: Duration = Duration::from_millis(300);

pub fn prove(directory: &Path, kills: u32) {
    let home = Home::new(directory);
    let mut daemon = home.start();
    home.listening(&mut daemon);
    let mut host = Client::connect(&home.place().socket()).expect("it listens");
    let mut open = |kind: &str, count: usize| -> Vec<Session> {
        (0..count).map(|number| Session::open(&mut host, &format!("{kind}-{number}"))).collect()
    };
    let (senders, receivers) = (open("from", SENDERS), open("to", RECEIVERS));
    let start = Instant::now();
    let (daemon, sent, taken) = under_load(&home, daemon, kills, &senders, &receivers);
    let seconds = start.elapsed().as_secs();
    let connects: u64 = sent.iter().map(|sent| sent.connects).sum();
    println!(
        "{kills} kills in {seconds} s; {SENDERS} senders, which connected {connects} times; {RECEIVERS} receivers"
    );
    let messages = compare(&sent, &taken);
    assert!(daemon.stop(&home).success(), "{}", home.said());
    audit(&home, messages);
}

/// The daemon that is left, and what the others came to.
fn under_load(
    home: &Home,
    mut daemon: Daemon,
    kills: u32,
    senders: &[Session],
    receivers: &[Session],
) -> (Daemon, Vec<Sent>, Vec<Taken>) {
    let (stop, over) = (&AtomicBool::new(false), &AtomicBool::new(false));
    let counts: Vec<AtomicU64> = receivers.iter().map(|_| AtomicU64::new(0)).collect();
    scope(|scope| {
        let taking = receivers.iter().zip(&counts).map(|(to, count)| scope.spawn(move || receive(to, over, count)));
        let taking: Vec<_> = taking.collect();
        let sending = senders.iter().enumerate();
        let sending = sending.map(|(who, from)| scope.spawn(move || send(who, from, receivers, stop)));
        let sending: Vec<_> = sending.collect();
        let mut moments = Moments::new();
        for _ in 0..kills {
            sleep(moments.next(LIFE));
            daemon.kill(home);
            daemon = home.start();
        }
        home.listening(&mut daemon);
        stop.store(true, Relaxed);
        let sent: Vec<Sent> = joined(sending);
        let messages: u64 = sent.iter().map(|sent| sent.messages).sum();
        let deadline = Instant::now() + PATIENCE;
        while counts.iter().map(|count| count.load(Relaxed)).sum::<u64>() < messages && Instant::now() < deadline {
            sleep(Duration::from_millis(10));
        }
        sleep(REST);
        over.store(true, Relaxed);
        (daemon, sent, joined(taking))
    })
}

fn joined<T>(threads: Vec<ScopedJoinHandle<'_, T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().expect("it found nothing wrong")).collect()
}

/// Every number of every sender arrived where its turn was; that they came in order was seen on the way. How many
/// they are.
fn compare(sent: &[Sent], taken: &[Taken]) -> u64 {
    let messages: u64 = sent.iter().map(|sent| sent.messages).sum();
    let duplicates: u64 = sent.iter().map(|sent| sent.duplicates).sum();
    let new: u64 = taken.iter().map(|taken| taken.seen.len() as u64).sum();
    let again: u64 = taken.iter().map(|taken| taken.again).sum();
    println!("  {messages} messages have a receipt, {duplicates} of them only after they had been sent again");
    println!("  {new} arrived, in order; {again} came again and were told apart by their id");
    let arrived = taken.iter().map(|taken| taken.seen.values().copied().collect());
    let arrived: Vec<HashSet<(usize, u64)>> = arrived.collect();
    for (who, sent) in sent.iter().enumerate() {
        for number in 1..=sent.messages {
            assert!(arrived[number as usize % RECEIVERS].contains(&(who, number)), "{number} of {who} is lost");
        }
    }
    assert_eq!(new, messages, "each has one id");
    messages
}

/// The chain is whole, and has each message once.
fn audit(home: &Home, messages: u64) {
    let verified = home.rcc(&["relay", "audit", "--verify"]).output().expect("rcc is built");
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{said}{}", String::from_utf8_lossy(&verified.stderr));
    print!("  {said}");
    let directory = Directory::open(&home.place().audit()).expect("it is there");
    let mut ids = HashSet::new();
    for found in Entries::new(&directory, 0) {
        let Found::Entry(line) = found.expect("it can be read") else { continue };
        if let Event::Accepted { message, .. } = line.entry.event {
            assert!(ids.insert((message.from.session, message.id)), "one message twice in the journal");
        }
    }
    assert_eq!(ids.len() as u64, messages);
    let seen = store::head(&home.place().store()).expect("it can be read").expect("there is one");
    println!("  the journal has each message once, and the store all {} entries", seen.n);
}
