//! `rcc stats`.

use super::ps::{bytes, runtime_dir};
use crate::cli::ps::StatsArguments;
use crate::cli::table;
use crate::denials::Follow;
use crate::enforcement;
use crate::facts::Facts;
use crate::output;
use crate::policy::Policy;
use crate::runtime::embedded::{cgroup, memory};
use crate::session::{self, RUN, Record, SessionError};
use miette::IntoDiagnostic;
use rustix::termios::isatty;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between the two looks of one that is not followed by others: processor time is a difference.
const SHORT: Duration = Duration::from_millis(200);
/// To the upper left corner, and all below it cleared (ECMA-48).
const CLEAR: &str = "\x1b[H\x1b[J";

/// What one sandbox uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Stats {
    session: String,
    /// Of one processor, in percent, since the look before.
    cpu_percent: f64,
    memory_bytes: u64,
    memory_max_bytes: Option<u64>,
    processes: u64,
    processes_max: Option<u64>,
    /// How those ceilings follow that nobody has asked for.
    by_default: Vec<String>,
    /// Packets and names that the network denied, as far as recorded.
    denied: u64,
}

/// What was seen of a sandbox at some time.
#[derive(Clone, Debug)]
struct Look {
    at: Instant,
    memory: u64,
    memory_max: Option<u64>,
    processes: u64,
    processes_max: Option<u64>,
    by_default: Vec<String>,
    processor: Duration,
}

fn look(record: &Record) -> Option<Look> {
    let root = record.root()?;
    let counted = cgroup::counted(root);
    let at = Instant::now();
    let seen = |memory, processes, processor| Look {
        at,
        memory,
        memory_max: counted.memory_max.or(record.ceilings.memory),
        processes,
        processes_max: record.ceilings.pids,
        by_default: record.by_default.clone(),
        processor,
    };
    if let (Some(memory), Some(processes), Some(processor)) = (counted.memory, counted.processes, counted.processor) {
        return Some(seen(memory, processes, processor));
    }
    let tree = memory::of_tree(Path::new("/proc"), root).ok()?;
    Some(seen(
        counted.memory.unwrap_or(tree.bytes),
        counted.processes.unwrap_or(tree.processes as u64),
        counted.processor.unwrap_or(tree.processor),
    ))
}

/// Counts what was denied, by session.
struct Denied {
    record: Option<(Policy, Follow)>,
    counts: BTreeMap<String, u64>,
}

impl Denied {
    /// Without rules there is no network to be denied anything.
    fn new(uid: u32) -> Self {
        let follow = |policy| (policy, Follow::new(Path::new(RUN), Some(uid)));
        Self { record: enforcement::current().ok().map(follow), counts: BTreeMap::new() }
    }

    fn of(&mut self) -> &BTreeMap<String, u64> {
        if let Some((policy, follow)) = &mut self.record {
            for listed in follow.next(policy).unwrap_or_default() {
                if let Some(session) = listed.denial.session {
                    *self.counts.entry(session).or_default() += listed.denial.count;
                }
            }
        }
        &self.counts
    }
}

impl StatsArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let facts = Facts::gather().into_diagnostic()?;
        let dir = runtime_dir(&facts).into_diagnostic()?;
        let terminal = isatty(rustix::stdio::stdout());
        let once = self.once || !(terminal || self.json);
        let mut denied = Denied::new(facts.user.uid);
        let records = session::list(&dir).into_diagnostic()?;
        if let Some(id) = self.sessions.iter().find(|id| !records.iter().any(|record| record.id == **id)) {
            return Err(SessionError::Unknown { id: id.clone() }).into_diagnostic();
        }
        let mut before = self.looks(&dir)?;
        let mut wait = SHORT;
        loop {
            if output::reader_has_gone(wait) {
                return Ok(ExitCode::SUCCESS);
            }
            wait = INTERVAL;
            let now = self.looks(&dir)?;
            let stats = compared(&before, &now, denied.of());
            if self.json {
                output::print(serde_json::to_string(&stats).into_diagnostic()? + "\n")?;
            } else {
                let clear = if once { "" } else { CLEAR };
                output::print(format!("{clear}{}", render(&stats)))?;
            }
            if once {
                return Ok(ExitCode::SUCCESS);
            }
            before = now;
        }
    }

    fn looks(&self, dir: &Path) -> miette::Result<BTreeMap<String, Look>> {
        let mut records = session::list(dir).into_diagnostic()?;
        records.retain(|record| self.sessions.is_empty() || self.sessions.contains(&record.id));
        Ok(records.into_iter().filter_map(|record| Some((record.id.clone(), look(&record)?))).collect())
    }
}

fn compared(
    before: &BTreeMap<String, Look>,
    now: &BTreeMap<String, Look>,
    denied: &BTreeMap<String, u64>,
) -> Vec<Stats> {
    let one = |(session, look): (&String, &Look)| {
        let since = before.get(session).map(|before| (look.at - before.at, before.processor));
        let share = |(time, processor): (Duration, Duration)| {
            look.processor.saturating_sub(processor).as_secs_f64() / time.as_secs_f64().max(f64::EPSILON)
        };
        Stats {
            session: session.clone(),
            cpu_percent: (since.map_or(0.0, share) * 1000.0).round() / 10.0,
            memory_bytes: look.memory,
            memory_max_bytes: look.memory_max,
            processes: look.processes,
            processes_max: look.processes_max,
            by_default: look.by_default.clone(),
            denied: denied.get(session).copied().unwrap_or_default(),
        }
    };
    now.iter().map(one).collect()
}

fn render(stats: &[Stats]) -> String {
    let row = |stats: &Stats| {
        vec![
            stats.session.clone(),
            format!("{:.1}%", stats.cpu_percent),
            bytes(stats.memory_bytes),
            stats.memory_max_bytes.map_or_else(|| "none".to_owned(), bytes),
            stats.processes.to_string(),
            stats.denied.to_string(),
        ]
    };
    table::render(
        &["SESSION", "CPU", "MEMORY", "CEILING", "PROCESSES", "DENIED"],
        &stats.iter().map(row).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_a_share_of_what_has_passed() {
        let at = Instant::now();
        let look = |after: u64, processor: u64| Look {
            at: at + Duration::from_millis(after),
            memory: 5 << 20,
            memory_max: None,
            processes: 3,
            processes_max: None,
            by_default: Vec::new(),
            processor: Duration::from_millis(processor),
        };
        let (before, now) = (BTreeMap::from([("a".to_owned(), look(0, 100))]), look(500, 850));
        let now = BTreeMap::from([("a".to_owned(), now.clone()), ("new".to_owned(), now)]);
        let stats = compared(&before, &now, &BTreeMap::from([("a".to_owned(), 7)]));
        assert_eq!(
            stats.iter().map(|stats| (stats.cpu_percent, stats.denied)).collect::<Vec<_>>(),
            [(150.0, 7), (0.0, 0)]
        );
        assert_eq!(
            render(&stats[..1]),
            "SESSION  CPU     MEMORY  CEILING  PROCESSES  DENIED\na        150.0%  5 MiB   none     3          7\n"
        );
    }
}
