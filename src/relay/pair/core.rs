//! What the connections of one process share, and what they ask of it.

use super::super::client::connect;
use super::super::event::{Event, Proof, Session};
use super::super::hub::Now;
use super::super::name::{Address, Mailbox, MessageId, Recipient, SessionName};
use super::super::wire::answer::{
    Acked, Connections, Listed, Location, Nothing, Presence, Schedules, Seen, Sessions, Subscribed,
};
use super::super::wire::{Envelope, Kind, Query, Question, Reason, Refusal, Request, Send};
use super::audit::Audit;
use super::ends::{Drafted, Ends, Received};
use super::link::{Link, LinkError};
use super::plan::Plan;
use crate::moment::Moment;
use serde::Serialize;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify};

/// How long it may take to see whether the relay listens. Nothing else goes on meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// Messages that one request acknowledges.
const ACKS_MAX: usize = 1_000;

/// Which socket a connection came by: that is who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The sandbox's own.
    Inside,
    /// This pair's: the other end.
    Peer(usize),
}

pub(super) struct Core {
    pub plan: Plan,
    pub ends: RefCell<Ends>,
    audits: RefCell<Vec<Audit>>,
    /// A message came.
    pub arrived: Notify,
    /// One message at a time goes out: they go in order.
    sending: Mutex<()>,
    /// Connections by the sandbox's own socket.
    pub clients: Cell<u32>,
    started: Instant,
}

impl Core {
    pub(super) fn new(plan: Plan, audits: Vec<Audit>) -> Self {
        Self {
            ends: RefCell::new(Ends::new(plan.clone())),
            plan,
            audits: RefCell::new(audits),
            arrived: Notify::new(),
            sending: Mutex::new(()),
            clients: Cell::new(0),
            started: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { moment: Moment::now(), ticks: self.started.elapsed().as_millis() as u64 }
    }

    /// Puts the sandbox's begin or end on record, for every pair.
    pub(super) fn note(&self, ended: bool) {
        let Plan { session, user, uid, project, root, home, .. } = self.plan.clone();
        let now = Moment::now();
        let event = if ended {
            Event::Closed { session, why: "its sandbox has ended".to_owned() }
        } else {
            let (name, project, root, home) = (session, Some(project), Some(root), Some(home));
            Event::Opened(Session { name, uid, user, project, root, home, proof: Proof::Socket, opened: now })
        };
        for audit in self.audits.borrow_mut().iter_mut() {
            audit.flush(now);
            // Messages are refused where their own entries fail.
            let _ = audit.write(std::slice::from_ref(&event), now);
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, door: Door, envelope: &Envelope, request: Request) -> Result<Value, Refusal> {
        match door {
            Door::Inside => self.of_sandbox(envelope, request).await,
            Door::Peer(pair) => self.of_peer(pair, envelope, request),
        }
    }

    async fn of_sandbox(&self, envelope: &Envelope, request: Request) -> Result<Value, Refusal> {
        let own = &self.plan.session;
        if envelope.internal_id.as_ref().is_some_and(|claimed| claimed != own) {
            return Err(Refusal::new(Reason::Unauthenticated, format!("this socket is that of {own}")));
        }
        match request {
            Request::Register(_) => value(self.ends.borrow().registered()),
            Request::Associate(_) | Request::Heartbeat(_) => value(Nothing {}),
            Request::Prompt(prompt) => self.send(prompt.into()).await,
            Request::Command(command) => self.send(command.into()).await,
            Request::Eval(eval) => self.send(eval.into()).await,
            Request::Send(send) => self.send(send).await,
            Request::Response(respond) => {
                let send = self.ends.borrow().response(respond)?;
                self.send(send).await
            }
            Request::Inbox(inbox) => value::<Listed>(self.ends.borrow_mut().inbox.list(&inbox, Moment::now())),
            Request::Ack(ack) if ack.ids.len() > ACKS_MAX => {
                let why = format!("at most {ACKS_MAX} messages are acknowledged at once");
                Err(Refusal::new(Reason::TooLarge, why))
            }
            Request::Ack(ack) => value(self.ack(&ack.ids)),
            Request::Subscribe(_) => value(Subscribed { waiting: self.ends.borrow().inbox.count() }),
            Request::Query(query) => self.query(query).await,
            other => {
                let why = format!("'{}' takes the relay, which is not running", other.word());
                Err(Refusal::new(Reason::NotAllowed, format!("{why}: `rcc relay start` on the host starts it")))
            }
        }
    }

    async fn send(&self, send: Send) -> Result<Value, Refusal> {
        let _turn = self.sending.lock().await;
        self.check_relay()?;
        let kind = send.kind;
        let draft = match self.ends.borrow_mut().draft(send, self.now()) {
            Ok(Drafted::New(draft)) => draft,
            Ok(Drafted::Known(sent)) => return value(sent),
            Err(refusal) => return Err(self.refused(0, &self.plan.session, kind, refusal)),
        };
        let (pair, mut link) = self.reach(&draft.to, &draft.pairs).await?;
        let message = self.ends.borrow().outgoing(&draft, pair, &link.peer, Moment::now());
        self.audits.borrow_mut()[pair].ready(message.accepted)?;
        match link.send(Send { to: message.to.clone(), ..draft.send.clone() }).await {
            // On record only now: whose inbox is full would fill the disk here with what it refuses.
            Ok(()) => {
                let mailbox = Mailbox::Session(link.peer);
                let (id, mailboxes) = (message.id.clone(), vec![mailbox.clone()]);
                let accepted = Event::Accepted { message: message.clone(), mailboxes, next: None };
                let events = [accepted, Event::Delivered { mailbox, ids: vec![id.clone()] }];
                self.audits.borrow_mut()[pair].passed(&id, &events, Moment::now());
                value(self.ends.borrow_mut().went(*draft, &message))
            }
            Err(LinkError::Absent) => Err(absent(&draft.to.to_string())),
            Err(LinkError::Refused(refusal)) => {
                // Where nothing was answered it may have arrived: then it is on record there.
                let error = format!("{}: {}", message.id, refusal.error);
                self.refused(pair, &self.plan.session, kind, Refusal { error, ..refusal.clone() });
                Err(refusal)
            }
        }
    }

    /// Nothing goes past a relay that could take it.
    fn check_relay(&self) -> Result<(), Refusal> {
        let listens = |relay: &std::path::PathBuf| match connect::to(relay, LOOK) {
            Ok(_) => true,
            // Nobody has a place in its queue for whoever is refused otherwise: it is there, and busy.
            Err(error) => !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused),
        };
        if self.plan.relay.as_ref().is_some_and(listens) {
            let why = "the relay is running: send through it, on /run/rcc/relay.sock";
            return Err(Refusal::new(Reason::NotAllowed, why));
        }
        Ok(())
    }

    /// The one end that is meant and there.
    async fn reach(&self, to: &Address, pairs: &[usize]) -> Result<(usize, Link), Refusal> {
        let (mut found, mut refused) = (Vec::new(), None);
        for pair in pairs {
            match Link::open(&self.plan.pairs[*pair], &self.plan.session).await {
                Ok(link) if !matches!(&to.to, Recipient::Session(name) if *name != link.peer) => {
                    found.push((*pair, link))
                }
                Ok(_) | Err(LinkError::Absent) => {}
                Err(LinkError::Refused(refusal)) => refused = Some(refusal),
            }
        }
        if found.len() > 1 {
            let names: Vec<&str> = found.iter().map(|(_, link)| link.peer.as_str()).collect();
            let why = format!("{to} is several: {}", names.join(", "));
            return Err(Refusal::new(Reason::Ambiguous, why));
        }
        found.pop().ok_or_else(|| refused.unwrap_or_else(|| absent(&to.to_string())))
    }

    fn of_peer(&self, pair: usize, envelope: &Envelope, request: Request) -> Result<Value, Refusal> {
        let Some(from) = &envelope.internal_id else {
            return Err(Refusal::new(Reason::Unauthenticated, "between ends every request names its session"));
        };
        match request {
            Request::Register(_) => value(self.ends.borrow().registered()),
            Request::Send(send) => {
                let kind = send.kind;
                let received = self.receive(pair, from, send);
                received.map_err(|refusal| self.refused(pair, from, kind, refusal))
            }
            _ => Err(Refusal::new(Reason::NotAllowed, "between ends there is `register` and `send`")),
        }
    }

    fn receive(&self, pair: usize, from: &SessionName, send: Send) -> Result<Value, Refusal> {
        let received = self.ends.borrow_mut().receive(pair, from, send, self.now())?;
        let message = match received {
            Received::New(message) => *message,
            Received::Known(sent) => return value(sent),
        };
        let mailboxes = vec![Mailbox::Session(self.plan.session.clone())];
        self.record(pair, &[Event::Accepted { message: message.clone(), mailboxes, next: None }])?;
        let sent = self.ends.borrow_mut().keep(pair, message);
        self.arrived.notify_waiters();
        value(sent)
    }

    fn ack(&self, ids: &[MessageId]) -> Acked {
        let read = self.ends.borrow_mut().inbox.read(ids);
        let mailbox = Mailbox::Session(self.plan.session.clone());
        for pair in 0..self.plan.pairs.len() {
            let ids: Vec<_> = read.iter().filter(|(of, _)| *of == pair).map(|(_, id)| id.clone()).collect();
            if !ids.is_empty() {
                // It was read, whether that can be put on record or not.
                let _ = self.record(pair, &[Event::Read { mailbox: mailbox.clone(), ids }]);
            }
        }
        Acked { acked: read.len() as u32 }
    }

    fn record(&self, pair: usize, events: &[Event]) -> Result<(), Refusal> {
        self.audits.borrow_mut()[pair].write(events, Moment::now())
    }

    /// Puts on record that something did not pass. Of no pair's is of the first one's.
    fn refused(&self, pair: usize, session: &SessionName, kind: Kind, refusal: Refusal) -> Refusal {
        self.audits.borrow_mut()[pair].refused(session, kind.word(), &refusal.error, self.now());
        refusal
    }

    async fn query(&self, query: Query) -> Result<Value, Refusal> {
        let own = |session: &Option<SessionName>| session.as_ref().is_none_or(|name| *name == self.plan.session);
        match query.query {
            Question::ListSessions | Question::ActiveSessions => value(self.sessions().await),
            Question::ActiveConnections => value(Connections { connections: self.clients.get(), sessions: 1 }),
            Question::SessionPath if own(&query.session_id) => {
                value(Location { project: Some(self.plan.project.clone()), root: None })
            }
            Question::SessionPath => Err(Refusal::new(Reason::NoRecipient, "the relay knows that, and is not running")),
            Question::ReloadSchedule => value(Schedules { schedules: Vec::new() }),
            Question::Status => Err(Refusal::new(Reason::NotAllowed, "a sandbox may not ask that")),
        }
    }

    /// The sandbox itself and who is at the other ends.
    async fn sessions(&self) -> Sessions {
        let now = Moment::now();
        let seen = |name: &SessionName, project, user: &str, own: bool| Seen {
            name: name.clone(),
            project: Some(project),
            user: user.to_owned(),
            title: None,
            client_id: None,
            state: Presence::Here,
            opened: now,
            heard: now,
            waiting: if own { self.ends.borrow().inbox.count() } else { 0 },
            figures: None,
            own,
        };
        let mut sessions = vec![seen(&self.plan.session, self.plan.project.clone(), &self.plan.user, true)];
        for pair in &self.plan.pairs {
            if let Ok(link) = Link::open(pair, &self.plan.session).await {
                sessions.push(seen(&link.peer, pair.peer_project.clone(), &pair.peer_user, false));
            }
        }
        Sessions { sessions, groups: Vec::new() }
    }
}

fn absent(whom: &str) -> Refusal {
    let why = format!("the relay is not running, and {whom} is not there to be reached directly");
    let advice =
        "what goes directly is not kept for later: try again when its sandbox runs, or `rcc relay start` on the host";
    Refusal::new(Reason::NoRecipient, format!("{why}; {advice}"))
}

fn value<T: Serialize>(answer: T) -> Result<Value, Refusal> {
    serde_json::to_value(answer).map_err(|error| Refusal::new(Reason::Malformed, error.to_string()))
}
