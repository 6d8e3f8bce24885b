//! What came in and waits to be read, in memory.

use super::super::name::{MessageId, SessionName};
use super::super::wire::answer::{Letter, Listed, Sent};
use super::super::wire::{Inbox as Ask, Message, Reason, Refusal};
use super::ends::remember;
use super::plan::Limits;
use crate::moment::Moment;
use std::collections::VecDeque;
use std::rc::Rc;

/// Messages of one page.
const PAGE: usize = 100;
/// Bytes of its texts, beyond the first message.
const PAGE_BYTES: usize = 1 << 20;

struct Waiting {
    order: u64,
    pair: usize,
    message: Rc<Message>,
}

/// A message that came, by its id: who sent it, and what that was told.
struct Known {
    id: MessageId,
    sender: SessionName,
    sent: Sent,
}

/// The inbox of one sandbox.
pub(super) struct Inbox {
    session: SessionName,
    limits: Limits,
    waiting: VecDeque<Waiting>,
    bytes: u64,
    order: u64,
    known: VecDeque<Known>,
}

impl Inbox {
    pub(super) fn new(session: SessionName, limits: Limits) -> Self {
        Self { session, limits, waiting: VecDeque::new(), bytes: 0, order: 0, known: VecDeque::new() }
    }

    /// What the sender of this message was told, if it came before.
    pub(super) fn known(&self, id: &MessageId) -> Option<&Sent> {
        self.known.iter().find(|known| known.id == *id).map(|known| &known.sent)
    }

    /// Who sent a message that came.
    pub(super) fn sender(&self, id: &MessageId) -> Option<&SessionName> {
        self.known.iter().find(|known| known.id == *id).map(|known| &known.sender)
    }

    /// Whether there is room for a text of so many bytes.
    pub(super) fn check_room(&self, bytes: usize) -> Result<(), Refusal> {
        let full = self.waiting.len() >= self.limits.waiting as usize
            || self.bytes.saturating_add(bytes as u64) > self.limits.waiting_bytes;
        if full {
            let why = format!("{} messages wait for {}", self.waiting.len(), self.session);
            return Err(Refusal::new(Reason::Quota, format!("{why}: it takes more when it has read some")));
        }
        Ok(())
    }

    /// Adds a message; the receipt for it.
    pub(super) fn keep(&mut self, pair: usize, message: Message) -> Sent {
        let Message { id, seq, accepted, .. } = &message;
        let sent =
            Sent { id: id.clone(), seq: *seq, accepted: *accepted, recipients: 1, duplicate: false, direct: true };
        let known = Known { id: id.clone(), sender: message.from.session.clone(), sent: sent.clone() };
        remember(&mut self.known, known);
        self.bytes += message.text.len() as u64;
        self.order += 1;
        self.waiting.push_back(Waiting { order: self.order, pair, message: Rc::new(message) });
        sent
    }

    /// Messages that wait, the oldest first.
    pub(super) fn list(&mut self, ask: &Ask, now: Moment) -> Listed {
        self.expire(now);
        let limit = ask.limit.map_or(PAGE, |limit| limit as usize).clamp(1, PAGE);
        let after = ask.after.as_ref().and_then(|id| self.waiting.iter().find(|it| it.message.id == *id));
        let after = after.map_or(0, |waiting| waiting.order);
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for waiting in self.waiting.iter().filter(|waiting| waiting.order > after) {
            bytes += waiting.message.text.len();
            if messages.len() == limit || (!messages.is_empty() && bytes > PAGE_BYTES) {
                return Listed { messages, more: true };
            }
            messages.push(Letter { message: (*waiting.message).clone(), delivered: None, read: None });
        }
        Listed { messages, more: false }
    }

    /// The first that came after this one.
    pub(super) fn next(&self, order: u64) -> Option<(u64, Rc<Message>)> {
        let next = self.waiting.iter().find(|waiting| waiting.order > order)?;
        Some((next.order, next.message.clone()))
    }

    /// How many wait.
    pub(super) fn count(&self) -> u32 {
        self.waiting.len() as u32
    }

    /// These were read; those of them that had waited, with their pairs.
    pub(super) fn read(&mut self, ids: &[MessageId]) -> Vec<(usize, MessageId)> {
        self.take(|waiting| ids.contains(&waiting.message.id))
    }

    /// Drops what waited for too long.
    pub(super) fn expire(&mut self, now: Moment) {
        self.take(|waiting| waiting.message.expires <= now);
    }

    fn take(&mut self, is_meant: impl Fn(&Waiting) -> bool) -> Vec<(usize, MessageId)> {
        let mut taken = Vec::new();
        let bytes = &mut self.bytes;
        self.waiting.retain(|waiting| {
            let meant = is_meant(waiting);
            if meant {
                *bytes -= waiting.message.text.len() as u64;
                taken.push((waiting.pair, waiting.message.id.clone()));
            }
            !meant
        });
        taken
    }
}
