//! `rcc relay audit` and `rcc relay watch`.

use super::super::journal::{self, Show};
use super::{Ground, present, state};
use crate::cli::relay::AuditArguments;
use crate::journal::{Entry, Head, verify};
use crate::moment::Moment;
use crate::output;
use crate::relay::event::Event;
use crate::relay::name::{Mailbox, MessageId, PairName, Recipient, ScheduleId, SessionName};
use crate::relay::store;
use crate::shown;
use miette::Diagnostic;
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error, Diagnostic)]
enum NoAudit {
    #[error("there is no audit in {}: no relay has run yet", shown::terminal(path))]
    #[diagnostic(help("`rcc relay path` tells where it is looked for; --system takes the system's relay"))]
    Absent { path: PathBuf },
    #[error("nothing of a pair {pair} is on record in {}", shown::terminal(path))]
    #[diagnostic(help("root's /etc/rcc/config.toml names the pairs; what went by the relay is in `rcc relay audit`"))]
    NoPair { pair: PairName, path: PathBuf },
    #[error("cannot read the audit in {}: permission denied", shown::terminal(path))]
    #[diagnostic(help("the audit of the system's relay is for root's eyes: run the same with sudo"))]
    NotPermitted { path: PathBuf },
    #[error("cannot read the audit in {}: {source}", shown::terminal(path))]
    Unreadable { path: PathBuf, source: io::Error },
}

impl NoAudit {
    fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotFound => Self::Absent { path },
            ErrorKind::PermissionDenied => Self::NotPermitted { path },
            _ => Self::Unreadable { path, source },
        }
    }
}

/// What was written is not what is there.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("the audit in {} is not as it was written:\n{faults}", shown::terminal(path))]
#[diagnostic(help("keep a copy of that directory before anything else: the relay goes on behind its last entry"))]
struct Broken {
    path: PathBuf,
    faults: String,
}

pub(super) fn run(ground: &Ground, arguments: &AuditArguments) -> miette::Result<ExitCode> {
    let place = ground.place();
    let paths = match &arguments.pair {
        Some(pair) => ends(&ground.pairs(), pair)?,
        None => vec![place.audit()],
    };
    let path = &paths[0];
    if arguments.verify {
        for path in &paths {
            let seen = if arguments.pair.is_none() { seen(&place.store()) } else { None };
            let report = verify::<Event>(path, seen).map_err(|source| NoAudit::new(path, source))?;
            let verdict = journal::verdict(&report).map_err(|faults| Broken { path: path.clone(), faults })?;
            output::print(verdict)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut wanted = Wanted { session: arguments.session.clone(), since: arguments.since, of: Of::default() };
    if arguments.follow {
        return go_on(path, 0, &mut |entry| wanted.takes(entry), arguments.json);
    }
    let mut none = true;
    for path in &paths {
        let mut takes = |entry: &Entry<Event>| {
            let taken = wanted.takes(entry);
            none &= !taken;
            taken
        };
        if arguments.pair.is_some() && !arguments.json {
            output::print(format!("{}:\n", shown::terminal(path)))?;
        }
        let mut show = Show {
            takes: &mut takes,
            json: arguments.json,
            told: present::entry,
            unreadable: &|source| NoAudit::new(path, source).into(),
        };
        if !show.all(path)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if none {
        output::tell_line("rcc: the audit has no such entry; --session takes the whole name of a session");
    }
    Ok(ExitCode::SUCCESS)
}

/// The audits of the caller's ends of a pair: one or both.
fn ends(pairs: &Path, pair: &PairName) -> Result<Vec<PathBuf>, NoAudit> {
    let of_pair = pairs.join(pair.as_str());
    let found: Vec<PathBuf> =
        ["1", "2"].map(|end| of_pair.join(end)).into_iter().filter(|path| path.is_dir()).collect();
    if found.is_empty() { Err(NoAudit::NoPair { pair: pair.clone(), path: of_pair }) } else { Ok(found) }
}

pub(super) fn watch(ground: &Ground) -> miette::Result<ExitCode> {
    // The daemon knows how far it has written.
    let status = state::ask(&mut ground.connect()?)?;
    let path = status.journal.directory;
    let next = status.journal.entries.saturating_add(1);
    go_on(&path, next, &mut |entry| is_news(&entry.event), false)
}

/// What somebody wants to see who looks on.
fn is_news(event: &Event) -> bool {
    !matches!(event, Event::Delivered { .. } | Event::Read { .. } | Event::Claimed { .. } | Event::Kept { .. })
}

fn go_on(path: &Path, from: u64, takes: &mut dyn FnMut(&Entry<Event>) -> bool, json: bool) -> miette::Result<ExitCode> {
    let unreadable = |source| NoAudit::new(path, source).into();
    Show { takes, json, told: present::entry, unreadable: &unreadable }.follow(path, from)?;
    Ok(ExitCode::SUCCESS)
}

/// How far the store says that the audit goes; looked at before the audit, which a running relay makes longer.
fn seen(store: &Path) -> Option<Head> {
    store::head(store).unwrap_or_else(|error| {
        let error = shown::text(&error.to_string());
        output::tell_line(format_args!("rcc: {error}; whether entries are missing at the end cannot be told"));
        None
    })
}

/// Which entries are shown.
struct Wanted {
    session: Option<SessionName>,
    since: Option<Moment>,
    of: Of,
}

/// What belongs to the session, for the entries that name no session.
#[derive(Default)]
struct Of {
    messages: HashSet<MessageId>,
    schedules: HashSet<ScheduleId>,
}

impl Wanted {
    fn takes(&mut self, entry: &Entry<Event>) -> bool {
        let of_session = match &self.session {
            Some(session) => self.of.concerns(session, &entry.event),
            None => true,
        };
        of_session && self.since.is_none_or(|since| entry.at >= since)
    }
}

impl Of {
    /// Whether the session did it, or it was done to it.
    fn concerns(&mut self, session: &SessionName, event: &Event) -> bool {
        let person = person(session);
        let own = |mailbox: &Mailbox| match mailbox {
            Mailbox::Session(name) => name == session,
            Mailbox::User(uid) => person == Some(*uid),
            Mailbox::Project(..) | Mailbox::Cluster => false,
        };
        match event {
            Event::Started { .. } | Event::Pruned { .. } | Event::Mended { .. } => false,
            Event::Opened(opened) => opened.name == *session,
            Event::Kept { session: kept, .. } => kept.name == *session,
            Event::Met { session: by, .. }
            | Event::Closed { session: by, .. }
            | Event::Refused { session: by, .. }
            | Event::Document { session: by, .. } => by == session,
            Event::Accepted { message, mailboxes, .. } => {
                let (from, to) = (&message.from, &message.to);
                // Another host has other sessions, by the same names perhaps.
                let by = from.host.is_none() && from.session == *session;
                let to = to.host.is_none() && matches!(&to.to, Recipient::Session(name) if name == session);
                let concerns = by || to || mailboxes.iter().any(own);
                concerns.then(|| self.messages.insert(message.id.clone()));
                concerns
            }
            Event::Claimed { mailbox, session: by } => by == session || own(mailbox),
            Event::Delivered { mailbox, ids } | Event::Read { mailbox, ids } => own(mailbox) || self.any(ids),
            Event::Expired { ids } => self.any(ids),
            Event::Scheduled(schedule) => {
                let concerns = schedule.session == *session;
                concerns.then(|| self.schedules.insert(schedule.id.clone()));
                concerns
            }
            Event::Cancelled { id } => self.schedules.contains(id),
        }
    }

    fn any(&self, ids: &[MessageId]) -> bool {
        ids.iter().any(|id| self.messages.contains(id))
    }
}

/// Whose session it is, where it is a person's: what comes to those is in a mailbox of their own.
fn person(session: &SessionName) -> Option<u32> {
    session.as_str().strip_prefix("user.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Hash;
    use serde_json::{Value, json};

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    fn message(id: &str, from: &str, to: &str) -> Event {
        event(json!({
            "event": "accepted", "mailboxes": [],
            "message": {
                "id": id, "from": {"session": from, "user": "alice", "uid": 1000}, "to": to,
                "kind": "message", "text": "t", "seq": 1, "accepted": 1, "expires": 2,
            },
        }))
    }

    #[test]
    fn what_a_session_did_and_what_was_done_to_it_is_its_own() {
        let session: SessionName = "api-1".parse().unwrap();
        let mut of = Of::default();
        let mut told = |event: Event| of.concerns(&session, &event);
        assert!(told(message("m1", "api-1", "project:web")));
        assert!(told(message("m2", "web-1", "session:api-1")));
        assert!(!told(message("m3", "web-1", "session:api-11")));
        assert!(!told(message("m4", "web-1", "session:api-1@build")));
        // By its id, as it names no session.
        assert!(told(event(json!({"event": "expired", "ids": ["m9", "m1"]}))));
        assert!(!told(event(json!({"event": "expired", "ids": ["m3"]}))));
        assert!(told(event(json!({"event": "read", "mailbox": {"session": "web-1"}, "ids": ["m1"]}))));
        assert!(told(event(json!({"event": "claimed", "mailbox": {"project": [7, "api"]}, "session": "api-1"}))));
        assert!(!told(event(json!({"event": "cancelled", "id": "s1"}))));
        let schedule = json!({
            "event": "scheduled", "id": "s1", "session": "api-1", "to": "user", "kind": "message", "text": "", "next": 1,
        });
        assert!(told(event(schedule)));
        assert!(told(event(json!({"event": "cancelled", "id": "s1"}))));
        assert!(!told(event(json!({"event": "started", "version": "1"}))));
    }

    #[test]
    fn what_came_to_a_person_is_that_persons() {
        let session: SessionName = "user.1000".parse().unwrap();
        let mut of = Of::default();
        let mut told = |event: Event| of.concerns(&session, &event);
        let mut sent = |id: &str, uid: u32| {
            let Event::Accepted { message, next, .. } = message(id, "api-1", "user") else { unreachable!() };
            told(Event::Accepted { message, mailboxes: vec![Mailbox::User(uid)], next })
        };
        assert!(sent("m1", 1000));
        assert!(!sent("m2", 1001));
        assert!(told(event(json!({"event": "read", "mailbox": {"user": 1000}, "ids": ["m1"]}))));
        assert!(!told(event(json!({"event": "read", "mailbox": {"user": 1001}, "ids": ["m2"]}))));
    }

    #[test]
    fn an_entry_before_the_time_is_not_shown_and_yet_known() {
        let mut wanted = Wanted { session: Some("a-1".parse().unwrap()), since: Some(Moment(5)), of: Of::default() };
        let entry = |at, event| Entry { n: at, at: Moment(at), prev: Hash::default(), event };
        assert!(!wanted.takes(&entry(4, message("m1", "a-1", "user"))));
        assert!(wanted.takes(&entry(5, event(json!({"event": "expired", "ids": ["m1"]})))));
    }
}
