//! The vocabulary of the tests of store and writer.

use crate::journal::{Journal, Sizes};
use crate::moment::Moment;
use crate::relay::event::{Event, Proof, Schedule, Session};
use crate::relay::name::{Mailbox, SessionName};
use crate::relay::wire::{Kind, Message, Sender};
use std::path::Path;

pub fn session(name: &str) -> Session {
    Session {
        name: name.parse().unwrap(),
        uid: 1000,
        user: "ann".into(),
        project: Some("api".parse().unwrap()),
        root: Some("/p/api".into()),
        home: None,
        proof: Proof::Socket,
        opened: Moment(1),
    }
}

pub fn mailbox(session: &str) -> Mailbox {
    Mailbox::Session(session.parse().unwrap())
}

pub fn project() -> Mailbox {
    Mailbox::Project(1000, "api".parse().unwrap())
}

pub fn message(from: &str, id: &str, to: &str, seq: u64) -> Message {
    Message {
        id: id.parse().unwrap(),
        from: Sender {
            session: from.parse().unwrap(),
            project: Some("api".parse().unwrap()),
            user: "ann".into(),
            uid: 1000,
            host: None,
        },
        to: to.parse().unwrap(),
        kind: Kind::Prompt,
        text: format!("text of {id}"),
        reply_to: None,
        seq,
        accepted: Moment(seq),
        expires: Moment(u64::MAX),
        schedule: None,
    }
}

/// A message to a session.
pub fn sent(from: &str, id: &str, to: &str, seq: u64) -> Event {
    Event::Accepted { message: message(from, id, to, seq), mailboxes: vec![mailbox(to)], next: None }
}

pub fn read(of: &str, id: &str) -> Event {
    Event::Read { mailbox: mailbox(of), ids: vec![id.parse().unwrap()] }
}

pub fn closed(session: &str) -> Event {
    Event::Closed { session: session.parse().unwrap(), why: "over".into() }
}

pub fn schedule(id: &str, of: &SessionName, next: u64) -> Schedule {
    Schedule {
        id: id.parse().unwrap(),
        session: of.clone(),
        to: "b".parse().unwrap(),
        kind: Kind::Message,
        text: "later".into(),
        next: Moment(next),
        every: None,
    }
}

pub fn journal(dir: &Path) -> Journal {
    Journal::open::<Event>(&dir.join("audit"), Sizes::default()).unwrap().0
}
