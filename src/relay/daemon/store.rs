//! What the hub asks, as questions to the store. Answered on the writer's thread.

use super::super::hub::{Answer, Ask};
use super::super::name::Mailbox;
use super::super::store::{Debt, Listed, Listing, Store, StoreError};
use super::super::wire::answer::Letter;
use super::super::wire::{Reason, Refusal};
use crate::moment::Moment;

/// Expired messages that are looked at in one turn.
const EXPIRED: u32 = 1000;

pub(super) fn answer(store: &mut Store, ask: Ask) -> Answer {
    ask_store(store, ask).unwrap_or_else(|error| Answer::Failed(refusal(&error)))
}

/// For clients: without the host's paths.
fn refusal(error: &StoreError) -> Refusal {
    match error {
        StoreError::Text { .. } => tracing::error!("{error}"),
        _ => tracing::debug!("{error}"),
    }
    let why =
        format!("the relay cannot read its store: {}. The host's user finds more in the relay's log", error.cause());
    Refusal::new(Reason::Storage, why)
}

fn ask_store(store: &mut Store, ask: Ask) -> Result<Answer, StoreError> {
    Ok(match ask {
        Ask::Message { id, sender } => {
            let found = store.messages(&id)?;
            let found = found.into_iter().find(|message| message.from.host.is_none() && message.from.session == sender);
            let places = store.places(&id, &sender)?;
            Answer::Message(found.map(|message| (message, places)))
        }
        Ask::Received { mailbox, id } => Answer::Received(store.received(&mailbox, &id)?),
        Ask::Inbox { mailbox, limit, bytes, after, all } => {
            let listing = Listing { mailbox: &mailbox, after: after.as_ref(), all, limit: limit + 1, bytes };
            let mut listed = store.inbox(listing)?;
            // One more than was asked for, or fewer because of their size: there may be more.
            let full = listed.len() > limit as usize;
            listed.truncate(limit as usize);
            let size: usize = listed.iter().map(|listed| listed.message.text.len()).sum();
            let more = full || size > bytes / 2 && has_more(store, &mailbox, &listed, all)?;
            Answer::Inbox(listed.into_iter().map(letter).collect(), more)
        }
        Ask::Waiting { mailbox, ids } => Answer::Waiting(store.waiting(&mailbox, &ids)?),
        Ask::Whole(mailbox) => Answer::Waiting(store.all_waiting(&mailbox)?),
        Ask::Expired(now) => Answer::Expired(expired(store, now)?),
        // The loop has them done elsewhere.
        Ask::Document(_) => Answer::Failed(Refusal::new(Reason::Storage, "the store has no documents")),
        Ask::Journal => Answer::Journal(store.position().n),
    })
}

fn has_more(store: &Store, mailbox: &Mailbox, listed: &[Listed], all: bool) -> Result<bool, StoreError> {
    let after = listed.last().map(|listed| &listed.message.id);
    Ok(!store.inbox(Listing { mailbox, after, all, limit: 1, bytes: 0 })?.is_empty())
}

fn letter(listed: Listed) -> Letter {
    let Listed { message, delivered, read } = listed;
    Letter { message, delivered, read }
}

fn expired(store: &mut Store, now: Moment) -> Result<Vec<(Debt, Mailbox)>, StoreError> {
    let mut debts = Vec::new();
    for overdue in store.overdue(now, EXPIRED)? {
        for mailbox in overdue.mailboxes {
            let found = store.waiting(&mailbox, std::slice::from_ref(&overdue.id))?;
            debts.extend(found.into_iter().map(|debt| (debt, mailbox.clone())));
        }
    }
    Ok(debts)
}
