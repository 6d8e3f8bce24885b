//! `rcc plugin logs`: the broker's journal.

use super::present;
use crate::cli::plugin::LogsArguments;
use crate::facts::Facts;
use crate::journal::{Directory, Entries, Entry, Fault, Follow, Found, Wrong, verify};
use crate::output;
use crate::plugin::client;
use crate::plugin::event::Event;
use crate::plugin::name::ToolName;
use crate::shown;
use miette::{Diagnostic, IntoDiagnostic};
use serde::Serialize;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks whether anybody still reads what is printed.
const LOOK: Duration = Duration::from_millis(500);

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error, Diagnostic)]
enum NoJournal {
    #[error("there is no journal in {}: no plugin was ever used", shown::terminal(path))]
    Absent { path: PathBuf },
    #[error("cannot read the journal in {}: {source}", shown::terminal(path))]
    Unreadable { path: PathBuf, source: io::Error },
}

/// What was written is not what is there.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("the journal in {} is not as it was written:\n{faults}", shown::terminal(path))]
#[diagnostic(help("keep a copy of that directory before anything else: the broker goes on behind its last entry"))]
struct Broken {
    path: PathBuf,
    faults: String,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> NoJournal {
    let path = path.to_owned();
    move |source| match source.kind() {
        ErrorKind::NotFound => NoJournal::Absent { path: path.clone() },
        _ => NoJournal::Unreadable { path: path.clone(), source },
    }
}

pub(super) fn run(facts: &Facts, arguments: &LogsArguments) -> miette::Result<ExitCode> {
    let path = client::place(facts)?.audit();
    if arguments.verify {
        return verified(&path);
    }
    if arguments.follow {
        let mut follow = Follow::<Event>::new(&path, 0).map_err(failed(&path))?;
        loop {
            let read = match follow.next(LOOK).map_err(failed(&path))? {
                Some(found) => print(found, arguments)?,
                None => !output::reader_has_gone(Duration::ZERO),
            };
            if !read {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    let directory = Directory::open(&path).map_err(failed(&path))?;
    for found in Entries::<Event>::new(&directory, 0) {
        if !print(found.map_err(failed(&path))?, arguments)? {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verified(path: &Path) -> miette::Result<ExitCode> {
    let report = verify::<Event>(path, None).map_err(failed(path))?;
    if report.faults.is_empty() {
        let (entries, files, last) = (report.entries, report.files, &report.last.hash);
        output::print(format!("entries: {entries}, in files: {files}; whole\nlast: {last}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut faults: Vec<String> = report.faults.iter().map(|fault| shown::text(&fault.to_string())).collect();
    if report.more > 0 {
        faults.push(format!("and {} more", report.more));
    }
    Err(Broken { path: path.to_owned(), faults: faults.join("\n") }.into())
}

/// Prints what was found, if it is wanted; `false` if nobody reads it.
fn print(found: Found<Event>, arguments: &LogsArguments) -> miette::Result<bool> {
    let entry = match found {
        Found::Entry(line) => line.entry,
        // Somebody writes it at this moment.
        Found::Fault(Fault { what: Wrong::Unfinished | Wrong::Shortened, .. }) => return Ok(true),
        Found::Fault(fault) => {
            output::tell_line(format_args!("rcc: {}", shown::text(&fault.to_string())));
            return Ok(true);
        }
    };
    if !is_wanted(&entry.event, arguments) {
        return Ok(true);
    }
    output::print(if arguments.json {
        line(&entry).into_diagnostic()?
    } else {
        present::entry(entry.at, &entry.event)
    })?;
    Ok(!output::reader_has_gone(Duration::ZERO))
}

fn is_wanted(event: &Event, arguments: &LogsArguments) -> bool {
    let (session, tool) = concerned(event);
    let of_session = arguments.session.as_deref().is_none_or(|wanted| session == Some(wanted));
    of_session && arguments.tool.as_ref().is_none_or(|wanted| tool == Some(wanted))
}

/// Whose an entry is.
fn concerned(event: &Event) -> (Option<&str>, Option<&ToolName>) {
    match event {
        Event::Started { .. } | Event::Mended { .. } | Event::Pruned { .. } => (None, None),
        Event::Opened { session, .. } | Event::Closed { session } => (Some(session), None),
        Event::InForce { tool, .. } | Event::Removed { tool } | Event::Switched { tool, .. } => (None, Some(tool)),
        Event::Called(call) | Event::Refused { call, .. } => (Some(&call.session), Some(&call.tool)),
        Event::Decided { session, tool, .. } | Event::Ended { session, tool, .. } => (Some(session), Some(tool)),
    }
}

/// As it is written in the journal.
fn line(entry: &Entry<Event>) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Written<'a> {
        n: u64,
        at: u64,
        prev: String,
        #[serde(flatten)]
        event: &'a Event,
    }
    let written = Written { n: entry.n, at: entry.at.0, prev: entry.prev.to_string(), event: &entry.event };
    Ok(serde_json::to_string(&written)? + "\n")
}
