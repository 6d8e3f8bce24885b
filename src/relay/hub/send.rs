//! From a request to a message on its way.

use super::super::commit::{Outcome, Waiting};
use super::super::event::Event;
use super::super::name::{Address, Mailbox, MessageId, Recipient, SessionName};
use super::super::text::{self, Roots};
use super::super::wire::answer::Sent;
use super::super::wire::{Command, Eval, Kind, Message, Prompt, Reason, Refusal, Reply, Respond, Send, Sender};
use super::{Answer, Ask, Effect, Head, Hub, Now, Pending};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Full mailboxes that one entry of the audit names.
const LEFT_OUT_TOLD: usize = 10;
/// Mailboxes' worth of what one sender may leave waiting everywhere: so that one cannot fill everybody's.
const SENDERS_SHARE: u32 = 4;
/// No message has this number: the relay goes on counting after any that a client chose, and what the store can
/// compare ends there.
const SEQ_END: u64 = i64::MAX as u64 - (1 << 32);

impl From<Prompt> for Send {
    fn from(prompt: Prompt) -> Self {
        Self::new(prompt.session_id, Kind::Prompt, prompt.text)
    }
}

impl From<Eval> for Send {
    fn from(eval: Eval) -> Self {
        Self::new(eval.session_id, Kind::Eval, eval.code)
    }
}

impl From<Command> for Send {
    fn from(Command { session_id, name, text }: Command) -> Self {
        let text = if text.is_empty() { name } else { format!("{name} {text}") };
        Self::new(session_id, Kind::Command, text)
    }
}

/// What a message is made from, besides its sender.
pub(super) struct Draft {
    pub to: Address,
    pub kind: Kind,
    pub text: String,
    pub reply_to: Option<MessageId>,
    pub expires_in: Option<u64>,
}

impl Hub {
    pub(super) fn send(&mut self, head: &Head, session: SessionName, send: Send, now: Now) -> Result<(), Refusal> {
        let Send { to, text, kind, id, reply_to, seq, expires_in } = send;
        let draft = Draft { to, kind, text, reply_to, expires_in };
        self.meter(&session, now)?;
        let last = self.members.get(&session).map_or(0, |member| member.last_seq);
        match (seq, &id) {
            (Some(seq), Some(id)) if seq <= last => {
                let id = message_id(&session, id.as_str());
                self.ask(Ask::Message { id: id.clone(), sender: session }, Pending::Again { head: head.clone(), id });
                return Ok(());
            }
            (Some(seq), None) if seq <= last => return Err(replayed(seq, last)),
            (Some(seq), _) if seq >= SEQ_END => {
                return Err(Refusal::new(Reason::Malformed, "`seq` is too high: nothing could follow"));
            }
            _ => {}
        }
        let mailboxes = self.recipients(&session, &draft.to, draft.kind)?;
        let seq = seq.unwrap_or(last + 1);
        let id = match id {
            Some(id) => message_id(&session, id.as_str()),
            None => message_id(&session, &format!("#{seq}")),
        };
        let message = self.message(&session, draft, id, seq, now)?;
        let (mailboxes, full) = self.with_room(Some(&session), mailboxes, message.text.len() as u64)?;
        self.check_carried(&message, &mailboxes)?;
        self.left_out(&session, &full);
        self.number(&session, seq);
        self.reserve(&message, &mailboxes);
        let event = Event::Accepted { message: message.clone(), mailboxes: mailboxes.clone(), next: None };
        self.commit(vec![event], Pending::Sent { head: head.clone(), message: Box::new(message), mailboxes });
        Ok(())
    }

    /// Whether the session may send one more now.
    pub(super) fn meter(&mut self, session: &SessionName, now: Now) -> Result<(), Refusal> {
        let rate = self.policy.limits.rate;
        let Some(member) = self.members.get_mut(session) else { return Err(unknown(session)) };
        member.rate.take(now.ticks).map_err(|wait| Refusal {
            reason: Reason::RateLimited,
            error: format!("{session} sends more than {rate} messages a minute: wait {} ms", wait.as_millis()),
            retry_after: Some(wait),
        })
    }

    /// Checks and cleans the text, and fills in what the relay knows.
    pub(super) fn message(
        &self,
        session: &SessionName,
        draft: Draft,
        id: MessageId,
        seq: u64,
        now: Now,
    ) -> Result<Message, Refusal> {
        let member = self.members.get(session).ok_or_else(|| unknown(session))?;
        let (limits, of) = (&self.policy.limits, &member.session);
        let too_large = || {
            let size = limits.message_size;
            Refusal::new(
                Reason::TooLarge,
                format!("a message has at most {size} bytes, escaped control characters included: send it in parts"),
            )
        };
        if draft.text.len() > limits.message_size {
            return Err(too_large());
        }
        let roots = Roots { root: of.root.as_deref(), project: of.project.as_ref(), home: of.home.as_deref() };
        let cleaned = text::clean(&draft.text, self.policy.mask_paths.then_some(&roots), limits.message_size);
        let cleaned = cleaned.map_err(|_| too_large())?;
        let longest = limits.message_expiry;
        let expiry = draft.expires_in.map_or(longest, |seconds| Duration::from_secs(seconds).min(longest));
        Ok(Message {
            id,
            from: Sender {
                session: session.clone(),
                project: of.project.clone(),
                user: of.user.clone(),
                uid: of.uid,
                host: None,
            },
            to: draft.to,
            kind: draft.kind,
            text: cleaned.text,
            reply_to: draft.reply_to,
            seq,
            accepted: now.moment,
            expires: now.moment.after(expiry),
            schedule: None,
        })
    }

    /// Those of the mailboxes that have room for so many bytes, and those that have none: one that nobody empties
    /// keeps a group's others from nothing.
    ///
    /// # Errors
    /// If none has, or the sender's share of all is used up.
    pub(super) fn with_room(
        &self,
        sender: Option<&SessionName>,
        mailboxes: Vec<Mailbox>,
        bytes: u64,
    ) -> Result<(Vec<Mailbox>, Vec<Mailbox>), Refusal> {
        let limits = &self.policy.limits;
        let full = |what: String, advice: &str| Err(Refusal::new(Reason::Quota, format!("{what}: {advice}")));
        let holds = |held: Waiting, count: u32, bytes: u64, share: u32| {
            held.messages.saturating_add(count) <= limits.stored_messages.saturating_mul(share)
                && held.bytes.saturating_add(bytes) <= limits.stored_bytes.saturating_mul(share.into())
        };
        let count = mailboxes.len() as u32;
        let sender = sender.and_then(|name| self.members.get(name));
        let share = |of: &&super::Member| !holds(of.sent, count, bytes * u64::from(count), SENDERS_SHARE);
        if let Some(sender) = sender.filter(share) {
            let what = format!("{} messages of {} wait to be read", sender.sent.messages, sender.session.name);
            return full(what, "wait until they were, or raise relay.stored_messages and relay.stored_bytes");
        }
        let held = |mailbox: &Mailbox| self.waiting.get(mailbox).copied().unwrap_or_default();
        let (room, without): (Vec<Mailbox>, Vec<Mailbox>) =
            mailboxes.into_iter().partition(|mailbox| holds(held(mailbox), 1, bytes, 1));
        match without.first() {
            Some(mailbox) if room.is_empty() => {
                let what = format!("{} messages wait for {}", held(mailbox).messages, describe(mailbox));
                full(what, "it takes more when it has read some")
            }
            _ => Ok((room, without)),
        }
    }

    /// Puts on record who gets a message to several not, because of a full mailbox.
    pub(super) fn left_out(&mut self, sender: &SessionName, full: &[Mailbox]) {
        if full.is_empty() {
            return;
        }
        let whose: Vec<String> = full.iter().take(LEFT_OUT_TOLD).map(describe).collect();
        let why = format!("too much waits for {}, who did not get it", whose.join(", "));
        let count = full.len() as u64;
        self.record(vec![Event::Refused { session: sender.clone(), what: "send".to_owned(), why, count }]);
    }

    /// Counts a message as waiting, before it is on disk: what is on its way takes room too.
    pub(super) fn reserve(&mut self, message: &Message, mailboxes: &[Mailbox]) {
        let bytes = message.text.len() as u64;
        for mailbox in mailboxes {
            add(self.waiting.entry(mailbox.clone()).or_default(), bytes);
            self.show(mailbox);
            if let Some(member) = message.from.own_session().and_then(|name| self.members.get_mut(name)) {
                add(&mut member.sent, bytes);
            }
        }
    }

    /// What a status line says of this mailbox's session has changed.
    fn show(&mut self, mailbox: &Mailbox) {
        if let Mailbox::Session(name) = mailbox {
            self.effects.push(Effect::Show(name.clone()));
        }
    }

    /// Takes that back for one mailbox.
    pub(super) fn release(&mut self, sender: Option<&SessionName>, mailbox: &Mailbox, bytes: u64) {
        self.show(mailbox);
        if let Some(waiting) = self.waiting.get_mut(mailbox) {
            subtract(waiting, bytes);
            if waiting.messages == 0 {
                self.waiting.remove(mailbox);
            }
        }
        if let Some(member) = sender.and_then(|name| self.members.get_mut(name)) {
            subtract(&mut member.sent, bytes);
        }
    }

    /// The message is on disk, or not.
    pub(super) fn sent(&mut self, head: &Head, message: Message, mailboxes: Vec<Mailbox>, outcome: Outcome, now: Now) {
        let recipients = mailboxes.len() as u32;
        self.numbered(&message, outcome == Outcome::Done);
        match outcome {
            Outcome::Done => {
                let Message { id, seq, accepted, .. } = &message;
                let sent = Sent {
                    id: id.clone(),
                    seq: *seq,
                    accepted: *accepted,
                    recipients,
                    duplicate: false,
                    direct: false,
                };
                // Who gets it waits, and who sent it goes on.
                self.deliver(&message, &mailboxes);
                self.answer(head, sent);
            }
            Outcome::Known(known) => {
                self.unreserve(&message, &mailboxes);
                self.answer(
                    head,
                    Sent {
                        id: known.id,
                        seq: known.seq,
                        accepted: known.accepted,
                        recipients,
                        duplicate: true,
                        direct: false,
                    },
                );
            }
            Outcome::Refused(refusal) => {
                self.unreserve(&message, &mailboxes);
                self.refuse(head, refusal, now);
            }
        }
    }

    /// Takes a number for a message that is on its way to the disk.
    pub(super) fn number(&mut self, session: &SessionName, seq: u64) {
        if let Some(member) = self.members.get_mut(session) {
            member.last_seq = seq;
            member.sending += 1;
        }
    }

    /// The message is on disk, or not: numbers that the disk refused can be used again.
    pub(super) fn numbered(&mut self, message: &Message, kept: bool) {
        let Some(member) = message.from.own_session().and_then(|name| self.members.get_mut(name)) else { return };
        member.sending = member.sending.saturating_sub(1);
        if kept {
            member.kept_seq = member.kept_seq.max(message.seq);
        }
        if member.sending == 0 {
            member.last_seq = member.kept_seq;
        }
    }

    pub(super) fn unreserve(&mut self, message: &Message, mailboxes: &[Mailbox]) {
        for mailbox in mailboxes {
            self.release(message.from.own_session(), mailbox, message.text.len() as u64);
        }
    }

    /// Whether what was sent under an old number is what is known under it.
    pub(super) fn sent_again(&mut self, head: &Head, id: &MessageId, answer: Answer) {
        match answer {
            Answer::Message(Some((known, mailboxes))) => {
                let recipients = mailboxes.len() as u32;
                self.answer(
                    head,
                    Sent {
                        id: known.id,
                        seq: known.seq,
                        accepted: known.accepted,
                        recipients,
                        duplicate: true,
                        direct: false,
                    },
                );
            }
            Answer::Failed(refusal) => self.fail(head, refusal),
            _ => {
                let why =
                    format!("no message {id} came before under this number: a number is used once, and they go up");
                self.fail(head, Refusal::new(Reason::Replayed, why));
            }
        }
    }

    /// Gives a message that is on disk to the clients that asked for it.
    pub(super) fn deliver(&mut self, message: &Message, mailboxes: &[Mailbox]) {
        let mut line: Option<std::rc::Rc<[u8]>> = None;
        for mailbox in mailboxes {
            let clients = self.subscribers(mailbox);
            for connection in &clients {
                let line = line.get_or_insert_with(|| Reply::Message(message.clone()).line().into());
                self.effects.push(Effect::Push(*connection, line.clone()));
                self.pushed(*connection, &message.id, line.len());
            }
            if !clients.is_empty() {
                self.delivered.entry(mailbox.clone()).or_default().push(message.id.clone());
            }
        }
    }

    /// An answer goes to whoever sent what it answers; first it is looked up who that was.
    pub(super) fn respond(&mut self, head: &Head, session: SessionName, respond: Respond) -> Result<(), Refusal> {
        let mailbox = self.mailbox(&session)?;
        let reply_to = respond.reply_to.clone();
        // `data` as values takes many times the memory of its text, which is what is charged while it waits.
        let text = respond.text();
        let respond = Respond { reply_to, text, data: None, error: None };
        // Only who got it may answer it, and nobody else learns whether it exists.
        let ask = Ask::Received { mailbox, id: respond.reply_to.clone() };
        self.ask(ask, Pending::Replying { head: head.clone(), respond: Box::new(respond) });
        Ok(())
    }

    pub(super) fn replying(&mut self, head: &Head, respond: Respond, answer: Answer, now: Now) {
        let Some(session) = self.peers.get(&head.connection).map(|peer| peer.session.clone()) else { return };
        let sender = match answer {
            Answer::Failed(refusal) => return self.fail(head, refusal),
            Answer::Received(Some(sender)) => sender,
            _ => {
                let why = format!("{session} got no message {}", respond.reply_to);
                return self.fail(head, Refusal::new(Reason::NotFound, why));
            }
        };
        let uid = self.members.get(&session).map(|member| member.session.uid);
        let to = match self.members.get(&sender.session) {
            // `user` is the person whose session this is; another one has a name of their own.
            Some(member) if member.is_person() && sender.host.is_none() && uid == Some(member.session.uid) => {
                Recipient::User
            }
            _ => Recipient::Session(sender.session),
        };
        let reply_to = Some(respond.reply_to.clone());
        let send = Send::new(Address { to, host: sender.host }, Kind::Response, respond.text());
        let send = Send { reply_to, ..send };
        if let Err(refusal) = self.send(head, session, send, now) {
            self.refuse(head, refusal, now);
        }
    }
}

/// Identifies what a session sends under a name of its own: nobody else's message can have it.
pub(super) fn message_id(session: &SessionName, own: &str) -> MessageId {
    digest(session, own, 16)
}

/// The first bytes of a digest over both, as a name.
pub(super) fn digest<T: std::str::FromStr<Err: std::fmt::Debug>>(session: &SessionName, own: &str, bytes: usize) -> T {
    // A session's name has no NUL: no two pairs are the same text.
    let digest = Sha256::digest([session.as_str(), "\0", own].concat());
    let text: String = digest.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect();
    // Hexadecimal digits, at most 64 of them: a name.
    text.parse().expect("hexadecimal digits are a name")
}

fn replayed(seq: u64, last: u64) -> Refusal {
    Refusal::new(
        Reason::Replayed,
        format!("the number {seq} comes after {last}: a number is used once, and they go up"),
    )
}

pub(super) fn unknown(session: &SessionName) -> Refusal {
    Refusal::new(Reason::NoRecipient, format!("there is no session {session}"))
}

fn describe(mailbox: &Mailbox) -> String {
    match mailbox {
        Mailbox::Session(name) => name.to_string(),
        Mailbox::Project(_, name) => format!("the project {name}"),
        Mailbox::User(_) => "the user".to_owned(),
        Mailbox::Cluster => "other hosts".to_owned(),
    }
}

fn add(waiting: &mut Waiting, bytes: u64) {
    waiting.messages = waiting.messages.saturating_add(1);
    waiting.bytes = waiting.bytes.saturating_add(bytes);
}

fn subtract(waiting: &mut Waiting, bytes: u64) {
    waiting.messages = waiting.messages.saturating_sub(1);
    waiting.bytes = waiting.bytes.saturating_sub(bytes);
}
