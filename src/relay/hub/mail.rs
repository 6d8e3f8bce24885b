//! Reading: the inbox, acknowledging, and subscriptions.
//!
//! A subscribed client gets what waits in pages, each when the one before has left, and then what comes as it
//! comes. One that reads too slowly goes back to pages, so that it costs no more memory than one page.

use super::super::commit::{Haste, Outcome};
use super::super::event::Event;
use super::super::name::{Mailbox, MessageId, SessionName};
use super::super::store::Debt;
use super::super::wire::answer::{Acked, Letter, Listed, Subscribed};
use super::super::wire::{Ack, Inbox, Reason, Refusal, Reply};
use super::{Answer, Ask, Connection, Effect, Head, Hub, Pending};

/// Messages of one page.
const PAGE: u32 = 100;
/// Bytes of its texts, beyond the first message.
pub(super) const PAGE_BYTES: usize = 1 << 20;
/// Bytes on their way to one client, beyond which it gets pages again: who takes what one sender may have on its way
/// at once as it comes does not fall behind, and pages are read from the disk.
const AHEAD_MAX: usize = 8 << 20;
/// Subscribed connections of one session: each may have a page and more on its way.
const SUBSCRIBERS_MAX: usize = 4;
/// Messages that one request acknowledges.
const ACKS_MAX: usize = 1000;

/// What a subscribed client has got so far.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// It has everything, so that it gets what comes as it comes.
    live: bool,
    /// A page was asked for.
    asked: bool,
    /// The last one that it got.
    last: Option<MessageId>,
    /// Bytes that have not left.
    ahead: usize,
}

impl Hub {
    pub(super) fn inbox(&mut self, head: &Head, session: SessionName, inbox: Inbox) -> Result<(), Refusal> {
        let mailbox = self.mailbox(&session)?;
        let Inbox { limit, after, all } = inbox;
        let limit = limit.unwrap_or(PAGE).clamp(1, PAGE);
        self.ask(Ask::Inbox { mailbox, limit, bytes: PAGE_BYTES, after, all }, Pending::Listed { head: head.clone() });
        Ok(())
    }

    pub(super) fn mailbox(&self, session: &SessionName) -> Result<Mailbox, Refusal> {
        self.members.get(session).map(super::Member::mailbox).ok_or_else(|| super::send::unknown(session))
    }

    pub(super) fn listed(&mut self, head: &Head, answer: Answer) {
        match answer {
            Answer::Inbox(messages, more) => self.answer(head, Listed { messages, more }),
            Answer::Failed(refusal) => self.fail(head, refusal),
            _ => {}
        }
    }

    pub(super) fn ack(&mut self, head: &Head, session: SessionName, ack: Ack) -> Result<(), Refusal> {
        let mailbox = self.mailbox(&session)?;
        if ack.ids.len() > ACKS_MAX {
            let why = format!("at most {ACKS_MAX} messages are acknowledged at once");
            return Err(Refusal::new(Reason::TooLarge, why));
        }
        let mut ids = ack.ids;
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| self.begin_ack(&mailbox, id));
        let ask = Ask::Waiting { mailbox: mailbox.clone(), ids: ids.clone() };
        self.ask(ask, Pending::Acking { head: head.clone(), mailbox, ids });
        Ok(())
    }

    pub(super) fn acking(&mut self, head: &Head, mailbox: Mailbox, ids: Vec<MessageId>, answer: Answer) {
        let debts = match answer {
            Answer::Waiting(debts) => debts,
            Answer::Failed(refusal) => {
                self.forget_acks(&mailbox, ids.iter());
                return self.fail(head, refusal);
            }
            _ => Vec::new(),
        };
        let waits = |id: &MessageId| debts.iter().any(|debt| debt.id == *id);
        let others: Vec<MessageId> = ids.into_iter().filter(|id| !waits(id)).collect();
        self.forget_acks(&mailbox, others.iter());
        if debts.is_empty() {
            return self.answer(head, Acked { acked: 0 });
        }
        let read = debts.iter().map(|debt| debt.id.clone()).collect();
        let event = Event::Read { mailbox: mailbox.clone(), ids: read };
        // The reader has them; nobody else waits for that.
        self.submit(vec![event], Pending::Acked { head: head.clone(), mailbox, debts }, Haste::Patient);
    }

    pub(super) fn acked(&mut self, head: &Head, mailbox: Mailbox, debts: Vec<Debt>, outcome: Outcome) {
        self.forget_acks(&mailbox, debts.iter().map(|debt| &debt.id));
        if let Outcome::Refused(refusal) = outcome {
            return self.fail(head, refusal);
        }
        for debt in &debts {
            self.release(debt.own_sender(), &mailbox, debt.bytes);
        }
        self.answer(head, Acked { acked: debts.len() as u32 });
    }

    /// Marks a message as being read; whether it was not already.
    pub(super) fn begin_ack(&mut self, mailbox: &Mailbox, id: &MessageId) -> bool {
        self.acking.insert((mailbox.clone(), id.clone()))
    }

    fn forget_acks<'a>(&mut self, mailbox: &Mailbox, ids: impl Iterator<Item = &'a MessageId>) {
        for id in ids {
            self.acking.remove(&(mailbox.clone(), id.clone()));
        }
    }

    pub(super) fn subscribe(&mut self, head: &Head, session: SessionName) -> Result<(), Refusal> {
        let mailbox = self.mailbox(&session)?;
        self.check_only_bridge(head.connection, &session)?;
        let subscribed = |peer: &super::Peer| peer.session == session && peer.subscription.is_some();
        let others = self.peers.iter().filter(|(other, peer)| **other != head.connection && subscribed(peer)).count();
        if others >= SUBSCRIBERS_MAX {
            let why = format!("{session} has {others} subscribed connections: close some of them");
            return Err(Refusal::new(Reason::Quota, why));
        }
        let waiting = self.waiting.get(&mailbox).map_or(0, |waiting| waiting.messages);
        self.answer(head, Subscribed { waiting });
        if let Some(peer) = self.peers.get_mut(&head.connection) {
            // Who asks twice goes on where it is: each page is read from the disk.
            peer.subscription.get_or_insert_default();
        }
        self.pump(head.connection);
        Ok(())
    }

    /// Asks for the next page, if this client waits for one and the last one has left.
    fn pump(&mut self, connection: Connection) {
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        let Some(subscription) = &mut peer.subscription else { return };
        if subscription.live || subscription.asked || subscription.ahead > AHEAD_MAX / 2 {
            return;
        }
        subscription.asked = true;
        let after = subscription.last.clone();
        let session = peer.session.clone();
        let Some(mailbox) = self.members.get(&session).map(super::Member::mailbox) else { return };
        self.ask(
            Ask::Inbox { mailbox, limit: PAGE, bytes: PAGE_BYTES, after, all: false },
            Pending::Pumped { connection, session },
        );
    }

    pub(super) fn pumped(&mut self, connection: Connection, session: &SessionName, answer: Answer) {
        // It may have become that of another session meanwhile.
        let peer = self.peers.get_mut(&connection).filter(|peer| peer.session == *session);
        let Some(peer) = peer else { return };
        let Some(subscription) = &mut peer.subscription else { return };
        subscription.asked = false;
        let (page, more) = match answer {
            Answer::Inbox(page, more) => (page, more),
            // It asks again when it comes back.
            _ => return self.effects.push(Effect::Close(connection)),
        };
        subscription.live = !more;
        let Some(mailbox) = self.members.get(&peer.session).map(super::Member::mailbox) else { return };
        for Letter { message, delivered, .. } in page {
            if delivered.is_none() {
                self.delivered.entry(mailbox.clone()).or_default().push(message.id.clone());
            }
            let id = message.id.clone();
            let line: std::rc::Rc<[u8]> = Reply::Message(message).line().into();
            self.pushed(connection, &id, line.len());
            self.effects.push(Effect::Push(connection, line));
        }
        self.pump(connection);
    }

    /// The clients that get what comes to this mailbox as it comes.
    pub(super) fn subscribers(&self, mailbox: &Mailbox) -> Vec<Connection> {
        let session = match mailbox {
            Mailbox::Session(name) => Some(name.clone()),
            Mailbox::User(uid) => Some(super::register::person_name(*uid)),
            Mailbox::Cluster => Some(super::cluster::bridge_name()),
            Mailbox::Project(..) => None,
        };
        let Some(member) = session.and_then(|name| self.members.get(&name)) else { return Vec::new() };
        let live = |connection: &&Connection| {
            self.peers.get(connection).and_then(|peer| peer.subscription.as_ref()).is_some_and(|to| to.live)
        };
        member.connections.iter().filter(live).copied().collect()
    }

    /// A message is on its way to a client.
    pub(super) fn pushed(&mut self, connection: Connection, id: &MessageId, bytes: usize) {
        let Some(subscription) = self.peers.get_mut(&connection).and_then(|peer| peer.subscription.as_mut()) else {
            return;
        };
        subscription.last = Some(id.clone());
        subscription.ahead += bytes;
        if subscription.ahead > AHEAD_MAX {
            subscription.live = false;
        }
    }

    /// A client has taken this many bytes of messages.
    pub fn left(&mut self, connection: Connection, bytes: usize) {
        let Some(subscription) = self.peers.get_mut(&connection).and_then(|peer| peer.subscription.as_mut()) else {
            return;
        };
        subscription.ahead = subscription.ahead.saturating_sub(bytes);
        self.pump(connection);
    }
}
