//! What the hub asks of the writer, and what it hears: the seam between the one thread that decides and the
//! one that writes.

use super::event::{Event, Schedule, Session};
use super::name::{Mailbox, SessionName};
use super::wire::{Figures, Message, Refusal};
use crate::moment::Moment;
use std::collections::BTreeMap;

/// Names a commit to whoever submitted it.
pub type Token = u64;

/// What became of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is in the journal, on disk if that was asked for.
    Done,
    /// It holds a message that this sender had sent before, under the same id and with the same content: this
    /// one. Nothing was written.
    Known(Box<Message>),
    /// Nothing was written, and why.
    Refused(Refusal),
}

/// What waits in a mailbox: accepted, not read, not expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Messages.
    pub messages: u32,
    /// Bytes of their texts.
    pub bytes: u64,
}

/// A session as the store remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// As it was opened.
    pub session: Session,
    /// Whether it was closed since.
    pub closed: bool,
    /// A name for people.
    pub title: Option<String>,
    /// The client's own id.
    pub client_id: Option<String>,
    /// The context window.
    pub figures: Option<Figures>,
    /// The highest number of a message of its.
    pub last_seq: u64,
    /// When it was last heard of, as far as the journal knows.
    pub heard: Moment,
}

/// What the store holds when the daemon starts.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// Every session whose name must not be used again, the ended ones of the audit's retention included.
    pub sessions: BTreeMap<SessionName, Remembered>,
    /// What is to be sent later.
    pub schedules: Vec<Schedule>,
    /// What each session sent that waits, counted once for each mailbox.
    pub sent: BTreeMap<SessionName, Waiting>,
    /// Mailboxes in which something waits.
    pub waiting: BTreeMap<Mailbox, Waiting>,
    /// What was found wrong and mended on the way, for the log and for `status`.
    pub mended: Vec<String>,
}

/// How long the outcome of a commit may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Nobody waits for it, nor it for the disk: it is written with the next that is, or a moment later.
    Lazy,
    /// It waits for the disk, and may let others come along for a moment, so that messages on
    /// their way do not have to wait for its turn there, too.
    Patient,
    /// It waits for the disk, and a message waits for it.
    Urgent,
}

/// Something to write. Its events are applied together or not at all.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Comes back with the outcome; `None` where nobody waits.
    pub token: Option<Token>,
    /// In this order. At most one of them is [`Event::Accepted`].
    pub events: Vec<Event>,
    /// When its outcome is wanted.
    pub haste: Haste,
}
