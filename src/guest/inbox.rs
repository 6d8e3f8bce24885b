//! Takes messages and hands them over, each once.

use super::ledger::Ledger;
use super::post::Post;
use super::present;
use crate::relay::client::ClientError;
use crate::relay::name::MessageId;
use crate::relay::wire::answer::{Acked, Listed};
use crate::relay::wire::{Ack, Inbox as Ask, Message, Request};

/// How many are looked at, at most.
const LIMIT: u32 = 100;

/// The session's messages that wait.
#[derive(Debug)]
pub struct Inbox {
    /// The relay.
    pub post: Post,
    /// What was handed over.
    pub ledger: Ledger,
}

impl Inbox {
    /// Those that the agent does not have, the oldest first, as many as are asked for and as fit into `bytes`, but
    /// one at least; whether there are more. `coming` tells which are on their way by themselves.
    ///
    /// # Errors
    /// If the relay is away or refuses.
    pub fn unread(
        &mut self,
        limit: usize,
        bytes: usize,
        coming: impl Fn(&MessageId) -> bool,
    ) -> Result<(Vec<Message>, bool), ClientError> {
        let ask = Ask { limit: Some(LIMIT), after: None, all: false };
        let listed: Listed = self.post.ask(&Request::Inbox(ask))?;
        let all = listed.messages.into_iter().map(|letter| letter.message);
        let (known, new): (Vec<Message>, Vec<Message>) = all.partition(|message| self.ledger.knows(&message.id));
        // An acknowledgement was lost.
        self.acknowledge(&ids(&known));
        let (mut taken, mut room, mut more) = (Vec::new(), bytes, listed.more);
        for message in new.into_iter().filter(|message| !coming(&message.id)) {
            if taken.len() == limit || (!taken.is_empty() && message.text.len() > room) {
                more = true;
                break;
            }
            room = room.saturating_sub(message.text.len());
            taken.push(message);
        }
        Ok((taken, more))
    }

    /// Says that the agent has these. Where the relay cannot be told now, it is told the next time.
    pub fn hand_over(&mut self, ids: &[MessageId]) {
        ids.iter().for_each(|id| self.ledger.note(id));
        self.acknowledge(ids);
    }

    fn acknowledge(&mut self, ids: &[MessageId]) {
        if ids.is_empty() {
            return;
        }
        let ack = Request::Ack(Ack { ids: ids.to_vec() });
        match self.post.ask::<Acked>(&ack) {
            Ok(_) => ids.iter().for_each(|id| self.ledger.forget(id)),
            Err(error) => tracing::debug!("cannot acknowledge: {error}"),
        }
    }

    /// What is to be pushed into a session, as text, and the messages that it holds. Long ones are announced,
    /// once.
    ///
    /// # Errors
    /// Those of [`Inbox::unread`].
    pub fn to_push(&mut self, uid: u32) -> Result<Option<(String, Vec<MessageId>)>, ClientError> {
        let (waiting, _) = self.unread(LIMIT as usize, usize::MAX, |_| false)?;
        let (mut parts, mut handed, mut room) = (Vec::new(), Vec::new(), present::PUSHED_MAX);
        for message in &waiting {
            if message.text.len() > present::PUSHED_MAX {
                parts.extend(self.ledger.announce(&message.id).then(|| present::announcement(message)));
                continue;
            }
            if message.text.len() > room {
                break;
            }
            room -= message.text.len();
            parts.push(present::message(message, uid));
            handed.push(message.id.clone());
        }
        Ok((!parts.is_empty()).then(|| (parts.join("\n\n"), handed)))
    }
}

/// The ids of messages.
pub fn ids(messages: &[Message]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id.clone()).collect()
}
