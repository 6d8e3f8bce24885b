//! What a host's program may ask: sessions for sandboxes, and the end of the relay.

use super::super::commit::Outcome;
use super::super::event::{Event, Proof, Session};
use super::super::name::{Mailbox, ProjectName, SessionName};
use super::super::wire::answer::{Nothing, Opened};
use super::super::wire::{Close, Open, Reason, Refusal};
use super::register::hexadecimal;
use super::{Answer, Ask, Effect, Head, Hub, Made, Member, Now, Pending};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};
use std::path::Path;

impl Hub {
    pub(super) fn open(&mut self, head: &Head, open: Open, now: Now) -> Result<(), Refusal> {
        let uid = self.host_program(head, "open")?;
        self.check_count(uid)?;
        let Open { session, root, project, home } = open;
        if !root.is_absolute() || !home.is_absolute() {
            return Err(Refusal::new(Reason::Malformed, "`root` and `home` are absolute paths"));
        }
        if session.as_str().contains('.') {
            return Err(Refusal::new(Reason::Malformed, "a sandbox's session has no dot in its name"));
        }
        let name = self.unused(session)?;
        let user = self.members.get(&super::register::person_name(uid)).map(|member| member.session.user.clone());
        let session = Session {
            name: name.clone(),
            uid,
            user: user.unwrap_or_else(|| uid.to_string()),
            project: Some(self.project_name(uid, project, &root)),
            root: Some(root),
            home: Some(home),
            proof: Proof::Socket,
            opened: now.moment,
        };
        let mut events = vec![Event::Opened(session.clone())];
        let waiting = session.project.clone().map(|project| Mailbox::Project(uid, project));
        if let Some(mailbox) = waiting.filter(|mailbox| self.waiting.contains_key(mailbox)) {
            events.push(Event::Claimed { mailbox, session: name.clone() });
        }
        let mut member = Member::new(session, &self.policy.limits);
        member.begun = now.ticks;
        self.members.insert(name.clone(), member);
        self.commit(events, Pending::Opened { head: head.clone(), session: name });
        Ok(())
    }

    /// The name, or another one that begins so where it is or was somebody's.
    fn unused(&self, name: SessionName) -> Result<SessionName, Refusal> {
        if !self.members.contains_key(&name) {
            return Ok(name);
        }
        let mut random = [0; 4];
        let entropy = || Refusal::new(Reason::Storage, "the kernel gives no random numbers");
        getrandom(&mut random, GetRandomFlags::empty()).map_err(|_| entropy())?;
        let longer = format!("{name}-{}", hexadecimal(&random));
        let taken = || Refusal::new(Reason::Malformed, format!("the name {name} is taken: choose another one"));
        longer.parse().ok().filter(|name| !self.members.contains_key(name)).ok_or_else(taken)
    }

    /// The project's name; with digits of its path where another project of the user's has that name.
    fn project_name(&self, uid: u32, name: ProjectName, root: &Path) -> ProjectName {
        let base = name.as_str().split_once('~').map_or(name.as_str(), |(base, _)| base);
        let of_user = |member: &&Member| member.session.uid == uid;
        let others = self
            .members
            .values()
            .filter(of_user)
            .filter_map(|member| Some((member.session.root.as_deref()?, member.session.project.as_ref()?)));
        let mut taken = false;
        for (other, project) in others {
            // Whoever worked there before keeps the name for it.
            if other == root && project.as_str().split('~').next() == Some(base) {
                return project.clone();
            }
            taken |= project.as_str() == base;
        }
        let plain = base.parse().unwrap_or_else(|_| name.clone());
        if !taken {
            return plain;
        }
        let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
        let longer: String = base.chars().take(50).collect();
        format!("{longer}~{}", hexadecimal(&digest[..4])).parse().unwrap_or(plain)
    }

    pub(super) fn opened(&mut self, head: Head, session: SessionName, outcome: Outcome) {
        match outcome {
            Outcome::Refused(refusal) => {
                self.members.remove(&session);
                self.fail(&head, refusal);
            }
            Outcome::Done | Outcome::Known(_) => {
                self.claim(&session);
                if self.members.get(&session).is_none_or(|member| member.closed) {
                    let why = format!("{session} was closed before it was open");
                    return self.fail(&head, Refusal::new(Reason::NoRecipient, why));
                }
                self.opening.insert(session.clone(), head);
                self.effects.push(Effect::Listen(session));
            }
        }
    }

    /// What waited for the project waits for its session now.
    fn claim(&mut self, session: &SessionName) {
        let Some(member) = self.members.get(session) else { return };
        let Some(project) = member.session.project.clone() else { return };
        if let Some(waiting) = self.waiting.remove(&Mailbox::Project(member.session.uid, project)) {
            let own = self.waiting.entry(Mailbox::Session(session.clone())).or_default();
            own.messages += waiting.messages;
            own.bytes += waiting.bytes;
        }
    }

    /// A session's socket is there, or cannot be made. One that goes on is not ended for that: it is tried again.
    pub fn listening(&mut self, session: &SessionName, made: Result<Made, Refusal>) {
        let head = self.opening.remove(session);
        match (made, head) {
            (Ok(Made { directory, lease, groups }), Some(head)) => {
                self.answer(&head, Opened { session: session.clone(), directory, lease, groups });
                self.effects.push(Effect::Show(session.clone()));
            }
            (Ok(_), None) => {}
            (Err(refusal), Some(head)) => {
                self.fail(&head, refusal.clone());
                self.end_session(session.clone(), refusal.error, None);
            }
            (Err(_), None) => self.unheard.push(session.clone()),
        }
    }

    pub(super) fn close(&mut self, head: &Head, close: Close) -> Result<(), Refusal> {
        let uid = self.host_program(head, "close")?;
        let own = |member: &&Member| member.session.uid == uid && !member.closed && member.is_agent();
        if self.members.get(&close.session).filter(own).is_none() {
            return Err(super::send::unknown(&close.session));
        }
        self.end_session(close.session, "its launcher ended it".to_owned(), Some(head.clone()));
        Ok(())
    }

    /// Ends a session: first it is looked up what waits for it, then that is dropped with it.
    pub(super) fn end_session(&mut self, session: SessionName, why: String, head: Option<Head>) {
        let Some(member) = self.members.get_mut(&session) else { return };
        if std::mem::replace(&mut member.closed, true) {
            return;
        }
        let mailbox = member.mailbox();
        for connection in member.connections.clone() {
            self.effects.push(Effect::Close(connection));
        }
        self.effects.push(Effect::Unlisten(session.clone()));
        self.ask(Ask::Whole(mailbox), Pending::Closing { session, why, head });
    }

    pub(super) fn closing(&mut self, session: SessionName, why: String, head: Option<Head>, answer: Answer) {
        let debts = match answer {
            Answer::Waiting(debts) => debts,
            // Without them nobody's share would be given back.
            _ => return self.ending.push((session, why, head)),
        };
        let mailbox = Mailbox::Session(session.clone());
        for debt in debts {
            // What is being read is released when it was.
            if !self.begin_ack(&mailbox, &debt.id) {
                continue;
            }
            self.release(debt.own_sender(), &mailbox, debt.bytes);
        }
        let schedules = self.schedules.values().filter(|schedule| schedule.session == session);
        let schedules: Vec<_> = schedules.map(|schedule| schedule.id.clone()).collect();
        let mut events: Vec<Event> = schedules.iter().map(|id| Event::Cancelled { id: id.clone() }).collect();
        for id in &schedules {
            self.schedules.remove(id);
        }
        events.push(Event::Closed { session: session.clone(), why });
        self.commit(events, Pending::Closed { session, head });
    }

    pub(super) fn closed(&mut self, session: &SessionName, head: Option<Head>, outcome: Outcome) {
        let mailbox = Mailbox::Session(session.clone());
        self.acking.retain(|(other, _)| *other != mailbox);
        self.waiting.remove(&mailbox);
        self.effects.push(Effect::Show(session.clone()));
        match (head, outcome) {
            (Some(head), Outcome::Refused(refusal)) => self.fail(&head, refusal),
            (Some(head), _) => self.answer(&head, Nothing {}),
            (None, Outcome::Refused(refusal)) => tracing::error!("the end of {session} is not on record: {refusal}"),
            (None, _) => {}
        }
    }

    pub(super) fn stop(&mut self, head: &Head) -> Result<(), Refusal> {
        let uid = self.host_program(head, "stop")?;
        if uid != self.own.uid && uid != 0 {
            let why = "this relay is the system's: root stops it (`systemctl stop rcc-relay.socket rcc-relay.service`)";
            return Err(Refusal::new(Reason::NotAllowed, why));
        }
        self.answer(head, Nothing {});
        self.effects.push(Effect::Stop);
        Ok(())
    }
}
