//! `rcc ps` and `rcc stop`.

use super::table;
use crate::facts::Facts;
use crate::output;
use crate::runtime::embedded::{cgroup, memory};
use crate::session::{self, Record};
use miette::{IntoDiagnostic, WrapErr, miette};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lists the caller's sandboxes.
#[derive(Debug, clap::Args)]
pub struct PsArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Ends sandboxes.
#[derive(Debug, clap::Args)]
pub struct StopArguments {
    /// The sandboxes' names, as `rcc ps` shows them
    #[arg(required_unless_present = "all", value_name = "SESSION")]
    sessions: Vec<String>,
    /// Every sandbox of yours
    #[arg(long, conflicts_with = "sessions")]
    all: bool,
    /// Seconds that the agent gets to end by itself
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    time: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn runtime_dir(facts: &Facts) -> Result<PathBuf, session::SessionError> {
    let xdg = facts.variable("XDG_RUNTIME_DIR").map(Path::new);
    session::runtime_dir(facts.user.uid, xdg, &facts.data_dir)
}

impl PsArguments {
    pub(super) fn run(self) -> miette::Result<ExitCode> {
        let facts = Facts::gather().into_diagnostic()?;
        let records = session::list(&runtime_dir(&facts).into_diagnostic()?).into_diagnostic()?;
        if self.json {
            let rows: Vec<_> = records.iter().map(as_json).collect();
            output::print_json(&rows)?;
        } else {
            let rows: Vec<Vec<String>> = records.iter().map(as_row).collect();
            output::print(table::render(&["SESSION", "PROFILE", "AGE", "MEMORY", "PROJECT", "COMMAND"], &rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(record: &Record) -> serde_json::Value {
    let mut value = json!(record);
    value["memory_bytes"] = json!(memory(record));
    value
}

fn as_row(record: &Record) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    vec![
        record.id.clone(),
        record.profile.clone(),
        age(now.saturating_sub(record.started)),
        memory(record).map_or_else(|| "?".to_owned(), bytes),
        record.project.clone(),
        record.command.join(" "),
    ]
}

/// Bytes, by the cgroup where there is one, else added up over the processes.
fn memory(record: &Record) -> Option<u64> {
    let supervisor = u32::try_from(record.supervisor).ok()?;
    let processes = || memory::of_tree(Path::new("/proc"), supervisor).ok().map(|usage| usage.bytes);
    cgroup::memory_of(supervisor).or_else(processes)
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn bytes(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes < 1024 * MIB {
        format!("{} MiB", bytes.div_ceil(MIB))
    } else {
        format!("{:.1} GiB", bytes as f64 / (1024 * MIB) as f64)
    }
}

impl StopArguments {
    pub(super) fn run(self) -> miette::Result<ExitCode> {
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
    fn ages_and_sizes_are_short() {
        assert_eq!([age(5), age(65), age(3_660), age(90_000)], ["5s", "1m", "1h01m", "1d01h"]);
        assert_eq!([bytes(1), bytes(1 << 30)], ["1 MiB", "1.0 GiB"]);
    }
}
