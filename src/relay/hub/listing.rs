//! What can be asked.

use super::super::name::{GroupName, SessionName};
use super::super::wire::answer::{Connections, Journal, Location, Presence, Seen, Sessions, Status};
use super::super::wire::{Query, Question, Refusal};
use super::{Answer, Ask, Door, Head, Hub, Member, Now, Pending};
use crate::moment::Moment;

/// Sessions that one answer lists: the latest.
const LISTED_MAX: usize = 1000;

impl Hub {
    pub(super) fn query(&mut self, head: &Head, session: SessionName, query: &Query, now: Now) -> Result<(), Refusal> {
        match query.query {
            Question::ListSessions => {
                let sessions = self.sessions(&session, false, now.moment);
                self.answer(head, sessions);
            }
            Question::ActiveSessions => {
                let sessions = self.sessions(&session, true, now.moment);
                self.answer(head, sessions);
            }
            Question::ActiveConnections => {
                let own = self.members.values().filter(|member| self.controls(&session, &member.session.name));
                let with = own.filter(|member| !member.connections.is_empty());
                let (sessions, connections) =
                    with.fold((0, 0), |(sessions, count), member| (sessions + 1, count + member.connections.len()));
                self.answer(head, Connections { connections: connections as u32, sessions });
            }
            Question::SessionPath => {
                let location = self.location(&session, query.session_id.as_ref())?;
                self.answer(head, location);
            }
            Question::ReloadSchedule => {
                // They are never read from anywhere else, so there is nothing that could be out of date.
                let schedules = self.planned(&session);
                self.answer(head, schedules);
            }
            Question::Status => {
                self.host_program(head, "status")?;
                self.ask(Ask::Journal, Pending::Status { head: head.clone() });
            }
        }
        Ok(())
    }

    fn sessions(&self, session: &SessionName, active: bool, now: Moment) -> Sessions {
        let Some(own) = self.members.get(session) else { return Sessions { sessions: Vec::new(), groups: Vec::new() } };
        let visible = self.members.values().filter(|other| {
            let known = other.session.name == *session
                || self.policy.acquainted(own.party(), other.party())
                || self.controls(session, &other.session.name);
            let wanted =
                if active { self.presence(other, now) == Presence::Here } else { !other.closed || own.is_person() };
            known && wanted && (other.is_agent() || other.session.name == *session)
        });
        let mut visible: Vec<&Member> = visible.collect();
        visible.sort_by_key(|member| (std::cmp::Reverse(member.session.opened), member.session.name.clone()));
        visible.truncate(LISTED_MAX);
        let sessions = visible.into_iter().map(|other| self.seen(session, other, now)).collect();
        Sessions { sessions, groups: self.groups(own) }
    }

    fn seen(&self, viewer: &SessionName, other: &Member, now: Moment) -> Seen {
        let own = self.controls(viewer, &other.session.name);
        Seen {
            name: other.session.name.clone(),
            project: other.session.project.clone(),
            user: other.session.user.clone(),
            title: other.title.clone(),
            // The client's own id may open more than the relay does.
            client_id: other.client_id.clone().filter(|_| own),
            state: self.presence(other, now),
            opened: other.session.opened,
            heard: other.heard,
            waiting: self.waiting.get(&other.mailbox()).map_or(0, |waiting| waiting.messages),
            figures: other.figures.clone(),
            own,
        }
    }

    /// What its cache file says; nothing once it has ended.
    pub fn shown(&self, session: &SessionName, now: Moment) -> Option<Seen> {
        let member = self.members.get(session).filter(|member| !member.closed && member.is_agent())?;
        Some(self.seen(session, member, now))
    }

    fn presence(&self, member: &Member, now: Moment) -> Presence {
        member.presence(&self.policy.limits, now)
    }

    fn groups(&self, own: &Member) -> Vec<GroupName> {
        let reaches = |group: &&GroupName| {
            self.members.values().any(|other| {
                !other.closed
                    && other.is_agent()
                    && other.session.name != own.session.name
                    && self.policy.is_member(group, other.party())
                    && self.policy.acquainted(own.party(), other.party())
            })
        };
        self.policy.groups.keys().filter(reaches).cloned().collect()
    }

    fn location(&self, session: &SessionName, of: Option<&SessionName>) -> Result<Location, Refusal> {
        let of = of.unwrap_or(session);
        let unknown = || super::send::unknown(of);
        let (viewer, member) =
            (self.members.get(session).ok_or_else(unknown)?, self.members.get(of).ok_or_else(unknown)?);
        if session != of && !self.policy.acquainted(viewer.party(), member.party()) && !self.controls(session, of) {
            return Err(unknown());
        }
        let root = member.session.root.clone().filter(|_| viewer.is_person() && self.controls(session, of));
        Ok(Location { project: member.session.project.clone(), root })
    }

    pub(super) fn status(&mut self, head: &Head, answer: Answer) {
        let entries = match answer {
            Answer::Journal(entries) => entries,
            Answer::Failed(refusal) => return self.fail(head, refusal),
            _ => return,
        };
        let waiting = self.waiting.values();
        let (waiting, stored_bytes) =
            waiting.fold((0, 0), |(count, bytes), of| (count + u64::from(of.messages), bytes + of.bytes));
        let open = self.members.values().filter(|member| !member.closed && member.is_agent());
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.own.started,
            system: self.own.system,
            sessions: open.count() as u32,
            connections: self.peers.len() as u32,
            waiting,
            stored_bytes,
            journal: Journal { entries, directory: self.own.audit.clone() },
            cluster: self.cluster_state(),
            mended: self.own.mended.clone(),
            // Plain data of names, numbers and texts: JSON has a form for all of it.
            policy: serde_json::to_value(&self.policy).unwrap_or_default(),
        };
        self.answer(head, status);
    }

    /// Refuses what only a program of the host's may ask.
    pub(super) fn host_program(&self, head: &Head, what: &str) -> Result<u32, Refusal> {
        let peer = self.peers.get(&head.connection);
        match peer.map(|peer| (&peer.door, &peer.session)) {
            Some((Door::Shared { uid, .. }, session)) if *session == super::register::person_name(*uid) => Ok(*uid),
            _ => {
                let why = format!("`{what}` is for the host's programs, on the shared socket: no session may");
                Err(Refusal::new(super::super::wire::Reason::NotAllowed, why))
            }
        }
    }
}
