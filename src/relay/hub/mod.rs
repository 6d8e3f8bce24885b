//! Decides. One value holds what the relay knows; requests, outcomes and time go in, effects come out, and
//! nothing here touches a socket or a file.

#[cfg(test)]
mod attack;
mod cluster;
mod documents;
mod effect;
mod host;
mod later;
mod listing;
mod mail;
mod member;
mod pending;
mod register;
mod resolve;
mod send;
mod sweep;
#[cfg(test)]
mod tests;

pub use documents::Work;
pub use effect::{Answer, Ask, Door, Effect, Made, Now, Own};
pub use member::Member;

use super::commit::{Outcome, Remains, Token, Waiting};
use super::event::{Event, Schedule};
use super::name::{Mailbox, MessageId, ScheduleId, SessionName};
use super::policy::Policy;
use super::wire::{Envelope, Malformed, Notice, Question, Reason, Refusal, Reply, Request, Response};
use mail::Subscription;
use pending::Pending;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Names a connection as long as the daemon runs.
pub type Connection = u64;

/// Connections of one session. A client needs one, two while it reconnects.
const CONNECTIONS_MAX: usize = 32;
/// Requests of one connection that wait for the disk; it is not read from beyond.
const IN_FLIGHT_MAX: usize = 256;
/// Bytes of them and of their answers, of all connections of one session together.
const IN_FLIGHT_BYTES_MAX: usize = 8 << 20;
/// Whole messages' worth of unfinished lines of one session, in all its connections together.
const UNFINISHED_LINES: usize = 8;
/// Bytes beside them: a small line from every connection must always fit.
const UNFINISHED_MARGIN: usize = 256 << 10;
/// Requests a minute of one session, of any kind and in all its connections: a thousand a second for as long as it
/// likes.
const REQUESTS_RATE: u32 = 60_000;
/// Bytes of a line that count as one request more: they have to be read, too.
pub const LONG: usize = 64 << 10;
/// Requests that may come at once before that rate counts.
const REQUESTS_BURST: u32 = 5_000;

/// A connection as far as decisions go.
#[derive(Debug)]
struct Peer {
    door: Door,
    /// The session that it speaks for.
    session: SessionName,
    subscription: Option<Subscription>,
    in_flight: usize,
    in_flight_bytes: usize,
    unfinished: usize,
}

/// What a request's answer starts with.
#[derive(Clone, Debug)]
struct Head {
    connection: Connection,
    query: &'static str,
    request: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    own: Own,
    policy: Policy,
    members: BTreeMap<SessionName, Member>,
    peers: HashMap<Connection, Peer>,
    waiting: BTreeMap<Mailbox, Waiting>,
    schedules: BTreeMap<ScheduleId, Schedule>,
    pending: HashMap<Token, Pending>,
    tokens: Token,
    /// Messages whose reading is on its way to the disk.
    acking: HashSet<(Mailbox, MessageId)>,
    /// Deliveries that are not on record yet.
    delivered: BTreeMap<Mailbox, Vec<MessageId>>,
    /// Bytes of a message, as JSON, that the cluster carries; as the bridge told.
    carried_max: Option<usize>,
    opening: HashMap<SessionName, Head>,
    /// Sessions whose sockets could not be made when the relay started.
    unheard: Vec<SessionName>,
    /// Sessions of which it could not be read what ends with them.
    ending: Vec<(SessionName, String, Option<Head>)>,
    swept: u64,
    closing: bool,
    effects: Vec<Effect>,
}

impl Hub {
    /// A relay that goes on where it ended.
    pub fn new(own: Own, policy: Policy, remains: Remains, now: Now) -> Self {
        let limits = policy.limits;
        let members = remains.sessions.into_iter();
        let mut hub = Self {
            own,
            members: members.map(|(name, of)| (name, Member::remembered(of, &limits))).collect(),
            policy,
            peers: HashMap::new(),
            waiting: remains.waiting,
            schedules: remains.schedules.into_iter().map(|schedule| (schedule.id.clone(), schedule)).collect(),
            pending: HashMap::new(),
            tokens: 0,
            acking: HashSet::new(),
            delivered: BTreeMap::new(),
            carried_max: None,
            opening: HashMap::new(),
            unheard: Vec::new(),
            ending: Vec::new(),
            swept: now.ticks,
            closing: false,
            effects: Vec::new(),
        };
        for (name, sent) in remains.sent {
            if let Some(member) = hub.members.get_mut(&name) {
                member.sent = sent;
            }
        }
        hub.record(vec![Event::Started { version: env!("CARGO_PKG_VERSION").to_owned() }]);
        hub
    }

    /// What is to be done now.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The sandboxes' sessions that go on: each needs its socket again.
    pub fn sandboxes(&self) -> Vec<SessionName> {
        let open = self.members.values().filter(|member| member.is_sandbox() && !member.closed);
        open.map(|member| member.session.name.clone()).collect()
    }

    /// What a session's socket is checked against: the uid of its user and the login name.
    pub fn owner(&self, session: &SessionName) -> Option<(u32, &str)> {
        let member = self.members.get(session).filter(|member| !member.closed)?;
        Some((member.session.uid, &member.session.user))
    }

    /// What the daemon knows of itself.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Every session that has not ended, the persons' apart.
    pub fn open_sessions(&self) -> Vec<SessionName> {
        let open = self.members.values().filter(|member| !member.closed && member.is_agent());
        open.map(|member| member.session.name.clone()).collect()
    }

    /// Other rules from now on.
    pub fn follow(&mut self, policy: Policy) {
        for member in self.members.values_mut() {
            member.limit(&policy.limits);
        }
        self.policy = policy;
    }

    /// The rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Somebody comes to a session's socket, which is charged like a request; how long the next one there has to wait.
    pub fn knocked(&mut self, session: &SessionName, now: Now) -> Duration {
        self.members.get_mut(session).map_or(Duration::ZERO, |member| member.requests.owe(now.ticks, 1))
    }

    /// A client connected.
    ///
    /// # Errors
    /// Why it cannot stay.
    pub fn connected(&mut self, connection: Connection, door: Door, now: Now) -> Result<(), Refusal> {
        if self.closing {
            return Err(Refusal::new(Reason::Closing, "the relay is ending"));
        }
        let session = match &door {
            Door::Session(name) => name.clone(),
            Door::Shared { uid, user } => self.person(*uid, user, now),
        };
        let full = Refusal::new(
            Reason::Quota,
            format!("{session} has {CONNECTIONS_MAX} connections to the relay already: close some of them"),
        );
        let member = self.members.get_mut(&session).filter(|member| !member.closed);
        let member = member.ok_or_else(|| Refusal::new(Reason::NoRecipient, format!("{session} has ended")))?;
        if member.connections.len() >= CONNECTIONS_MAX {
            return Err(full);
        }
        member.connections.push(connection);
        member.heard = now.moment;
        let peer = Peer { door, session, subscription: None, in_flight: 0, in_flight_bytes: 0, unfinished: 0 };
        self.effects.push(Effect::Show(peer.session.clone()));
        self.peers.insert(connection, peer);
        Ok(())
    }

    /// A client has gone.
    pub fn disconnected(&mut self, connection: Connection, now: Now) {
        let Some(peer) = self.peers.remove(&connection) else { return };
        if let Some(member) = self.members.get_mut(&peer.session) {
            member.connections.retain(|other| *other != connection);
            member.unfinished = member.unfinished.saturating_sub(peer.unfinished);
            member.heard = now.moment;
            self.effects.push(Effect::Show(peer.session));
        }
    }

    /// Whether an answer to this client waits for the disk.
    pub fn is_waiting(&self, connection: Connection) -> bool {
        self.peers.get(&connection).is_some_and(|peer| peer.in_flight > 0)
    }

    /// Whether enough of this client's requests wait, so that no more should be read.
    pub fn is_busy(&self, connection: Connection) -> bool {
        let Some(peer) = self.peers.get(&connection) else { return false };
        if peer.in_flight >= IN_FLIGHT_MAX || peer.in_flight_bytes >= IN_FLIGHT_BYTES_MAX {
            return true;
        }
        let of_session = self.members.get(&peer.session).map_or(&[] as &[Connection], |member| &member.connections);
        let bytes = of_session.iter().filter_map(|other| Some(self.peers.get(other)?.in_flight_bytes));
        of_session.len() > 1 && bytes.sum::<usize>() >= IN_FLIGHT_BYTES_MAX
    }

    /// A client said something long: it counts as several requests.
    pub fn weigh(&mut self, connection: Connection, bytes: usize, now: Now) {
        let cost = u32::try_from(bytes / LONG).unwrap_or(u32::MAX);
        let Some(peer) = self.peers.get(&connection) else { return };
        if let Some(member) = self.members.get_mut(&peer.session) {
            // Whoever is asked to pause is asked for all of it with the request itself.
            member.requests.owe(now.ticks, cost);
        }
    }

    /// What a request weighs: as much as so many of the smallest ones.
    fn cost(&self, request: &Request) -> u32 {
        let (members, schedules) = (self.members.len(), self.schedules.len());
        let more = match request {
            // A page is read from the disk.
            Request::Inbox(_) | Request::Subscribe(_) => 20,
            Request::Ack(ack) => ack.ids.len() / 50,
            Request::Query(query) => match query.query {
                Question::ListSessions | Question::ActiveSessions => members / 32,
                Question::ActiveConnections => members / 256,
                Question::ReloadSchedule => schedules / 256,
                Question::SessionPath | Question::Status => 0,
            },
            Request::Open(_) | Request::Register(_) => members / 2000,
            _ => 0,
        };
        u32::try_from(more).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// A client holds so many bytes of a line that has no end yet.
    ///
    /// # Errors
    /// If its session holds too many of them, in all its connections.
    pub fn charge(&mut self, connection: Connection, unfinished: usize) -> Result<(), Refusal> {
        let most = self.policy.limits.message_size * UNFINISHED_LINES + UNFINISHED_MARGIN;
        let Some(peer) = self.peers.get_mut(&connection) else { return Ok(()) };
        let before = std::mem::replace(&mut peer.unfinished, unfinished);
        let Some(member) = self.members.get_mut(&peer.session) else { return Ok(()) };
        member.unfinished = (member.unfinished + unfinished).saturating_sub(before);
        if member.unfinished <= most {
            return Ok(());
        }
        let why =
            format!("{} has {} bytes of unfinished lines: finish them one by one", peer.session, member.unfinished);
        Err(Refusal::new(Reason::TooLarge, why))
    }

    /// A client said something.
    pub fn request(&mut self, connection: Connection, said: Result<(Envelope, Request), Malformed>, now: Now) {
        let Some(peer) = self.peers.get(&connection) else { return };
        let session = peer.session.clone();
        let cost = said.as_ref().map_or(1, |(_, request)| self.cost(request));
        let Some(member) = self.members.get_mut(&session) else { return };
        if member.closed {
            // Its connections are being closed; what was on the way to one that takes its time must not keep it here.
            return;
        }
        member.heard = now.moment;
        let wait = member.requests.owe(now.ticks, cost);
        if !wait.is_zero() {
            self.effects.push(Effect::Pause(connection, wait));
        }
        let (envelope, request) = match said {
            Ok(said) => said,
            Err(Malformed { request, word, refusal }) => {
                let word = word.unwrap_or_else(|| "request".to_owned());
                self.effects
                    .push(Effect::Write(connection, Reply::Response(Response::refused(word, request, refusal))));
                return;
            }
        };
        let head = Head { connection, query: request.word(), request: envelope.request };
        let claimed = envelope.internal_id;
        let handled = match self.check_role(&session, &request) {
            Err(refusal) => Err(refusal),
            Ok(()) => self.handle_claimed(&head, claimed, request, now),
        };
        if let Err(refusal) = handled {
            self.refuse(&head, refusal, now);
        }
    }

    fn handle_claimed(
        &mut self,
        head: &Head,
        claimed: Option<SessionName>,
        request: Request,
        now: Now,
    ) -> Result<(), Refusal> {
        match request {
            Request::Register(register) => self.register(head, claimed, register, now),
            request => {
                let session = self.claimed(head, claimed, now)?;
                self.handle(head, session, request, now)
            }
        }
    }

    fn handle(&mut self, head: &Head, session: SessionName, request: Request, now: Now) -> Result<(), Refusal> {
        match request {
            Request::Register(_) => Ok(()),
            Request::Associate(associate) => self.associate(head, session, associate, now),
            Request::Heartbeat(heartbeat) => self.heartbeat(head, session, heartbeat, now),
            Request::Prompt(prompt) => self.send(head, session, prompt.into(), now),
            Request::Command(command) => self.send(head, session, command.into(), now),
            Request::Eval(eval) => self.send(head, session, eval.into(), now),
            Request::Send(send) => self.send(head, session, send, now),
            Request::Response(respond) => self.respond(head, session, respond),
            Request::Query(query) => self.query(head, session, &query, now),
            Request::Inbox(inbox) => self.inbox(head, session, inbox),
            Request::Ack(ack) => self.ack(head, session, ack),
            Request::Subscribe(_) => self.subscribe(head, session),
            Request::Schedule(schedule) => self.schedule(head, session, schedule, now),
            Request::Cancel(cancel) => self.cancel(head, &session, cancel),
            Request::Put(put) => self.put(head, session, put, now),
            Request::Remove(remove) => self.remove(head, session, remove, now),
            Request::Open(open) => self.open(head, open, now),
            Request::Close(close) => self.close(head, close),
            Request::Stop(_) => self.stop(head),
            Request::Link(link) => self.link(head, &link, now),
            Request::Carry(carry) => self.carry(head, carry, now),
        }
    }

    /// What became of a commit.
    pub fn outcome(&mut self, token: Token, outcome: Outcome, now: Now) {
        let Some(pending) = self.settle(token) else { return };
        match pending {
            Pending::Sent { head, message, mailboxes } => self.sent(&head, *message, mailboxes, outcome, now),
            Pending::Fired { message, mailboxes, schedule } => {
                self.fired((*message, mailboxes), *schedule, outcome, now)
            }
            Pending::Opened { head, session } => self.opened(head, session, outcome),
            Pending::Registered { head, session, secret } => self.registered(&head, session, secret, outcome),
            Pending::Answered { head, data } => self.answer_with(&head, data, outcome),
            Pending::Scheduled { head, schedule } => self.scheduled(&head, *schedule, outcome),
            Pending::Cancelled { head, id } => self.cancelled(&head, id, outcome),
            Pending::Acked { head, mailbox, debts } => self.acked(&head, mailbox, debts, outcome),
            Pending::Closed { session, head } => self.closed(&session, head, outcome),
            Pending::Dropped { debts } => self.dropped(&debts, &outcome),
            Pending::Recorded { head, work } => self.recorded(head, *work, outcome),
            Pending::Again { .. }
            | Pending::Replying { .. }
            | Pending::Listed { .. }
            | Pending::Acking { .. }
            | Pending::Pumped { .. }
            | Pending::Closing { .. }
            | Pending::Status { .. }
            | Pending::Worked { .. }
            | Pending::Expiring => {}
        }
    }

    /// What the store answered.
    pub fn answered(&mut self, token: Token, answer: Answer, now: Now) {
        let Some(pending) = self.settle(token) else { return };
        match pending {
            Pending::Again { head, id } => self.sent_again(&head, &id, answer),
            Pending::Replying { head, respond } => self.replying(&head, *respond, answer, now),
            Pending::Listed { head } => self.listed(&head, answer),
            Pending::Acking { head, mailbox, ids } => self.acking(&head, mailbox, ids, answer),
            Pending::Pumped { connection, session } => self.pumped(connection, &session, answer),
            Pending::Closing { session, why, head } => self.closing(session, why, head, answer),
            Pending::Expiring => self.expiring(answer),
            Pending::Status { head } => self.status(&head, answer),
            Pending::Worked { head, group } => self.worked(&head, group, answer),
            _ => {}
        }
    }

    /// Puts deliveries on record that were made since the last time: to be called when a batch of outcomes was
    /// worked through.
    pub fn flush(&mut self) {
        let delivered = std::mem::take(&mut self.delivered);
        if !delivered.is_empty() {
            self.record(delivered.into_iter().map(|(mailbox, ids)| Event::Delivered { mailbox, ids }).collect());
        }
    }

    /// Tells everybody that the relay ends.
    pub fn end(&mut self) {
        self.closing = true;
        for connection in self.peers.keys() {
            let notice = Notice { name: "closing".to_owned(), data: None };
            self.effects.push(Effect::Write(*connection, Reply::Notice(notice)));
        }
    }

    fn answer(&mut self, head: &Head, data: impl Serialize) {
        // Plain structs of texts and numbers: JSON has a form for all of it.
        let data = serde_json::to_value(data).unwrap_or_default();
        let mut response = Response::done(head.query, head.request.clone(), data);
        response.internal_id = self.peers.get(&head.connection).map(|peer| peer.session.clone());
        self.effects.push(Effect::Write(head.connection, Reply::Response(response)));
    }

    fn answer_with(&mut self, head: &Head, data: serde_json::Value, outcome: Outcome) {
        match outcome {
            Outcome::Refused(refusal) => self.fail(head, refusal),
            Outcome::Done | Outcome::Known(_) => self.answer(head, data),
        }
    }

    fn fail(&mut self, head: &Head, refusal: Refusal) {
        let response = Response::refused(head.query, head.request.clone(), refusal);
        self.effects.push(Effect::Write(head.connection, Reply::Response(response)));
    }

    /// [`Self::fail`], and on record where the policy was tried.
    fn refuse(&mut self, head: &Head, refusal: Refusal, now: Now) {
        let session = self.peers.get(&head.connection).map(|peer| peer.session.clone());
        if let Some(event) = session.and_then(|name| self.members.get_mut(&name)?.refused(head.query, &refusal, now)) {
            self.record(vec![event]);
        }
        self.fail(head, refusal);
    }
}
