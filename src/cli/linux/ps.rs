//! `rcc ps` and `rcc stop`.

use super::clock::age;
use super::sandboxes::{self, Sandbox};
use crate::cli::ps::{PsArguments, StopArguments};
use crate::cli::table;
use crate::config::{self, Sources};
use crate::facts::Facts;
use crate::output;
use crate::session;
use crate::settings::Timeouts;
use miette::{IntoDiagnostic, WrapErr, miette};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the caller's sessions are.
pub(super) fn runtime_dir(facts: &Facts) -> Result<PathBuf, session::SessionError> {
    let xdg = facts.variable("XDG_RUNTIME_DIR").map(Path::new);
    session::runtime_dir(facts.user.uid, xdg, &facts.data_dir)
}

impl PsArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let facts = Facts::gather().into_diagnostic()?;
        let runtime_dir = runtime_dir(&facts).into_diagnostic()?;
        let sandboxes = sandboxes::look(&facts, &runtime_dir).into_diagnostic()?;
        if self.json {
            output::print_json(&sandboxes)?;
        } else {
            let rows: Vec<_> = sandboxes.iter().map(as_row).collect();
            output::print(table::render(
                &["SESSION", "PROFILE", "AGE", "RUNTIME", "MEMORY", "TERMINAL", "PROJECT", "COMMAND"],
                &rows,
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_row(sandbox: &Sandbox) -> Vec<String> {
    let record = &sandbox.record;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    vec![
        record.id.clone(),
        record.profile.clone(),
        age(now.saturating_sub(record.started)),
        record.runtime.clone(),
        of_ceiling(sandbox.memory_bytes, record.ceilings.memory),
        if sandbox.detached { "detached" } else { "its own" }.to_owned(),
        record.project.clone(),
        record.command.join(" "),
    ]
}

/// What is used of what may be.
pub(super) fn of_ceiling(used: Option<u64>, ceiling: Option<u64>) -> String {
    let used = used.map_or_else(|| "?".to_owned(), bytes);
    ceiling.map_or_else(|| used.clone(), |ceiling| format!("{used} of {}", bytes(ceiling)))
}

/// Bytes, for people.
pub(super) fn bytes(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes < 1024 * MIB {
        format!("{} MiB", bytes.div_ceil(MIB))
    } else {
        format!("{:.1} GiB", bytes as f64 / (1024 * MIB) as f64)
    }
}

impl StopArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let facts = Facts::gather().into_diagnostic()?;
        let dir = runtime_dir(&facts).into_diagnostic()?;
        let sessions = if self.all {
            session::list(&dir).into_diagnostic()?.into_iter().map(|record| record.id).collect()
        } else {
            self.sessions
        };
        let patience = match self.time {
            Some(seconds) => Duration::from_secs(seconds),
            // Whatever a file says, what runs can be stopped.
            None => config::load_timeouts(&Sources::new(&facts, &facts.cwd, None)).map_or_else(
                |error| {
                    output::tell_line(format_args!("rcc: {error}; the time to stop in is the default's"));
                    Timeouts::default().stop
                },
                |timeouts| timeouts.stop,
            ),
        };
        let mut failures = Vec::new();
        let mut stopped = Vec::new();
        for id in sessions {
            match session::stop(&dir, &id, patience) {
                Ok(()) => stopped.push(id),
                Err(error) => failures.push(error.to_string()),
            }
        }
        if self.json {
            output::print(format!("{}\n", json!({ "stopped": stopped, "failed": failures })))?;
        } else {
            output::print(stopped.iter().map(|id| format!("{id}\n")).collect::<String>())?;
        }
        match failures.is_empty() {
            true => Ok(ExitCode::SUCCESS),
            false => Err(miette!("{}", failures.join("\n"))).wrap_err("cannot stop every sandbox"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!([bytes(1), bytes(1 << 30)], ["1 MiB", "1.0 GiB"]);
    }
}
