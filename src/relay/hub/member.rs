//! A session as the hub holds it.

use super::super::commit::{Remembered, Waiting};
use super::super::event::{Event, Proof, Session};
use super::super::name::Mailbox;
use super::super::policy::{Limits, Party};
use super::super::wire::answer::Presence;
use super::super::wire::{Figures, Reason, Refusal};
use super::{Connection, Now, REQUESTS_BURST, REQUESTS_RATE};
use crate::moment::Moment;
use crate::rate::Bucket;
use std::time::Duration;

/// At most one refusal of a session comes on record in this time; the others are counted.
const REFUSALS_APART: Duration = Duration::from_secs(10);

/// A session.
#[derive(Debug)]
pub struct Member {
    /// As it was opened.
    pub session: Session,
    /// Whether it has ended.
    pub closed: bool,
    /// A name for people.
    pub title: Option<String>,
    /// The client's own id.
    pub client_id: Option<String>,
    /// The context window.
    pub figures: Option<Figures>,
    /// When it was last heard of.
    pub heard: Moment,
    /// When it began, or this daemon did, by the clock that never goes back.
    pub(super) begun: u64,
    /// The highest number of a message of its.
    pub last_seq: u64,
    /// The highest of those that are on disk, and how many are on their way there.
    pub(super) kept_seq: u64,
    pub(super) sending: u32,
    /// What it sent and nobody read yet.
    pub sent: Waiting,
    /// Its clients.
    pub(super) connections: Vec<Connection>,
    /// Messages.
    pub(super) rate: Bucket,
    /// Requests of any kind.
    pub(super) requests: Bucket,
    /// Bytes of lines that are not finished, of all connections.
    pub(super) unfinished: usize,
    /// Refusals since the last one on record, and when that was.
    refusals: u64,
    refusal_told: Option<u64>,
    /// When figures were last put on record.
    pub(super) figures_told: Option<u64>,
}

impl Member {
    pub(super) fn new(session: Session, limits: &Limits) -> Self {
        Self {
            heard: session.opened,
            begun: 0,
            session,
            closed: false,
            title: None,
            client_id: None,
            figures: None,
            last_seq: 0,
            kept_seq: 0,
            sending: 0,
            sent: Waiting::default(),
            connections: Vec::new(),
            rate: Bucket::new(limits.rate, limits.burst),
            requests: Bucket::new(REQUESTS_RATE, REQUESTS_BURST),
            unfinished: 0,
            refusals: 0,
            refusal_told: None,
            figures_told: None,
        }
    }

    pub(super) fn remembered(of: Remembered, limits: &Limits) -> Self {
        let Remembered { session, closed, title, client_id, figures, last_seq, heard } = of;
        Self { closed, title, client_id, figures, last_seq, kept_seq: last_seq, heard, ..Self::new(session, limits) }
    }

    pub(super) fn limit(&mut self, limits: &Limits) {
        self.rate = Bucket::new(limits.rate, limits.burst);
    }

    /// Whether a sandbox's socket stands for it.
    pub fn is_sandbox(&self) -> bool {
        self.session.proof == Proof::Socket
    }

    /// Whether it is a person.
    pub fn is_person(&self) -> bool {
        self.session.proof == Proof::Person
    }

    /// Whether it stands for the other hosts of the cluster.
    pub fn is_bridge(&self) -> bool {
        self.session.proof == Proof::Bridge
    }

    /// Whether it is a session: neither a person nor the bridge.
    pub fn is_agent(&self) -> bool {
        !self.is_person() && !self.is_bridge()
    }

    /// Where its messages wait.
    pub fn mailbox(&self) -> Mailbox {
        match self.session.proof {
            Proof::Person => Mailbox::User(self.session.uid),
            Proof::Bridge => Mailbox::Cluster,
            Proof::Socket | Proof::Secret(_) => Mailbox::Session(self.session.name.clone()),
        }
    }

    /// As the policy sees it.
    pub fn party(&self) -> Party<'_> {
        let Session { name, uid, user, project, root, .. } = &self.session;
        Party {
            session: self.is_agent().then_some(name),
            uid: *uid,
            user,
            project: project.as_ref(),
            root: root.as_deref(),
            host: None,
        }
    }

    /// Whether it is there.
    pub fn presence(&self, limits: &Limits, now: Moment) -> Presence {
        if self.closed {
            Presence::Ended
        } else if !self.connections.is_empty() || now.since(self.heard) < limits.heartbeat_expiry {
            Presence::Here
        } else {
            Presence::Away
        }
    }

    /// Counts a refusal; now and then one is worth a line in the audit.
    pub(super) fn refused(&mut self, what: &str, refusal: &Refusal, now: Now) -> Option<Event> {
        let of_policy = matches!(
            refusal.reason,
            Reason::NotAllowed
                | Reason::RateLimited
                | Reason::Quota
                | Reason::Unauthenticated
                | Reason::Replayed
                | Reason::NoRecipient
                | Reason::TooLarge
        );
        if !of_policy {
            return None;
        }
        self.refusals += 1;
        let apart = REFUSALS_APART.as_millis() as u64;
        if self.refusal_told.is_some_and(|told| now.ticks.saturating_sub(told) < apart) {
            return None;
        }
        self.refusal_told = Some(now.ticks);
        let count = std::mem::take(&mut self.refusals);
        let session = self.session.name.clone();
        Some(Event::Refused { session, what: what.to_owned(), why: refusal.error.clone(), count })
    }
}
