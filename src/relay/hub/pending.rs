//! Requests that wait for the disk.

use super::super::commit::{Commit, Haste, Token};
use super::super::event::{Event, Schedule};
use super::super::name::{GroupName, Mailbox, MessageId, ScheduleId, SessionName};
use super::super::store::Debt;
use super::super::wire::{Message, Respond};
use super::mail::PAGE_BYTES;
use super::{Ask, Connection, Effect, Head, Hub, Work};

/// Bytes that the reading of one message takes on its way: its id and its mailbox, several times.
const ACK_BYTES: usize = 512;

/// A request that waits for the writer.
#[derive(Debug)]
pub(super) enum Pending {
    Sent {
        head: Head,
        message: Box<Message>,
        mailboxes: Vec<Mailbox>,
    },
    /// Sent again with a number that was used before: it must be known.
    Again {
        head: Head,
        id: MessageId,
    },
    Fired {
        message: Box<Message>,
        mailboxes: Vec<Mailbox>,
        schedule: Box<Schedule>,
    },
    Opened {
        head: Head,
        session: SessionName,
    },
    Registered {
        head: Head,
        session: SessionName,
        secret: Option<String>,
    },
    Answered {
        head: Head,
        data: serde_json::Value,
    },
    Scheduled {
        head: Head,
        schedule: Box<Schedule>,
    },
    Cancelled {
        head: Head,
        id: ScheduleId,
    },
    Replying {
        head: Head,
        respond: Box<Respond>,
    },
    Listed {
        head: Head,
    },
    Acking {
        head: Head,
        mailbox: Mailbox,
        ids: Vec<MessageId>,
    },
    Acked {
        head: Head,
        mailbox: Mailbox,
        debts: Vec<Debt>,
    },
    Pumped {
        connection: Connection,
        session: SessionName,
    },
    Closing {
        session: SessionName,
        why: String,
        head: Option<Head>,
    },
    Closed {
        session: SessionName,
        head: Option<Head>,
    },
    Expiring,
    Status {
        head: Head,
    },
    Recorded {
        head: Head,
        work: Box<Work>,
    },
    Worked {
        head: Head,
        group: GroupName,
    },
    Dropped {
        debts: Vec<(Debt, Mailbox)>,
    },
}

impl Pending {
    /// Whose request it is, and the bytes that it holds, or that its answer will.
    fn load(&self) -> Option<(Connection, usize)> {
        let (head, bytes) = match self {
            Self::Sent { head, message, .. } => (head, message.text.len()),
            Self::Scheduled { head, schedule } => (head, schedule.text.len()),
            Self::Replying { head, respond } => (head, respond.text.len()),
            Self::Listed { head } => (head, PAGE_BYTES),
            Self::Acking { head, ids, .. } => (head, ids.len() * ACK_BYTES),
            Self::Acked { head, debts, .. } => (head, debts.len() * ACK_BYTES),
            Self::Recorded { head, work } => (head, work.text.as_ref().map_or(0, String::len)),
            Self::Worked { head, .. }
            | Self::Again { head, .. }
            | Self::Opened { head, .. }
            | Self::Registered { head, .. }
            | Self::Answered { head, .. }
            | Self::Cancelled { head, .. }
            | Self::Status { head }
            | Self::Closing { head: Some(head), .. }
            | Self::Closed { head: Some(head), .. } => (head, 0),
            Self::Fired { .. }
            | Self::Pumped { .. }
            | Self::Closing { head: None, .. }
            | Self::Closed { head: None, .. }
            | Self::Expiring
            | Self::Dropped { .. } => return None,
        };
        Some((head.connection, bytes))
    }
}

impl Hub {
    /// What waited under this token. Its client may have one more on the way.
    pub(super) fn settle(&mut self, token: Token) -> Option<Pending> {
        let pending = self.pending.remove(&token)?;
        if let Some((connection, bytes)) = pending.load()
            && let Some(peer) = self.peers.get_mut(&connection)
        {
            peer.in_flight = peer.in_flight.saturating_sub(1);
            peer.in_flight_bytes = peer.in_flight_bytes.saturating_sub(bytes);
        }
        Some(pending)
    }

    pub(super) fn begin(&mut self, pending: Pending) -> Token {
        if let Some((connection, bytes)) = pending.load()
            && let Some(peer) = self.peers.get_mut(&connection)
        {
            peer.in_flight += 1;
            peer.in_flight_bytes += bytes;
        }
        self.tokens += 1;
        self.pending.insert(self.tokens, pending);
        self.tokens
    }

    pub(super) fn commit(&mut self, events: Vec<Event>, pending: Pending) {
        self.submit(events, pending, Haste::Urgent);
    }

    pub(super) fn submit(&mut self, events: Vec<Event>, pending: Pending, haste: Haste) {
        let token = Some(self.begin(pending));
        self.effects.push(Effect::Commit(Commit { token, events, haste }));
    }

    /// Writes what nobody waits for.
    pub(super) fn record(&mut self, events: Vec<Event>) {
        self.effects.push(Effect::Commit(Commit { token: None, events, haste: Haste::Lazy }));
    }

    pub(super) fn ask(&mut self, ask: Ask, pending: Pending) {
        let token = self.begin(pending);
        self.effects.push(Effect::Ask(token, ask));
    }
}
