//! `rcc relay audit` and `rcc relay watch`.

use super::Ground;
use super::{present, state};
use crate::cli::relay::AuditArguments;
use crate::journal::{Directory, Entries, Entry, Fault, Follow, Found, Head, Report, Wrong, verify};
use crate::moment::Moment;
use crate::output;
use crate::relay::event::Event;
use crate::relay::name::{Mailbox, MessageId, PairName, Recipient, ScheduleId, SessionName};
use crate::relay::store;
use crate::shown;
use miette::{Diagnostic, IntoDiagnostic};
use serde::Serialize;
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks whether anybody still reads what is printed.
const LOOK: Duration = Duration::from_millis(500);

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
            output::print(verdict(path, &report)?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut wanted = Wanted { session: arguments.session.clone(), since: arguments.since, of: Of::default() };
    if arguments.follow {
        let follow = Follow::new(path, 0).map_err(|source| NoAudit::new(path, source))?;
        return go_on(follow, path, &mut |entry| wanted.takes(entry), arguments.json);
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
        if !all(path, &mut takes, arguments.json)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if none {
        output::tell_line("rcc: the audit has no such entry; --session takes the whole name of a session");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints all that is wanted; `false` if nobody reads it.
fn all(path: &Path, takes: &mut dyn FnMut(&Entry<Event>) -> bool, json: bool) -> miette::Result<bool> {
    let fail = |source| NoAudit::new(path, source);
    let directory = Directory::open(path).map_err(fail)?;
    for found in Entries::new(&directory, 0) {
        if !print(found.map_err(fail)?, takes, json)? {
            return Ok(false);
        }
    }
    Ok(true)
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
    let follow = Follow::new(&path, next).map_err(|source| NoAudit::new(&path, source))?;
    go_on(follow, &path, &mut |entry| is_news(&entry.event), false)
}

/// What somebody wants to see who looks on.
fn is_news(event: &Event) -> bool {
    !matches!(event, Event::Delivered { .. } | Event::Read { .. } | Event::Claimed { .. } | Event::Kept { .. })
}

fn go_on(
    mut follow: Follow<Event>,
    path: &Path,
    takes: &mut dyn FnMut(&Entry<Event>) -> bool,
    json: bool,
) -> miette::Result<ExitCode> {
    loop {
        let read = match follow.next(LOOK).map_err(|source| NoAudit::new(path, source))? {
            Some(found) => print(found, takes, json)?,
            None => !output::reader_has_gone(Duration::ZERO),
        };
        if !read {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Prints what was found, if it is wanted; `false` if nobody reads it.
fn print(found: Found<Event>, takes: &mut dyn FnMut(&Entry<Event>) -> bool, json: bool) -> miette::Result<bool> {
    let entry = match found {
        Found::Entry(line) => line.entry,
        // Somebody writes it at this moment.
        Found::Fault(Fault { what: Wrong::Unfinished | Wrong::Shortened, .. }) => return Ok(true),
        Found::Fault(fault) => {
            output::tell_line(format_args!("rcc: {}", shown::text(&fault.to_string())));
            return Ok(true);
        }
    };
    if !takes(&entry) {
        return Ok(true);
    }
    output::print(if json { line(&entry).into_diagnostic()? } else { present::entry(entry.at, &entry.event) })?;
    Ok(!output::reader_has_gone(Duration::ZERO))
}

/// As it is written in the journal.
fn line(entry: &Entry<Event>) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Written<'a> {
        n: u64,
        at: Moment,
        prev: String,
        #[serde(flatten)]
        event: &'a Event,
    }
    let written = Written { n: entry.n, at: entry.at, prev: entry.prev.to_string(), event: &entry.event };
    Ok(serde_json::to_string(&written)? + "\n")
}

/// How far the store says that the audit goes; looked at before the audit, which a running relay makes longer.
fn seen(store: &Path) -> Option<Head> {
    store::head(store).unwrap_or_else(|error| {
        let error = shown::text(&error.to_string());
        output::tell_line(format_args!("rcc: {error}; whether entries are missing at the end cannot be told"));
        None
    })
}

fn verdict(path: &Path, report: &Report) -> Result<String, Broken> {
    if report.faults.is_empty() {
        let (entries, files, last) = (report.entries, report.files, &report.last);
        let range = if entries > 0 { format!(" ({} to {})", report.first, last.n) } else { String::new() };
        return Ok(format!("entries: {entries}{range}, in files: {files}; whole\nlast: {}\n", last.hash));
    }
    let mut faults: Vec<String> = report.faults.iter().map(|fault| shown::text(&fault.to_string())).collect();
    if report.more > 0 {
        faults.push(format!("and {} more", report.more));
    }
    Err(Broken { path: path.to_owned(), faults: faults.join("\n") })
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

    #[test]
    fn an_entry_is_printed_as_it_is_written() {
        let entry = Entry { n: 7, at: Moment(9), prev: Hash::of(b"x"), event: message("m1", "a-1", "user") };
        let line = line(&entry).unwrap();
        let begin = format!("{{\"n\":7,\"at\":9,\"prev\":\"{}\",\"event\":\"accepted\",\"message\":{{", entry.prev);
        assert!(line.starts_with(&begin) && line.ends_with("}\n"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_broken_chain_is_a_failure_that_names_the_place() {
        let fault = Fault { file: "1.jsonl".into(), line: 3, what: Wrong::Chain };
        let last = Head { n: 4, hash: Hash::default() };
        let report = Report { entries: 4, files: 1, first: 1, last, faults: vec![fault], more: 2 };
        let error = verdict(Path::new("/audit"), &report).unwrap_err().to_string();
        assert!(error.contains("1.jsonl, line 3: ") && error.contains("and 2 more"), "{error}");
        let whole = verdict(Path::new("/audit"), &Report { faults: Vec::new(), more: 0, ..report }).unwrap();
        assert!(whole.starts_with("entries: 4 (1 to 4), in files: 1; whole\n"), "{whole}");
    }
}
