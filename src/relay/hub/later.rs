//! Messages that are sent later.

use super::super::commit::Outcome;
use super::super::event::{self, Event};
use super::super::name::{Address, ScheduleId, SessionName};
use super::super::timing;
use super::super::wire::answer::{Nothing, Planned, Scheduled, Schedules};
use super::super::wire::{Cancel, Message, Reason, Refusal, Schedule};
use super::send::{Draft, digest, message_id};
use super::{Head, Hub, Now, Pending};
use crate::moment::Moment;
use std::time::Duration;

/// Bytes of a digest that names a schedule.
const ID_BYTES: usize = 6;
/// Schedules that fire in one turn; the others are next.
const FIRED_MAX: usize = 100;
/// The longest texts' worth that the schedules of one session hold: they are kept in memory.
const TEXTS: usize = 8;
/// Bytes of texts that one list of schedules shows, of all together; each is shown up to 64 bytes at least.
const SHOWN_BYTES: usize = 1 << 20;
const SHOWN_LEAST: usize = 64;
/// What could not be sent because of the disk is tried again after this time.
const AGAIN: Duration = Duration::from_secs(10);
/// What is over the rate comes later, by this at least.
const RATE_AGAIN: Duration = Duration::from_secs(1);

impl Hub {
    pub(super) fn schedule(
        &mut self,
        head: &Head,
        session: SessionName,
        of: Schedule,
        now: Now,
    ) -> Result<(), Refusal> {
        let Schedule { to, text, kind, at, in_, every, id } = of;
        // A text goes to the disk now as well.
        self.meter(&session, now)?;
        self.check_schedules(&session, text.len())?;
        let malformed = |error: timing::BadTime| Refusal::new(Reason::Malformed, error.to_string());
        let (next, every) =
            timing::first(at.as_deref(), in_.as_deref(), every.as_deref(), now.moment).map_err(malformed)?;
        self.recipients(&session, &to, kind)?;
        // Whether the text may be sent is known now, although it is cleaned again when it goes.
        let draft = Draft { to: to.clone(), kind, text: text.clone(), reply_to: None, expires_in: None };
        self.message(&session, draft, message_id(&session, "?"), 0, now)?;
        let own = id.map_or_else(|| format!("@{}.{}", now.moment.0, self.tokens), |id| id.to_string());
        let id: ScheduleId = digest(&session, &own, ID_BYTES);
        if self.schedules.contains_key(&id) || self.coming().any(|schedule| schedule.id == id) {
            return Err(Refusal::new(
                Reason::Replayed,
                format!("{session} has a schedule under this id: cancel it first"),
            ));
        }
        let schedule = event::Schedule { id, session, to, kind, text, next, every };
        let pending = Pending::Scheduled { head: head.clone(), schedule: Box::new(schedule.clone()) };
        self.commit(vec![Event::Scheduled(schedule)], pending);
        Ok(())
    }

    /// Schedules that are on their way to the disk.
    fn coming(&self) -> impl Iterator<Item = &event::Schedule> {
        self.pending.values().filter_map(|pending| match pending {
            Pending::Scheduled { schedule, .. } => Some(&**schedule),
            _ => None,
        })
    }

    /// Whether the session may have one more, with a text of so many bytes.
    fn check_schedules(&self, session: &SessionName, more: usize) -> Result<(), Refusal> {
        let limits = &self.policy.limits;
        let all = self.schedules.values().chain(self.coming()).filter(|schedule| schedule.session == *session);
        let (count, bytes) = all.fold((0, more), |(count, bytes), schedule| (count + 1, bytes + schedule.text.len()));
        let most = limits.schedules;
        if count >= most as usize {
            let why = format!("{session} has {count} schedules, and relay.max_schedules is {most}: cancel some");
            return Err(Refusal::new(Reason::Quota, why));
        }
        let room = limits.message_size.saturating_mul(TEXTS);
        if bytes > room {
            let why = format!("the schedules of {session} would hold {bytes} bytes of texts, and {room} are allowed");
            return Err(Refusal::new(Reason::Quota, format!("{why}: cancel some, or send shorter texts")));
        }
        Ok(())
    }

    pub(super) fn scheduled(&mut self, head: &Head, schedule: event::Schedule, outcome: Outcome) {
        if let Outcome::Refused(refusal) = outcome {
            return self.fail(head, refusal);
        }
        self.answer(head, Scheduled { id: schedule.id.clone(), next: schedule.next });
        self.schedules.insert(schedule.id.clone(), schedule);
    }

    pub(super) fn cancel(&mut self, head: &Head, session: &SessionName, cancel: Cancel) -> Result<(), Refusal> {
        let id = cancel.id;
        if self.schedules.get(&id).is_none_or(|schedule| !self.controls(session, &schedule.session)) {
            return Err(Refusal::new(Reason::NotFound, format!("{session} has no schedule {id}")));
        }
        self.commit(vec![Event::Cancelled { id: id.clone() }], Pending::Cancelled { head: head.clone(), id });
        Ok(())
    }

    /// Whether this session may see and end what belongs to that one: its own, and for a person all of theirs.
    pub(super) fn controls(&self, session: &SessionName, other: &SessionName) -> bool {
        let of_person = || {
            let (one, two) = (self.members.get(session)?, self.members.get(other)?);
            Some(one.is_person() && one.session.uid == two.session.uid)
        };
        session == other || of_person().unwrap_or(false)
    }

    pub(super) fn cancelled(&mut self, head: &Head, id: ScheduleId, outcome: Outcome) {
        if let Outcome::Refused(refusal) = outcome {
            return self.fail(head, refusal);
        }
        self.schedules.remove(&id);
        self.answer(head, Nothing {});
    }

    pub(super) fn planned(&self, session: &SessionName) -> Schedules {
        let own = self.schedules.values().filter(|schedule| self.controls(session, &schedule.session));
        let own: Vec<&event::Schedule> = own.collect();
        // A person's sessions may have thousands of them, all of the longest texts.
        let room = (SHOWN_BYTES / own.len().max(1)).max(SHOWN_LEAST);
        let planned = own.into_iter().map(|schedule| {
            let event::Schedule { id, session, to, kind, text, next, every } = schedule;
            let fits = |(at, c): &(usize, char)| at + c.len_utf8() <= room;
            let mut shown: String = text.char_indices().take_while(fits).map(|(_, c)| c).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            Planned {
                id: id.clone(),
                session: session.clone(),
                to: to.clone(),
                kind: *kind,
                text: shown,
                next: *next,
                every: every.clone(),
            }
        });
        let mut schedules: Vec<Planned> = planned.collect();
        schedules.sort_by_key(|planned| planned.next);
        Schedules { schedules }
    }

    /// When the first of all is due.
    pub(super) fn first_due(&self) -> Option<Moment> {
        self.schedules.values().map(|schedule| schedule.next).min()
    }

    /// Sends what is due. Each time of a schedule has one id, so that it is sent once whatever happens.
    pub(super) fn fire(&mut self, now: Now) {
        let due = self.schedules.values().filter(|schedule| schedule.next <= now.moment).take(FIRED_MAX);
        for schedule in due.cloned().collect::<Vec<_>>() {
            if let Err(Refusal { retry_after: Some(wait), .. }) = self.meter(&schedule.session, now) {
                let next = now.moment.after(wait.max(RATE_AGAIN));
                self.schedules.entry(schedule.id).and_modify(|schedule| schedule.next = next);
                continue;
            }
            // Of a session that has ended it is the last time.
            let every = schedule.every.as_deref().filter(|_| self.is_open(&schedule.session));
            let next = every.and_then(|every| timing::next(every, now.moment));
            match self.due(&schedule, now) {
                Ok((message, mailboxes)) => {
                    self.reserve(&message, &mailboxes);
                    let event = Event::Accepted { message: message.clone(), mailboxes: mailboxes.clone(), next };
                    let (message, schedule) = (Box::new(message), Box::new(schedule.clone()));
                    self.commit(vec![event], Pending::Fired { message, mailboxes, schedule });
                }
                Err(refusal) => {
                    let session = schedule.session.clone();
                    let why = refusal.error;
                    let refused = Event::Refused { session, what: "schedule".to_owned(), why, count: 1 };
                    // With its next time, or gone.
                    let later = match next {
                        Some(next) => Event::Scheduled(event::Schedule { next, ..schedule.clone() }),
                        None => Event::Cancelled { id: schedule.id.clone() },
                    };
                    self.record(vec![refused, later]);
                }
            }
            match next {
                Some(next) => drop(self.schedules.entry(schedule.id).and_modify(|schedule| schedule.next = next)),
                None => drop(self.schedules.remove(&schedule.id)),
            }
        }
    }

    fn due(&mut self, schedule: &event::Schedule, now: Now) -> Result<Due, Refusal> {
        let session = &schedule.session;
        if !self.is_open(session) {
            return Err(Refusal::new(Reason::NoRecipient, format!("{session} has ended, whose schedule it was")));
        }
        let mailboxes = self.recipients(session, &schedule.to, schedule.kind)?;
        let to: Address = schedule.to.clone();
        let draft = Draft { to, kind: schedule.kind, text: schedule.text.clone(), reply_to: None, expires_in: None };
        let id = message_id(session, &format!("{}@{}", schedule.id, schedule.next.0));
        let seq = self.members.get(session).map_or(0, |member| member.last_seq) + 1;
        let mut message = self.message(session, draft, id, seq, now)?;
        message.schedule = Some(schedule.id.clone());
        let (mailboxes, full) = self.with_room(Some(session), mailboxes, message.text.len() as u64)?;
        self.check_carried(&message, &mailboxes)?;
        self.left_out(session, &full);
        self.number(session, seq);
        Ok((message, mailboxes))
    }

    fn is_open(&self, session: &SessionName) -> bool {
        self.members.get(session).is_some_and(|member| !member.closed)
    }

    pub(super) fn fired(&mut self, (message, mailboxes): Due, schedule: event::Schedule, outcome: Outcome, now: Now) {
        self.numbered(&message, outcome == Outcome::Done);
        match outcome {
            Outcome::Done => self.deliver(&message, &mailboxes),
            Outcome::Known(_) => self.unreserve(&message, &mailboxes),
            Outcome::Refused(refusal) => {
                tracing::error!("a scheduled message of {} was not sent: {refusal}", message.from.session);
                self.unreserve(&message, &mailboxes);
                if refusal.reason == Reason::Storage {
                    self.postpone(schedule, now);
                }
            }
        }
    }

    /// Nothing of it is on record, so that it is due still.
    fn postpone(&mut self, schedule: event::Schedule, now: Now) {
        // One that repeats and is not there any more was taken back meanwhile.
        let stands = schedule.every.is_none() || self.schedules.contains_key(&schedule.id);
        if stands && self.is_open(&schedule.session) {
            let next = now.moment.after(AGAIN);
            self.schedules.insert(schedule.id.clone(), event::Schedule { next, ..schedule });
        }
    }
}

/// A message and where it goes.
pub(super) type Due = (Message, Vec<super::super::name::Mailbox>);
