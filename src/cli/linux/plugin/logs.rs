//! `rcc plugin logs`: the broker's journal.

use super::super::journal::{self, Show};
use super::present;
use crate::cli::plugin::LogsArguments;
use crate::facts::Facts;
use crate::journal::verify;
use crate::output;
use crate::plugin::client;
use crate::plugin::event::Event;
use crate::plugin::name::ToolName;
use crate::shown;
use miette::Diagnostic;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    let failed = failed(&path);
    if arguments.verify {
        let report = verify::<Event>(&path, None).map_err(failed)?;
        let verdict = journal::verdict(&report).map_err(|faults| Broken { path: path.clone(), faults })?;
        output::print(verdict)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut show = Show {
        takes: &mut |entry| is_wanted(&entry.event, arguments),
        json: arguments.json,
        told: present::entry,
        unreadable: &|source| failed(source).into(),
    };
    if arguments.follow {
        show.follow(&path, 0)?;
    } else {
        show.all(&path)?;
    }
    Ok(ExitCode::SUCCESS)
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
