//! A daemon that finds a hundred thousand messages when it starts, or a tenth of them in the ordinary suite.

use super::client::{Client, Heard};
use super::daemon::{Home, resident};
use rcc::moment::Moment;
use rcc::relay::commit::{Commit, Haste};
use rcc::relay::event::{Event, Proof, Session};
use rcc::relay::name::{Address, Mailbox, Recipient, SessionName};
use rcc::relay::place::SESSION_SOCKET;
use rcc::relay::wire::{Kind, Message, Sender};
use rcc::relay::writer::{Writer, WriterConfig};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Messages for each kill that was asked for.
const EACH: u64 = 1000;
const RECEIVERS: u64 = 10;
/// Bytes of a text.
const SIZE: usize = 200;
/// KiB: what it needs for them is a count for each mailbox, and not they themselves.
const MEMORY: u64 = 48 << 10;
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// A session's socket, which lies where only its launcher was told.
fn socket(sessions: &Path, name: &str) -> PathBuf {
    let mut entries = std::fs::read_dir(sessions).expect("the sessions' directory").map(|entry| entry.expect("one"));
    let own = |name_of: &str| name_of.split_once('.').is_some_and(|(session, _)| session == name);
    let found = entries.find(|entry| entry.file_name().to_str().is_some_and(own));
    found.expect("the session's directory").path().join(SESSION_SOCKET)
}

pub fn prove(directory: &Path, kills: u32) {
    let messages = u64::from(kills) * EACH;
    let share = messages / RECEIVERS;
    let home = Home::new(directory);
    let place = home.place();
    fill(&WriterConfig::at(&place.store(), &place.audit(), MONTH), messages);
    let mut daemon = home.start();
    let time = home.listening(&mut daemon);
    let memory = resident(daemon.process());
    println!("{messages} messages wait: it listens after {} ms, with {memory} KiB resident", time.as_millis());
    assert!(memory < MEMORY);
    let receiver = socket(&place.sessions(), receiver(0).as_str());
    let mut client = Client::connect(&receiver).expect("it listens");
    assert_eq!(client.ask(&json!({"type": "subscribe"}))["waiting"], share);
    let mut last = 0;
    for _ in 0..share {
        let message = loop {
            match client.hear() {
                Heard::Line(line) => break line,
                Heard::Nothing => {}
                Heard::Gone => panic!("the relay is gone: {}", home.said()),
            }
        };
        let seq = message["seq"].as_u64().expect("a number");
        assert!(seq > last, "{seq} after {last}");
        last = seq;
    }
    let memory = resident(daemon.process());
    println!("  {share} of them were taken in order; {memory} KiB resident then");
    assert!(memory < MEMORY);
    daemon.kill(&home);
    std::fs::remove_file(place.store()).expect("it is there");
    let mut daemon = home.start();
    println!("  without its store it listens after {} ms", home.listening(&mut daemon).as_millis());
    let waiting = Client::connect(&receiver).expect("it listens").ask(&json!({"type": "subscribe"}));
    assert_eq!(waiting["waiting"], share, "nobody acknowledged them");
    assert!(daemon.stop(&home).success(), "{}", home.said());
}

fn receiver(number: u64) -> SessionName {
    format!("to-{number}").parse().expect("a name")
}

fn fill(config: &WriterConfig, messages: u64) {
    let (writer, _) = Writer::start(config.clone(), Box::new(|_| {})).expect("a writer");
    let commit = |event: Event| writer.commit(Commit { token: None, events: vec![event], haste: Haste::Lazy });
    let from: SessionName = "from".parse().expect("a name");
    let now = Moment::now();
    for name in (0..RECEIVERS).map(receiver).chain([from.clone()]) {
        let uid = rustix::process::geteuid().as_raw();
        let (user, opened, proof) = ("nobody".to_owned(), now, Proof::Socket);
        let session = Session { name, uid, user, project: None, root: None, home: None, proof, opened };
        commit(Event::Opened(session)).expect("it runs");
    }
    for seq in 1..=messages {
        let name = receiver(seq % RECEIVERS);
        let sender = Sender { session: from.clone(), project: None, user: "nobody".into(), uid: 65534, host: None };
        let message = Message {
            id: format!("m{seq}").parse().expect("a name"),
            from: sender,
            to: Address { to: Recipient::Session(name.clone()), host: None },
            kind: Kind::Message,
            text: format!("{seq:0SIZE$}"),
            reply_to: None,
            seq,
            accepted: now,
            expires: now.after(MONTH),
            schedule: None,
        };
        let mailboxes = vec![Mailbox::Session(name)];
        commit(Event::Accepted { message, mailboxes, next: None }).expect("it runs");
    }
    writer.finish().expect("it wrote all of it");
}
