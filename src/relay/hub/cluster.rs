//! Other hosts: the bridge takes what goes to them, and brings what comes from them.
//!
//! What the bridge brings is another relay's word. It is checked and cleaned here as if it came from a client, and
//! nothing of it is believed but its text, its number and the names of its session and project on that host.

use super::super::event::{Event, Proof, Session};
use super::super::name::{Address, HostName, Mailbox, SessionName};
use super::super::text::{self, Roots};
use super::super::wire::answer::{ClusterState, Linked};
use super::super::wire::{Carry, Link, Message, Reason, Refusal, Request, Sender};
use super::resolve::{NO_UID, Origin};
use super::{Connection, Head, Hub, Member, Now, Pending};

/// Bytes of a login name on another host.
const USER_MAX: usize = 64;

/// The bridge's session. No sandbox's and no client's session has a dot in its name, and no person's begins so.
pub(super) fn bridge_name() -> SessionName {
    "relay.cluster".parse().expect("letters and a dot are a name")
}

impl Hub {
    /// The bridge is no session and does nothing that one does; nobody else does what it does.
    pub(super) fn check_role(&self, session: &SessionName, request: &Request) -> Result<(), Refusal> {
        let is_bridge = self.members.get(session).is_some_and(Member::is_bridge);
        match request {
            Request::Ack(_) | Request::Subscribe(_) | Request::Heartbeat(_) => Ok(()),
            Request::Carry(_) if is_bridge => Ok(()),
            Request::Carry(_) => Err(not_allowed("`carry` is for the relay's bridge, after `link`")),
            _ if is_bridge => Err(not_allowed("the bridge takes messages and carries them, and nothing else")),
            _ => Ok(()),
        }
    }

    /// Messages go to other hosts through one bridge, so that they go in their order.
    pub(super) fn check_only_bridge(&self, connection: Connection, session: &SessionName) -> Result<(), Refusal> {
        let is_bridge = self.members.get(session).is_some_and(Member::is_bridge);
        if is_bridge && self.bridge().is_some_and(|other| other != connection) {
            return Err(not_allowed("another bridge is linked: end that one"));
        }
        Ok(())
    }

    /// The connection that takes what goes to other hosts.
    fn bridge(&self) -> Option<Connection> {
        let taken =
            |connection: &&Connection| self.peers.get(connection).is_some_and(|peer| peer.subscription.is_some());
        self.members.get(&bridge_name())?.connections.iter().find(taken).copied()
    }

    pub(super) fn cluster_state(&self) -> Option<ClusterState> {
        let host = self.policy.cluster.as_ref()?.host.clone();
        let waiting = self.waiting.get(&Mailbox::Cluster).map_or(0, |waiting| waiting.messages);
        Some(ClusterState { host, linked: self.bridge().is_some(), waiting })
    }

    pub(super) fn link(&mut self, head: &Head, link: &Link, now: Now) -> Result<(), Refusal> {
        let uid = self.host_program(head, "link")?;
        if uid != self.own.uid {
            let why = format!("the bridge runs as the relay's own user, uid {}; you are uid {uid}", self.own.uid);
            return Err(not_allowed(why));
        }
        let Some(cluster) = &self.policy.cluster else {
            return Err(not_allowed("this relay belongs to no cluster: [relay.cluster] makes it one of several"));
        };
        let host = cluster.host.clone();
        let name = bridge_name();
        if self.members.get(&name).is_none_or(|member| member.closed || member.session.uid != uid) {
            let session = Session {
                name: name.clone(),
                uid,
                user: self.login(uid),
                project: None,
                root: None,
                home: None,
                proof: Proof::Bridge,
                opened: now.moment,
            };
            self.record(vec![Event::Opened(session.clone())]);
            self.members.insert(name.clone(), Member::new(session, &self.policy.limits));
        }
        self.attach(head.connection, &name, now)?;
        if let Some(payload) = link.payload {
            self.carried_max = Some(usize::try_from(payload).unwrap_or(usize::MAX));
        }
        let message_size = self.policy.limits.message_size;
        self.answer(head, Linked { host, message_size });
        Ok(())
    }

    /// Whether a message that goes to another host fits through what is between.
    pub(super) fn check_carried(&self, message: &Message, mailboxes: &[Mailbox]) -> Result<(), Refusal> {
        let Some(most) = self.carried_max.filter(|_| mailboxes.contains(&Mailbox::Cluster)) else { return Ok(()) };
        let bytes = serde_json::to_vec(message).map_or(usize::MAX, |json| json.len());
        if bytes <= most {
            return Ok(());
        }
        let why = format!("the message has {bytes} bytes as JSON, and NATS carries {most}: send it in parts");
        Err(Refusal::new(Reason::TooLarge, why))
    }

    /// A message from another host: this relay's own policy decides whether it comes in, and where it waits.
    pub(super) fn carry(&mut self, head: &Head, carry: Carry, now: Now) -> Result<(), Refusal> {
        let Carry { message, from_host } = carry;
        let own = self.policy.cluster.as_ref().map(|cluster| &cluster.host);
        if own.is_none() || message.to.host.as_ref() != own || own == Some(&from_host) {
            // The configuration changed: the bridge is to begin anew, and not to take this for an answer.
            let why = format!("{} from {from_host} is not for this relay", message.to);
            return Err(Refusal::new(Reason::Unauthenticated, why));
        }
        let name = format!("{}@{from_host}", message.from.session);
        let origin = Origin::remote(&message.from.session, message.from.project.as_ref(), &from_host, &name);
        let mailboxes = self.resolve(origin, &message.to.to, message.kind)?;
        let message = self.received(*message, from_host, now)?;
        let (mailboxes, full) = self.with_room(None, mailboxes, message.text.len() as u64)?;
        self.left_out(&bridge_name(), &full);
        self.reserve(&message, &mailboxes);
        let event = Event::Accepted { message: message.clone(), mailboxes: mailboxes.clone(), next: None };
        self.commit(vec![event], Pending::Sent { head: head.clone(), message: Box::new(message), mailboxes });
        Ok(())
    }

    /// As this relay keeps it.
    fn received(&self, message: Message, from_host: HostName, now: Now) -> Result<Message, Refusal> {
        let malformed = |why: &str| Refusal::new(Reason::Malformed, format!("a message from {from_host}: {why}"));
        let id = message.id.of_host(&from_host).ok_or_else(|| malformed("no relay gives such an id"))?;
        if message.from.user.len() > USER_MAX || message.from.user.chars().any(char::is_control) {
            return Err(malformed("its user has no login name"));
        }
        if message.expires <= now.moment {
            return Err(Refusal::new(Reason::NotFound, format!("the time of {id} was over on its way")));
        }
        let limits = &self.policy.limits;
        let too_large = || Refusal::new(Reason::TooLarge, format!("{id} has more than {} bytes", limits.message_size));
        if message.text.len() > limits.message_size {
            return Err(too_large());
        }
        let nowhere = Roots { root: None, project: None, home: None };
        let cleaned = text::clean(&message.text, self.policy.mask_paths.then_some(&nowhere), limits.message_size);
        let cleaned = cleaned.map_err(|_| too_large())?;
        let Sender { session, project, user, .. } = message.from;
        Ok(Message {
            id,
            // The uid is one of that host's, where it may be anybody's.
            from: Sender { session, project, user, uid: NO_UID, host: Some(from_host) },
            to: Address { to: message.to.to, host: None },
            kind: message.kind,
            text: cleaned.text,
            reply_to: message.reply_to,
            seq: message.seq,
            accepted: now.moment,
            expires: message.expires.min(now.moment.after(limits.message_expiry)),
            schedule: None,
        })
    }
}

fn not_allowed(why: impl Into<String>) -> Refusal {
    Refusal::new(Reason::NotAllowed, why)
}
