//! Takes messages and hands them over, each once.

use super::ledger::Ledger;
use super::post::Post;
use super::present;
use crate::relay::client::ClientError;
use crate::relay::name::MessageId;
use crate::relay::wire::answer::{Acked, Letter, Listed};
use crate::relay::wire::{Ack, Inbox as Ask, Message, Request};
use std::collections::VecDeque;

/// How many are listed at once: the relay gives no more.
const PAGE: u32 = 100;
/// How many of those that wait are looked at: many may have been announced before the first that is new. No more
/// than are acknowledged at once.
const LOOKED_AT: usize = 1000;
/// How many are looked at for the latest of all: as many as may wait where nothing else is configured.
const ALL_LOOKED_AT: usize = 10_000;

/// Messages for an answer.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// The oldest first.
    pub messages: Vec<Message>,
    /// Those of them that were not read.
    pub new: Vec<MessageId>,
    /// Whether there are more.
    pub more: bool,
}

/// The session's messages that wait.
#[derive(Debug)]
pub struct Inbox {
    /// Where they are asked for.
    pub post: Post,
    /// What was handed over.
    pub ledger: Ledger,
}

impl Inbox {
    /// Those that the agent does not have, the oldest first, as many as are asked for and as fit into `bytes`, but
    /// one at least. `coming` tells which are on their way by themselves.
    ///
    /// # Errors
    /// If the relay is away or refuses.
    pub fn unread(
        &mut self,
        limit: usize,
        bytes: usize,
        coming: impl Fn(&MessageId) -> bool,
    ) -> Result<Found, ClientError> {
        let (ledger, mut known) = (self.ledger.clone(), Vec::new());
        let (mut messages, mut room) = (Vec::new(), bytes);
        let more = self.each(false, LOOKED_AT, |Letter { message, .. }| {
            if ledger.knows(&message.id) {
                known.push(message.id);
                return true;
            }
            if coming(&message.id) {
                return true;
            }
            if messages.len() == limit || (!messages.is_empty() && message.text.len() > room) {
                return false;
            }
            room = room.saturating_sub(message.text.len());
            messages.push(message);
            true
        })?;
        // An acknowledgement was lost.
        self.acknowledge(&known);
        Ok(Found { new: ids(&messages), messages, more })
    }

    /// The latest of all that the relay keeps, those that were read among them, within the same bounds.
    ///
    /// # Errors
    /// Those of [`Inbox::unread`].
    pub fn latest(&mut self, limit: usize, bytes: usize) -> Result<Found, ClientError> {
        let (mut letters, mut size, mut older) = (VecDeque::<Letter>::new(), 0, false);
        self.each(true, ALL_LOOKED_AT, |letter| {
            size += letter.message.text.len();
            letters.push_back(letter);
            while letters.len() > 1 && (letters.len() > limit || size > bytes) {
                size -= letters.pop_front().map_or(0, |gone| gone.message.text.len());
                older = true;
            }
            true
        })?;
        let new = letters.iter().filter(|letter| letter.read.is_none()).map(|letter| letter.message.id.clone());
        let new = new.collect();
        Ok(Found { messages: letters.into_iter().map(|letter| letter.message).collect(), new, more: older })
    }

    /// Goes through them, the oldest first, until `goes_on` says no or so many were looked at; whether any are left.
    /// What came directly is first: the relay was away then.
    fn each(&mut self, all: bool, most: usize, mut goes_on: impl FnMut(Letter) -> bool) -> Result<bool, ClientError> {
        let post = &mut self.post;
        let left = pages(|ask| Ok(post.ask_direct(ask)), all, most, &mut goes_on)?;
        Ok(left || pages(|ask| post.ask_relay(ask), all, most, &mut goes_on)?)
    }
    /// Says that the agent has these. Where the relay cannot be told now, it is told the next time.
    pub fn hand_over(&mut self, ids: &[MessageId]) {
        ids.iter().for_each(|id| self.ledger.note(id));
        self.acknowledge(ids);
    }

    /// Tells the relay of those that were noted.
    pub fn acknowledge(&mut self, ids: &[MessageId]) {
        if ids.is_empty() {
            return;
        }
        let ack = Request::Ack(Ack { ids: ids.to_vec() });
        let direct: Option<Acked> = self.post.ask_direct(&ack);
        if direct.is_some_and(|direct| direct.acked as usize == ids.len()) {
            return ids.iter().for_each(|id| self.ledger.forget(id));
        }
        match self.post.ask_relay::<Acked>(&ack) {
            Ok(Some(_)) => ids.iter().for_each(|id| self.ledger.forget(id)),
            // Some are the relay's to know of.
            Ok(None) => {}
            Err(error) => tracing::debug!("cannot acknowledge: {error}"),
        }
    }

    /// What is to be pushed into a session, as text, and the messages that it holds. Long ones are announced,
    /// once.
    ///
    /// # Errors
    /// Those of [`Inbox::unread`].
    pub fn to_push(&mut self, uid: u32) -> Result<Option<(String, Vec<MessageId>)>, ClientError> {
        let (ledger, mut known) = (self.ledger.clone(), Vec::new());
        let (mut parts, mut handed, mut room) = (Vec::new(), Vec::new(), present::PUSHED_MAX);
        self.each(false, LOOKED_AT, |Letter { message, .. }| {
            if ledger.knows(&message.id) {
                known.push(message.id);
                return true;
            }
            if message.text.len() > present::PUSHED_MAX {
                let told = present::announcement(&message);
                let fits = told.len() <= room;
                if fits && ledger.announce(&message.id) {
                    room -= told.len();
                    parts.push(told);
                }
                return fits;
            }
            if message.text.len() > room {
                return false;
            }
            room -= message.text.len();
            parts.push(present::message(&message, uid));
            handed.push(message.id);
            true
        })?;
        self.acknowledge(&known);
        Ok((!parts.is_empty()).then(|| (parts.join("\n\n"), handed)))
    }
}

/// [`Inbox::each`] by one way, which is none where nobody answers.
fn pages(
    mut ask: impl FnMut(&Request) -> Result<Option<Listed>, ClientError>,
    all: bool,
    most: usize,
    goes_on: &mut impl FnMut(Letter) -> bool,
) -> Result<bool, ClientError> {
    let (mut after, mut looked_at) = (None, 0);
    loop {
        let page = ask(&Request::Inbox(Ask { limit: Some(PAGE), after, all }))?;
        let Some(Listed { messages, more }) = page else { return Ok(false) };
        looked_at += messages.len();
        after = messages.last().map(|letter| letter.message.id.clone());
        for letter in messages {
            if !goes_on(letter) {
                return Ok(true);
            }
        }
        if !more || after.is_none() || looked_at >= most {
            return Ok(more);
        }
    }
}

/// The ids of messages.
pub fn ids(messages: &[Message]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id.clone()).collect()
}
