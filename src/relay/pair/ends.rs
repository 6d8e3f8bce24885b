//! Decides what goes out of a sandbox and what comes in. Nothing here touches a socket or a file.

use super::super::hub::Now;
use super::super::name::{Address, MessageId, Recipient, SessionName};
use super::super::text::{self, Roots};
use super::super::wire::answer::{Ceilings, Registered, Sent};
use super::super::wire::{Kind, Message, Reason, Refusal, Respond, Send, Sender, VERSION};
use super::inbox::Inbox;
use super::plan::Plan;
use crate::moment::Moment;
use crate::rate::Bucket;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::time::Duration;

/// Messages that are known again by their id.
pub(super) const REMEMBERED: usize = 1_000;
/// No message has this number.
const SEQ_END: u64 = i64::MAX as u64;

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Draft {
    /// To whom, as it was said.
    pub to: Address,
    /// The pairs by which it could go.
    pub pairs: Vec<usize>,
    /// What the other end gets; `to` is filled in when it is known who is there.
    pub send: Send,
    /// What it is remembered by.
    own: String,
    digest: [u8; 32],
}

/// What becomes of a request to send.
#[derive(Debug)]
pub(super) enum Drafted {
    /// It is to be passed on.
    New(Box<Draft>),
    /// It was, before.
    Known(Sent),
}

/// A message that came in.
#[derive(Debug)]
pub(super) enum Received {
    /// It is new: it counts when it was put on record.
    New(Box<Message>),
    /// It had come before.
    Known(Sent),
}

struct Outgone {
    own: String,
    digest: [u8; 32],
    sent: Sent,
}

struct Peer {
    rate: Bucket,
    /// Who was there last, and the number of what it sent last.
    last: Option<(SessionName, u64)>,
}

/// The ends of one sandbox.
pub(super) struct Ends {
    plan: Plan,
    rate: Bucket,
    seq: u64,
    outgone: VecDeque<Outgone>,
    peers: Vec<Peer>,
    /// What came in.
    pub inbox: Inbox,
}

impl Ends {
    pub(super) fn new(plan: Plan) -> Self {
        let bucket = || Bucket::new(plan.limits.rate, plan.limits.burst);
        Self {
            rate: bucket(),
            seq: 0,
            outgone: VecDeque::new(),
            peers: plan.pairs.iter().map(|_| Peer { rate: bucket(), last: None }).collect(),
            inbox: Inbox::new(plan.session.clone(), plan.limits),
            plan,
        }
    }

    pub(super) fn registered(&self) -> Registered {
        let limits = Ceilings { message_size: self.plan.limits.message_size, rate: self.plan.limits.rate };
        Registered { version: VERSION, session: self.plan.session.clone(), secret: None, limits }
    }

    /// Checks and cleans what the sandbox wants to send, as the relay does.
    pub(super) fn draft(&mut self, send: Send, now: Now) -> Result<Drafted, Refusal> {
        let Send { to, text, kind, id, reply_to, seq, expires_in } = send;
        meter(&mut self.rate, &self.plan.session, self.plan.limits.rate, now)?;
        let pairs = self.pairs_to(&to, kind)?;
        let roots =
            Roots { root: Some(&self.plan.root), project: Some(&self.plan.project), home: Some(&self.plan.home) };
        let text = self.cleaned(&text, &roots)?;
        let own = id.map_or_else(|| format!("#{}", self.seq + 1), |id| id.to_string());
        let digest = digest(&to, kind, reply_to.as_ref(), &text);
        if let Some(known) = self.outgone.iter().find(|known| known.own == own) {
            if known.digest != digest {
                return Err(Refusal::new(Reason::Replayed, format!("{own} is the id of another message")));
            }
            return Ok(Drafted::Known(Sent { duplicate: true, ..known.sent.clone() }));
        }
        let seq = match seq {
            Some(seq) if seq <= self.seq || seq >= SEQ_END => {
                let why =
                    format!("the number {seq} does not follow {}: a number is used once, and they go up", self.seq);
                return Err(Refusal::new(Reason::Replayed, why));
            }
            Some(seq) => seq,
            None => self.seq + 1,
        };
        self.seq = seq;
        let id = Some(direct_id(&self.plan.session, &own));
        let send = Send { to: to.clone(), text, kind, id, reply_to, seq: Some(seq), expires_in };
        Ok(Drafted::New(Box::new(Draft { to, pairs, send, own, digest })))
    }

    /// What answers a message goes to whoever sent it.
    pub(super) fn response(&self, respond: Respond) -> Result<Send, Refusal> {
        let reply_to = respond.reply_to.clone();
        let sender = self.inbox.sender(&reply_to).ok_or_else(|| {
            Refusal::new(Reason::NotFound, format!("{} got no message {reply_to} directly", self.plan.session))
        })?;
        let send = Send::new(Recipient::Session(sender.clone()).into(), Kind::Response, respond.text());
        Ok(Send { reply_to: Some(reply_to), ..send })
    }

    /// The pairs by which a message could go.
    fn pairs_to(&self, to: &Address, kind: Kind) -> Result<Vec<usize>, Refusal> {
        let none = |what: String| {
            let why = format!("the relay is not running, and {what}: `rcc relay start` on the host starts it");
            Refusal::new(Reason::NoRecipient, why)
        };
        if to.host.is_some() {
            return Err(none("other hosts are reached through it alone".to_owned()));
        }
        let pairs = self.plan.pairs.iter().enumerate();
        let found: Vec<usize> = match &to.to {
            Recipient::Session(name) => pairs.filter(|(_, pair)| pair.is_peer(name)).map(|(at, _)| at).collect(),
            Recipient::Project(name) => {
                pairs.filter(|(_, pair)| pair.peer_project.base() == name.base()).map(|(at, _)| at).collect()
            }
            Recipient::Group(_) => return Err(none("groups are reached through it alone".to_owned())),
            Recipient::User => return Err(none("your user is reached through it alone".to_owned())),
        };
        if found.is_empty() {
            return Err(none(format!("no pair leads to {to}; directly reached is {}", self.directly())));
        }
        let carries = |at: &usize| kind != Kind::Eval && self.plan.pairs[*at].kinds.contains(&kind);
        if !found.iter().any(carries) {
            let why = format!("no pair carries {} to {to}", kind.word());
            return Err(Refusal::new(Reason::NotAllowed, why));
        }
        Ok(found.into_iter().filter(carries).collect())
    }

    fn directly(&self) -> String {
        let projects: Vec<String> =
            self.plan.pairs.iter().map(|pair| format!("project:{}", pair.peer_project)).collect();
        projects.join(", ")
    }

    /// What a message is called at the end that it came to.
    fn arrived_id(&self, pair: usize, from: &SessionName, id: &MessageId) -> MessageId {
        direct_id(from, &format!("{}\0{id}", self.plan.pairs[pair].name))
    }

    /// The message as it goes by this pair to this session.
    pub(super) fn outgoing(&self, draft: &Draft, pair: usize, to: &SessionName, now: Moment) -> Message {
        let Plan { session, project, user, uid, limits, .. } = &self.plan;
        let Send { text, kind, id, reply_to, seq, expires_in, .. } = draft.send.clone();
        let id = id.unwrap_or_else(|| direct_id(session, &draft.own));
        let expiry = expires_in.map_or(limits.expiry, Duration::from_secs).min(limits.expiry);
        Message {
            id: self.arrived_id(pair, session, &id),
            from: Sender {
                session: session.clone(),
                project: Some(project.clone()),
                user: user.clone(),
                uid: *uid,
                host: None,
            },
            to: Recipient::Session(to.clone()).into(),
            kind,
            text,
            reply_to,
            seq: seq.unwrap_or(self.seq),
            accepted: now,
            expires: now.after(expiry),
            schedule: None,
        }
    }

    /// The other end has taken it. Of what that answers nothing is believed but this.
    pub(super) fn went(&mut self, draft: Draft, message: &Message) -> Sent {
        let Message { id, seq, accepted, .. } = message;
        let sent =
            Sent { id: id.clone(), seq: *seq, accepted: *accepted, recipients: 1, duplicate: false, direct: true };
        let Draft { own, digest, .. } = draft;
        remember(&mut self.outgone, Outgone { own, digest, sent: sent.clone() });
        sent
    }

    /// Checks what the other end of a pair sends, which may be another user's: what it says of itself is believed as far
    /// as it can be checked.
    pub(super) fn receive(
        &mut self,
        pair: usize,
        from: &SessionName,
        send: Send,
        now: Now,
    ) -> Result<Received, Refusal> {
        self.inbox.expire(now.moment);
        let paired = &self.plan.pairs[pair];
        if !paired.is_peer(from) || *from == self.plan.session {
            let why = format!("{from} is no session of the project {}", paired.peer_project);
            return Err(Refusal::new(Reason::Unauthenticated, why));
        }
        if send.to.host.is_some() || send.to.to != Recipient::Session(self.plan.session.clone()) {
            let why = format!("this end is that of {}", self.plan.session);
            return Err(Refusal::new(Reason::NoRecipient, why));
        }
        if send.kind == Kind::Eval || !paired.kinds.contains(&send.kind) {
            let why = format!("the pair {} carries no {}", paired.name, send.kind.word());
            return Err(Refusal::new(Reason::NotAllowed, why));
        }
        let (Some(id), Some(seq)) = (&send.id, send.seq) else {
            return Err(Refusal::new(Reason::Malformed, "between ends a message has `id` and `seq`"));
        };
        // Whatever the other end calls it, it is no other message's id: not the relay's, not another sender's.
        let id = self.arrived_id(pair, from, id);
        if let Some(sent) = self.inbox.known(&id) {
            return Ok(Received::Known(Sent { duplicate: true, ..sent.clone() }));
        }
        let peer = &mut self.peers[pair];
        meter(&mut peer.rate, from, self.plan.limits.rate, now)?;
        if let Some((name, last)) = &peer.last
            && (name, true) == (from, seq <= *last)
        {
            let why = format!("the number {seq} comes after {last}: a number is used once, and they go up");
            return Err(Refusal::new(Reason::Replayed, why));
        }
        let text = self.cleaned(&send.text, &Roots::default())?;
        self.inbox.check_room(text.len())?;
        let expiry = send.expires_in.map_or(self.plan.limits.expiry, Duration::from_secs).min(self.plan.limits.expiry);
        let paired = &self.plan.pairs[pair];
        Ok(Received::New(Box::new(Message {
            id,
            from: Sender {
                session: from.clone(),
                project: Some(paired.peer_project.clone()),
                user: paired.peer_user.clone(),
                uid: paired.peer_uid,
                host: None,
            },
            to: send.to,
            kind: send.kind,
            text,
            reply_to: send.reply_to,
            seq,
            accepted: now.moment,
            expires: now.moment.after(expiry),
            schedule: None,
        })))
    }

    /// The message is on record: it waits to be read.
    pub(super) fn keep(&mut self, pair: usize, message: Message) -> Sent {
        self.peers[pair].last = Some((message.from.session.clone(), message.seq));
        self.inbox.keep(pair, message)
    }

    fn cleaned(&self, text: &str, roots: &Roots<'_>) -> Result<String, Refusal> {
        let limits = &self.plan.limits;
        let cleaned = text::clean(text, limits.mask_paths.then_some(roots), limits.message_size);
        cleaned.map(|cleaned| cleaned.text).map_err(|_| {
            let why = format!(
                "a message has at most {} bytes, escaped control characters included: send it in parts",
                limits.message_size
            );
            Refusal::new(Reason::TooLarge, why)
        })
    }
}

fn meter(rate: &mut Bucket, session: &SessionName, per_minute: u32, now: Now) -> Result<(), Refusal> {
    rate.take(now.ticks).map_err(|wait| Refusal {
        reason: Reason::RateLimited,
        error: format!("{session} sends more than {per_minute} messages a minute: wait {} ms", wait.as_millis()),
        retry_after: Some(wait),
    })
}

/// Adds one, and forgets the oldest of too many.
pub(super) fn remember<T>(list: &mut VecDeque<T>, one: T) {
    if list.len() >= REMEMBERED {
        list.pop_front();
    }
    list.push_back(one);
}

/// Identifies what a session sends directly. The relay derives its ids from the session and one name: no NUL is in it.
fn direct_id(session: &SessionName, own: &str) -> MessageId {
    let digest = Sha256::digest([session.as_str(), "\0direct\0", own].concat());
    let text: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    text.parse().expect("hexadecimal digits are a name")
}

fn digest(to: &Address, kind: Kind, reply_to: Option<&MessageId>, text: &str) -> [u8; 32] {
    let reply_to = reply_to.map_or("", MessageId::as_str);
    let (to, kind) = (to.to_string(), kind.word());
    // Neither an address nor an id has a NUL.
    Sha256::digest([&to, "\0", kind, "\0", reply_to, "\0", text].concat()).into()
}
