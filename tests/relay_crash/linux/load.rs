//! Those who send until they have a receipt, and those who take.

use super::client::{Client, Heard};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Messages of a sender without a receipt.
const WINDOW: usize = 16;
/// Messages that are acknowledged at once, at most.
const GROUP: usize = 16;
/// Before it is tried again to connect.
const AGAIN: Duration = Duration::from_millis(2);

/// A sandbox's session, held as its launcher does.
pub struct Session {
    pub name: String,
    pub socket: PathBuf,
    _lease: std::fs::File,
}

impl Session {
    pub fn open(host: &mut Client, name: &str) -> Self {
        let home = "/home/nobody";
        let root = format!("{home}/{name}");
        let opened = host.ask(&json!({"type": "open", "session": name, "root": root, "project": name, "home": home}));
        let path = |field: &str| Path::new(opened[field].as_str().expect("a path")).to_owned();
        let lease = std::fs::File::open(path("lease")).expect("it is there");
        rustix::fs::flock(&lease, rustix::fs::FlockOperation::LockShared).expect("it is free");
        let name = opened["session"].as_str().expect("a name").to_owned();
        Self { name, socket: path("directory").join("sock"), _lease: lease }
    }
}

/// One in so many texts is long: it is kept in the journal alone.
const LONG_ONE: u64 = 7;
const LONG: usize = 5000;

fn text(who: usize, number: u64) -> String {
    let more = if number.is_multiple_of(LONG_ONE) { LONG } else { 0 };
    format!("{who}:{number}:{}", "x".repeat(more))
}

/// What a sender came to.
#[derive(Default)]
pub struct Sent {
    /// Messages, each of which has a receipt.
    pub messages: u64,
    /// Receipts that said that it had been sent before.
    pub duplicates: u64,
    /// Times that it connected.
    pub connects: u64,
}

/// Sends the numbers from 1 on to the receivers in turn, until it is to stop and has all receipts. `who` is its own
/// number.
pub fn send(who: usize, session: &Session, receivers: &[Session], stop: &AtomicBool) -> Sent {
    let mut sent = Sent::default();
    let mut open: VecDeque<u64> = VecDeque::new();
    loop {
        let Some(mut client) = Client::connect(&session.socket) else {
            std::thread::sleep(AGAIN);
            continue;
        };
        sent.connects += 1;
        let say = |client: &mut Client, number: u64| {
            let (to, text) = (&receivers[number as usize % receivers.len()].name, text(who, number));
            let (id, tag) = (format!("m{number}"), number.to_string());
            client.say(&json!({"type": "send", "request": tag, "id": id, "to": to, "text": text}));
        };
        open.iter().for_each(|number| say(&mut client, *number));
        loop {
            while open.len() < WINDOW && !stop.load(Relaxed) {
                sent.messages += 1;
                open.push_back(sent.messages);
                say(&mut client, sent.messages);
            }
            if open.is_empty() {
                return sent;
            }
            match client.hear() {
                Heard::Line(answer) => {
                    assert!(answer.get("error").is_none(), "{answer}");
                    let number: u64 = answer["request"].as_str().and_then(|tag| tag.parse().ok()).expect("its tag");
                    let before = open.len();
                    open.retain(|open| *open != number);
                    assert_eq!(open.len() + 1, before, "two receipts on one connection: {answer}");
                    sent.duplicates += u64::from(answer["data"]["duplicate"] == true);
                }
                Heard::Nothing => {}
                Heard::Gone => break,
            }
        }
    }
}

/// What a receiver came to.
#[derive(Default)]
pub struct Taken {
    /// Each message by its id: who sent it, and its number.
    pub seen: HashMap<String, (usize, u64)>,
    /// The last number of each sender.
    last: HashMap<usize, u64>,
    /// Messages that came once more, because it was not on record that they were read.
    pub again: u64,
    /// Those of which that is on record: they must not come again.
    settled: HashSet<String>,
}

impl Taken {
    fn take(&mut self, message: &Value) -> String {
        let id = message["id"].as_str().expect("an id").to_owned();
        let said = message["text"].as_str().expect("a text");
        let mut words = said.split(':').map_while(|word| word.parse::<u64>().ok());
        let (who, number) = (words.next().expect("who") as usize, words.next().expect("which"));
        assert_eq!(said, text(who, number), "it comes as it was sent");
        assert!(!self.settled.contains(&id), "it was read, and comes again: {message}");
        match self.seen.insert(id.clone(), (who, number)) {
            Some(before) => {
                assert_eq!(before, (who, number), "one id, two messages: {message}");
                self.again += 1;
            }
            None => {
                let last = self.last.insert(who, number).unwrap_or(0);
                assert!(last < number, "{number} of {who} comes after {last}");
            }
        }
        id
    }
}

/// Takes messages, and says so, until it is over; `count` is how many were new.
pub fn receive(session: &Session, over: &AtomicBool, count: &AtomicU64) -> Taken {
    let mut taken = Taken::default();
    while !over.load(Relaxed) {
        let Some(mut client) = Client::connect(&session.socket) else {
            std::thread::sleep(AGAIN);
            continue;
        };
        client.say(&json!({"type": "subscribe"}));
        let (mut fresh, mut told, mut acks) = (Vec::new(), HashMap::new(), 0_u64);
        while !over.load(Relaxed) {
            match client.hear() {
                Heard::Line(line) if line["type"] == "message" => fresh.push(taken.take(&line)),
                Heard::Line(answer) => {
                    assert!(answer.get("error").is_none(), "{answer}");
                    if answer["query"] == "ack" {
                        let tag = answer["request"].as_str().expect("its tag");
                        taken.settled.extend(told.remove(tag).unwrap_or_else(Vec::new));
                    }
                }
                Heard::Nothing => {}
                Heard::Gone => break,
            }
            if fresh.len() >= GROUP || !fresh.is_empty() && !client.more() {
                acks += 1;
                client.say(&json!({"type": "ack", "request": acks.to_string(), "ids": fresh}));
                told.insert(acks.to_string(), std::mem::take(&mut fresh));
            }
            count.store(taken.seen.len() as u64, Relaxed);
        }
    }
    taken
}
