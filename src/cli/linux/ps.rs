//! `rcc ps` and `rcc stop`.

use super::clock::age;
use crate::cli::ps::{PsArguments, StopArguments};
use crate::cli::table;
use crate::facts::Facts;
use crate::kept::place::Place;
use crate::output;
use crate::runtime::embedded::{cgroup, memory};
use crate::session::{self, Record};
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
        let records = session::list(&runtime_dir).into_diagnostic()?;
        let is_kept = |record: &Record| Place::new(&runtime_dir, &facts.data_dir, &record.id).socket().exists();
        if self.json {
            let rows: Vec<_> = records.iter().map(|record| as_json(record, is_kept(record))).collect();
            output::print_json(&rows)?;
        } else {
            let rows: Vec<_> = records.iter().map(|record| as_row(record, is_kept(record))).collect();
            output::print(table::render(
                &["SESSION", "PROFILE", "AGE", "MEMORY", "TERMINAL", "PROJECT", "COMMAND"],
                &rows,
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(record: &Record, kept: bool) -> serde_json::Value {
    let mut value = json!(record);
    value["memory_bytes"] = json!(memory(record));
    value["detached"] = json!(kept);
    value
}

fn as_row(record: &Record, kept: bool) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    vec![
        record.id.clone(),
        record.profile.clone(),
        age(now.saturating_sub(record.started)),
        memory(record).map_or_else(|| "?".to_owned(), bytes),
        if kept { "detached" } else { "its own" }.to_owned(),
        record.project.clone(),
        record.command.join(" "),
    ]
}

/// Bytes, by the cgroup where there is one, else added up over the processes.
fn memory(record: &Record) -> Option<u64> {
    let supervisor = u32::try_from(record.supervisor).ok()?;
    let processes = || memory::of_tree(Path::new("/proc"), supervisor).ok().map(|usage| usage.bytes);
    cgroup::counted(supervisor).memory.or_else(processes)
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
        let mut failures = Vec::new();
        let mut stopped = Vec::new();
        for id in sessions {
            match session::stop(&dir, &id, Duration::from_secs(self.time)) {
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
