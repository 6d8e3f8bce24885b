//! What the hub is told, and what it wants done.

use super::super::commit::{Commit, Token};
use super::super::name::{Mailbox, MessageId, SessionName};
use super::super::store::Debt;
use super::super::wire::answer::{Letter, Worktable};
use super::super::wire::{Message, Refusal, Reply, Sender};
use super::super::worktable::Change;
use super::{Connection, Work};
use crate::moment::Moment;
use std::path::PathBuf;
use std::time::Duration;

/// What the daemon does next, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Write this to a client.
    Write(Connection, Reply),
    /// Write this message to a client; several may get the same.
    Push(Connection, std::rc::Rc<[u8]>),
    /// Write what is left, then close.
    Close(Connection),
    /// Do not read from this one for a while: it asks too much.
    Pause(Connection, Duration),
    /// Give this to the writer.
    Commit(Commit),
    /// Ask the store.
    Ask(Token, Ask),
    /// Make a session's socket, and tell [`Hub::listening`].
    Listen(SessionName),
    /// Remove it.
    Unlisten(SessionName),
    /// The session's cache file is out of date.
    Show(SessionName),
    /// End the daemon.
    Stop,
}

/// What is asked of the store.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A message of this sender's, and where it went.
    Message {
        /// Which.
        id: MessageId,
        /// Whose.
        sender: SessionName,
    },
    /// Who sent the message that came to this mailbox.
    Received {
        /// Where.
        mailbox: Mailbox,
        /// Which.
        id: MessageId,
    },
    /// What lies in a mailbox.
    Inbox {
        /// Which.
        mailbox: Mailbox,
        /// At most so many, the oldest first.
        limit: u32,
        /// Beyond so many bytes of texts no more, but one at least.
        bytes: usize,
        /// Those after this one.
        after: Option<MessageId>,
        /// Those that were read, too.
        all: bool,
    },
    /// Which of these wait there.
    Waiting {
        /// Where.
        mailbox: Mailbox,
        /// Which.
        ids: Vec<MessageId>,
    },
    /// Everything that waits there.
    Whole(Mailbox),
    /// Messages whose time is over.
    Expired(Moment),
    /// How far the journal is.
    Journal,
    /// To change a worktable; no question, but it waits for the disk as they do.
    Document(Box<Work>),
}

/// What the store answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Ask::Message`], with the mailboxes that have or had it.
    Message(Option<(Message, Vec<Mailbox>)>),
    /// To [`Ask::Received`]: who sent it.
    Received(Option<Sender>),
    /// To [`Ask::Inbox`], and whether there is more.
    Inbox(Vec<Letter>, bool),
    /// To [`Ask::Waiting`] and [`Ask::Whole`].
    Waiting(Vec<Debt>),
    /// To [`Ask::Expired`]: one for each mailbox.
    Expired(Vec<(Debt, Mailbox)>),
    /// To [`Ask::Journal`]: the number of the last entry in the store.
    Journal(u64),
    /// To [`Ask::Document`].
    Document(Change),
    /// The store could not answer.
    Failed(Refusal),
}

/// What was made for a session.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its socket's directory.
    pub directory: PathBuf,
    /// The file that its launcher locks.
    pub lease: PathBuf,
    /// Its groups' worktables.
    pub groups: Vec<Worktable>,
}

/// Which socket a connection came in by, which is who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// A session's own.
    Session(SessionName),
    /// The one for the host's programs; a process of this uid.
    Shared {
        /// Of the process that connected.
        uid: u32,
        /// Its login name.
        user: String,
    },
}

/// What the daemon knows of itself.
#[derive(Clone, Debug)]
pub struct Own {
    /// The uid that it runs as.
    pub uid: u32,
    /// Whether it is the system's relay.
    pub system: bool,
    /// When it started.
    pub started: Moment,
    /// The directory of the audit.
    pub audit: PathBuf,
    /// Whether groups have worktables.
    pub worktables: bool,
    /// What was mended at the start.
    pub mended: Vec<String>,
}

/// Time as the hub needs it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By the host's clock.
    pub moment: Moment,
    /// Milliseconds by a clock that never goes back.
    pub ticks: u64,
}
