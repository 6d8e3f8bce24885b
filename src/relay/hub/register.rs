//! Who a connection speaks for.

use super::super::commit::Outcome;
use super::super::event::{Event, Proof, Session};
use super::super::name::SessionName;
use super::super::text::one_line;
use super::super::wire::answer::{Ceilings, Nothing, Registered};
use super::super::wire::{Associate, Heartbeat, Reason, Refusal, Register, VERSION};
use super::{CONNECTIONS_MAX, Connection, Door, Effect, Head, Hub, Member, Now, Pending};
use crate::shown::is_unseen;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

/// Bytes of a secret.
const SECRET: usize = 32;
/// Bytes of a title and of a model's name.
const TITLE_MAX: usize = 64;
/// Bytes of a client's own id.
const CLIENT_ID_MAX: usize = 128;
/// Sessions that have ended are remembered, since their names must not come again: so many of one user's for each
/// that may be open.
const ENDED: usize = 100;
/// Milliseconds between two records of a session's figures.
const FIGURES_APART: u64 = 10_000;

/// The session of the person with this uid. No sandbox's and no client's session has a dot in its name.
pub(super) fn person_name(uid: u32) -> SessionName {
    format!("user.{uid}").parse().expect("letters, a dot and digits are a name")
}

impl Hub {
    /// The person's session, made when it is first needed.
    pub(super) fn person(&mut self, uid: u32, user: &str, now: Now) -> SessionName {
        let name = person_name(uid);
        if self.members.get(&name).is_none_or(|member| member.closed) {
            let session = Session {
                name: name.clone(),
                uid,
                user: user.to_owned(),
                project: None,
                root: None,
                home: None,
                proof: Proof::Person,
                opened: now.moment,
            };
            self.record(vec![Event::Opened(session.clone())]);
            self.members.insert(name.clone(), Member::new(session, &self.policy.limits));
        }
        name
    }

    /// The session that a request is for: the connection's. Where the policy believes clients on the shared
    /// socket, the one that they say they are, if it is the same user's.
    pub(super) fn claimed(
        &mut self,
        head: &Head,
        claimed: Option<SessionName>,
        now: Now,
    ) -> Result<SessionName, Refusal> {
        let Some(peer) = self.peers.get(&head.connection) else { return Err(super::send::unknown(&person_name(0))) };
        let own = peer.session.clone();
        let Some(claimed) = claimed.filter(|claimed| *claimed != own) else { return Ok(own) };
        let uid = match &peer.door {
            Door::Shared { uid, .. } if !self.policy.require_session_auth => *uid,
            _ => {
                let why =
                    format!("this connection is {own}, not {claimed}: `register` with that session's secret first");
                return Err(Refusal::new(Reason::Unauthenticated, why));
            }
        };
        let registered = |member: &&Member| matches!(member.session.proof, Proof::Secret(_)) && !member.closed;
        if self.members.get(&claimed).filter(registered).is_some_and(|member| member.session.uid == uid) {
            self.attach(head.connection, &claimed, now)?;
            return Ok(claimed);
        }
        Err(Refusal::new(
            Reason::Unauthenticated,
            format!("there is no session {claimed} of yours that was registered"),
        ))
    }

    /// Makes a connection that of another session.
    pub(super) fn attach(&mut self, connection: Connection, session: &SessionName, now: Now) -> Result<(), Refusal> {
        let Some(peer) = self.peers.get_mut(&connection) else { return Ok(()) };
        if peer.session == *session {
            return Ok(());
        }
        let member = self.members.get_mut(session).ok_or_else(|| super::send::unknown(session))?;
        if member.connections.len() >= CONNECTIONS_MAX {
            let why = format!("{session} has {CONNECTIONS_MAX} connections already: close some of them");
            return Err(Refusal::new(Reason::Quota, why));
        }
        member.connections.push(connection);
        member.heard = now.moment;
        let before = std::mem::replace(&mut peer.session, session.clone());
        peer.subscription = None;
        let unfinished = peer.unfinished;
        member.unfinished += unfinished;
        if let Some(member) = self.members.get_mut(&before) {
            member.connections.retain(|other| *other != connection);
            member.unfinished = member.unfinished.saturating_sub(unfinished);
        }
        Ok(())
    }

    pub(super) fn register(
        &mut self,
        head: &Head,
        claimed: Option<SessionName>,
        register: Register,
        now: Now,
    ) -> Result<(), Refusal> {
        let Register { name, session_id, secret, version } = register;
        if version.is_some_and(|version| version != VERSION) {
            return Err(Refusal::new(
                Reason::Malformed,
                format!("this relay speaks version {VERSION} of the protocol"),
            ));
        }
        check_length("name", name.as_deref(), TITLE_MAX)?;
        check_client_id(session_id.as_deref())?;
        // Status lines show it as it is.
        let name = name.map(|name| one_line(&name, TITLE_MAX));
        let Some(peer) = self.peers.get(&head.connection) else { return Ok(()) };
        match (&peer.door, claimed, secret) {
            (Door::Session(own), claimed, None) if claimed.as_ref().is_none_or(|claimed| claimed == own) => {
                let session = own.clone();
                self.meet(head, session, name, session_id, now)
            }
            (Door::Session(own), ..) => {
                let why = format!("this socket is {own}'s: who uses it is {own}, and needs no secret");
                Err(Refusal::new(Reason::Unauthenticated, why))
            }
            (Door::Shared { uid, .. }, Some(session), secret) => {
                let uid = *uid;
                self.authenticate(&session, uid, secret.as_deref())?;
                self.attach(head.connection, &session, now)?;
                self.meet(head, session, name, session_id, now)
            }
            (Door::Shared { uid, user }, None, None) => {
                let (uid, user) = (*uid, user.clone());
                self.register_new(head, (uid, user), name, session_id, now)
            }
            (Door::Shared { .. }, None, Some(_)) => {
                let why = "a secret is that of a session: name it by `internal_id`";
                Err(Refusal::new(Reason::Malformed, why))
            }
        }
    }

    fn authenticate(&self, session: &SessionName, uid: u32, secret: Option<&str>) -> Result<(), Refusal> {
        let wrong = || {
            let why =
                format!("there is no session {session} of yours with that secret: `register` without it makes one");
            Refusal::new(Reason::Unauthenticated, why)
        };
        let member = self.members.get(session).filter(|member| !member.closed && member.session.uid == uid);
        let Proof::Secret(digest) = &member.ok_or_else(wrong)?.session.proof else { return Err(wrong()) };
        match secret {
            None if !self.policy.require_session_auth => Ok(()),
            Some(secret) if same(digest, &hexadecimal(&Sha256::digest(secret))) => Ok(()),
            _ => Err(wrong()),
        }
    }

    fn register_new(
        &mut self,
        head: &Head,
        (uid, user): (u32, String),
        title: Option<String>,
        client_id: Option<String>,
        now: Now,
    ) -> Result<(), Refusal> {
        self.check_count(uid)?;
        self.meter(&person_name(uid), now)?;
        let entropy = || Refusal::new(Reason::Storage, "the kernel gives no random numbers");
        let mut random = [0; SECRET + 4];
        getrandom(&mut random, GetRandomFlags::empty()).map_err(|_| entropy())?;
        let (secret, suffix) = random.split_at(SECRET);
        let secret = hexadecimal(secret);
        let name = self.free_name(title.as_deref().unwrap_or("client"), suffix)?;
        let session = Session {
            name: name.clone(),
            uid,
            user,
            project: None,
            root: None,
            home: None,
            proof: Proof::Secret(hexadecimal(&Sha256::digest(&secret))),
            opened: now.moment,
        };
        let met =
            Event::Met { session: name.clone(), title: title.clone(), client_id: client_id.clone(), figures: None };
        let mut member = Member::new(session.clone(), &self.policy.limits);
        (member.title, member.client_id) = (title, client_id);
        self.members.insert(name.clone(), member);
        self.attach(head.connection, &name, now)?;
        let pending = Pending::Registered { head: head.clone(), session: name, secret: Some(secret) };
        self.commit(vec![Event::Opened(session), met], pending);
        Ok(())
    }

    /// Whether the user may have one more session.
    pub(super) fn check_count(&self, uid: u32) -> Result<(), Refusal> {
        let of_user = |member: &&Member| member.session.uid == uid && !member.closed;
        let (count, most) = (self.members.values().filter(of_user).count(), self.policy.limits.sessions);
        let ended = self.members.values().filter(|member| member.session.uid == uid && member.closed).count();
        if ended >= most as usize * ENDED {
            let why = format!("{ended} sessions of yours have ended, and are remembered as long as the audit is kept");
            return Err(Refusal::new(Reason::Quota, format!("{why}: raise relay.max_sessions")));
        }
        if count < most as usize {
            return Ok(());
        }
        Err(Refusal::new(Reason::Quota, format!("{count} sessions are open, and relay.max_sessions is {most}")))
    }

    /// A name that no session has or had, made of a text and a few random digits.
    fn free_name(&self, text: &str, random: &[u8]) -> Result<SessionName, Refusal> {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let text: String = text.chars().map(plain).take(32).collect();
        let text = match text.trim_matches('-') {
            "" => "client",
            text => text,
        };
        let name = format!("{text}-{}", hexadecimal(random));
        let name = name.parse().map_err(|error| Refusal::new(Reason::Malformed, format!("`name`: {error}")))?;
        if self.members.contains_key(&name) {
            return Err(Refusal::new(Reason::Quota, "two sessions got one name by chance: register again"));
        }
        Ok(name)
    }

    /// Notes what a client said of itself, and answers its `register`.
    fn meet(
        &mut self,
        head: &Head,
        session: SessionName,
        title: Option<String>,
        client_id: Option<String>,
        now: Now,
    ) -> Result<(), Refusal> {
        let Some(member) = self.members.get(&session) else { return Err(super::send::unknown(&session)) };
        let known =
            (title.is_none() || title == member.title) && (client_id.is_none() || client_id == member.client_id);
        if known {
            self.registered(head, session, None, Outcome::Done);
            return Ok(());
        }
        // It goes to the disk like a message.
        self.meter(&session, now)?;
        let Some(member) = self.members.get_mut(&session) else { return Err(super::send::unknown(&session)) };
        let pending = Pending::Registered { head: head.clone(), session: session.clone(), secret: None };
        member.title = title.clone().or(member.title.take());
        member.client_id = client_id.clone().or(member.client_id.take());
        self.commit(vec![Event::Met { session, title, client_id, figures: None }], pending);
        Ok(())
    }

    pub(super) fn registered(&mut self, head: &Head, session: SessionName, secret: Option<String>, outcome: Outcome) {
        if let Outcome::Refused(refusal) = outcome {
            // A new one, which nobody can prove to be.
            if let Some(member) = secret.and_then(|_| self.members.get_mut(&session)) {
                member.closed = true;
                self.fail(head, refusal);
                return self.effects.push(Effect::Close(head.connection));
            }
            return self.fail(head, refusal);
        }
        let limits = &self.policy.limits;
        let bounds = Ceilings { message_size: limits.message_size, rate: limits.rate };
        self.effects.push(Effect::Show(session.clone()));
        self.answer(head, Registered { version: VERSION, session, secret, limits: bounds });
    }

    pub(super) fn associate(
        &mut self,
        head: &Head,
        session: SessionName,
        associate: Associate,
        now: Now,
    ) -> Result<(), Refusal> {
        check_client_id(Some(&associate.session_id))?;
        let known = |member: &Member| member.client_id.as_ref() == Some(&associate.session_id);
        if self.members.get(&session).is_some_and(known) {
            self.answer(head, Nothing {});
            return Ok(());
        }
        // It goes to the disk like a message.
        self.meter(&session, now)?;
        let Some(member) = self.members.get_mut(&session) else { return Err(super::send::unknown(&session)) };
        member.client_id = Some(associate.session_id.clone());
        self.effects.push(Effect::Show(session.clone()));
        let event = Event::Met { session, title: None, client_id: Some(associate.session_id), figures: None };
        self.commit(vec![event], Pending::Answered { head: head.clone(), data: serde_json::json!({}) });
        Ok(())
    }

    pub(super) fn heartbeat(
        &mut self,
        head: &Head,
        session: SessionName,
        heartbeat: Heartbeat,
        now: Now,
    ) -> Result<(), Refusal> {
        let mut figures = heartbeat.data;
        if let Some(model) = figures.as_mut().and_then(|figures| figures.model.as_mut()) {
            check_length("model", Some(model), TITLE_MAX)?;
            *model = one_line(model, TITLE_MAX);
        }
        let Some(member) = self.members.get_mut(&session) else { return Err(super::send::unknown(&session)) };
        if let Some(figures) = figures.filter(|figures| member.figures.as_ref() != Some(figures)) {
            member.figures = Some(figures.clone());
            // They change with every step of an agent, and only the last ones are of use.
            if member.figures_told.is_none_or(|told| now.ticks.saturating_sub(told) >= FIGURES_APART) {
                member.figures_told = Some(now.ticks);
                self.record(vec![Event::Met {
                    session: session.clone(),
                    title: None,
                    client_id: None,
                    figures: Some(figures),
                }]);
            }
            self.effects.push(Effect::Show(session));
        }
        self.answer(head, Nothing {});
        Ok(())
    }
}

fn check_length(field: &str, text: Option<&str>, most: usize) -> Result<(), Refusal> {
    let fits = text.is_none_or(|text| text.len() <= most);
    if fits { Ok(()) } else { Err(Refusal::new(Reason::TooLarge, format!("`{field}` has at most {most} bytes"))) }
}

/// It is compared with the client's own, so that it stays as it is or is refused.
fn check_client_id(id: Option<&str>) -> Result<(), Refusal> {
    check_length("session_id", id, CLIENT_ID_MAX)?;
    match id.is_some_and(|id| id.contains(is_unseen)) {
        true => {
            Err(Refusal::new(Reason::Malformed, "`session_id` has no control characters, and none that nobody sees"))
        }
        false => Ok(()),
    }
}

/// In a time that does not depend on where they differ. Both are digests, of one length.
fn same(one: &str, other: &str) -> bool {
    let differ = one.bytes().zip(other.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0 && one.len() == other.len()
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
