//! Documents on groups' worktables: members write through the relay, and read where they lie.

use super::super::commit::Outcome;
use super::super::event::Event;
use super::super::name::{DocumentName, GroupName, SessionName};
use super::super::wire::answer::Changed;
use super::super::wire::{Notice, Put, Reason, Refusal, Remove, Reply};
use super::register::hexadecimal;
use super::{Answer, Ask, Connection, Effect, Head, Hub, Now, Pending};
use sha2::{Digest, Sha256};

/// What is done to a worktable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Whose it is.
    pub group: GroupName,
    /// The document.
    pub name: DocumentName,
    /// Its text; `None` removes it.
    pub text: Option<String>,
}

impl Hub {
    pub(super) fn put(&mut self, head: &Head, session: SessionName, put: Put, now: Now) -> Result<(), Refusal> {
        let Put { group, name, text } = put;
        let most = self.policy.limits.message_size;
        if text.len() > most {
            return Err(Refusal::new(
                Reason::TooLarge,
                format!("a document has at most {most} bytes, as a message has"),
            ));
        }
        self.work(head, session, Work { group, name, text: Some(text) }, now)
    }

    pub(super) fn remove(
        &mut self,
        head: &Head,
        session: SessionName,
        remove: Remove,
        now: Now,
    ) -> Result<(), Refusal> {
        let Remove { group, name } = remove;
        self.work(head, session, Work { group, name, text: None }, now)
    }

    /// Puts it on record; then it is done.
    fn work(&mut self, head: &Head, session: SessionName, work: Work, now: Now) -> Result<(), Refusal> {
        self.meter(&session, now)?;
        if !self.own.worktables {
            return Err(Refusal::new(Reason::NotAllowed, "the system's relay has no worktables: send messages"));
        }
        let member =
            self.members.get(&session).is_some_and(|member| self.policy.is_member(&work.group, member.party()));
        if !member {
            let why = format!("{session} is in no group {}: [relay.groups] says who is", work.group);
            return Err(Refusal::new(Reason::NoRecipient, why));
        }
        let digest = work.text.as_ref().map(|text| hexadecimal(&Sha256::digest(text)));
        let bytes = work.text.as_ref().map_or(0, |text| text.len() as u64);
        let event = Event::Document { session, group: work.group.clone(), name: work.name.clone(), bytes, digest };
        self.commit(vec![event], Pending::Recorded { head: head.clone(), work: Box::new(work) });
        Ok(())
    }

    pub(super) fn recorded(&mut self, head: Head, work: Work, outcome: Outcome) {
        if let Outcome::Refused(refusal) = outcome {
            return self.fail(&head, refusal);
        }
        let group = work.group.clone();
        self.ask(Ask::Document(Box::new(work)), Pending::Worked { head, group });
    }

    /// It is done: whoever shares the worktable and listens is told.
    pub(super) fn worked(&mut self, head: &Head, group: GroupName, answer: Answer) {
        let change = match answer {
            Answer::Document(change) => change,
            Answer::Failed(refusal) => {
                // The audit says already that it would be done.
                let session = self.peers.get(&head.connection).map(|peer| peer.session.clone());
                let why = format!("not done on the worktable of {group}: {refusal}");
                let refused = |session| Event::Refused { session, what: head.query.to_owned(), why, count: 1 };
                self.record(session.map(refused).into_iter().collect());
                return self.fail(head, refusal);
            }
            _ => return,
        };
        let by = self.peers.get(&head.connection).map(|peer| peer.session.clone());
        let changed = Changed { group, by, name: change.name, what: change.what, bytes: change.bytes };
        self.answer(head, &changed);
        // Plain names and numbers: JSON has a form for all of it.
        let data = Some(serde_json::to_value(&changed).unwrap_or_default());
        for connection in self.listeners(&changed.group) {
            let notice = Notice { name: "worktable".to_owned(), data: data.clone() };
            self.effects.push(Effect::Write(connection, Reply::Notice(notice)));
        }
    }

    fn listeners(&self, group: &GroupName) -> Vec<Connection> {
        let subscribed = self.peers.iter().filter(|(_, peer)| peer.subscription.is_some());
        let member = |session: &SessionName| {
            self.members.get(session).is_some_and(|member| self.policy.is_member(group, member.party()))
        };
        subscribed.filter(|(_, peer)| member(&peer.session)).map(|(connection, _)| *connection).collect()
    }

    /// The groups whose worktables a session has.
    pub fn worktables(&self, session: &SessionName) -> Vec<GroupName> {
        let Some(member) = self.members.get(session).filter(|_| self.own.worktables) else { return Vec::new() };
        self.policy.groups.keys().filter(|group| self.policy.is_member(group, member.party())).cloned().collect()
    }
}
