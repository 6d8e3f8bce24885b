//! The caller's sandboxes, as they are seen from outside: of all runtimes at once.

use crate::facts::Facts;
use crate::kept::place::Place;
use crate::runtime::embedded::cgroup::{Counted, Hierarchy};
use crate::runtime::embedded::memory::{Processes, Usage};
use crate::session::{self, Record, SessionError};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// One sandbox at one moment; `None` is what could not be seen.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sandbox {
    #[serde(flatten)]
    pub record: Record,
    pub memory_bytes: Option<u64>,
    pub processes: Option<u64>,
    /// Seconds of one processor since the start.
    pub processor_seconds: Option<f64>,
    /// Whether its terminal is kept by rcc.
    pub detached: bool,
    pub network: Option<Network>,
}

/// What a sandbox has of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Network {
    /// None was asked for.
    Offline,
    /// It is connected under its identity.
    Connected,
    /// It was, and is not any more.
    Cut,
    /// Its container is being made.
    Starting,
}

impl Network {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Connected => "connected",
            Self::Cut => "cut",
            Self::Starting => "starting",
        }
    }
}

/// Looks at all of them, the oldest first. What costs is done once for all, and only if it is needed.
pub(super) fn look(facts: &Facts, runtime_dir: &Path) -> Result<Vec<Sandbox>, SessionError> {
    let (records, hierarchy) = (session::list(runtime_dir)?, Hierarchy::read());
    let counted = |record: &Record| record.root().map(|root| hierarchy.counted(root)).unwrap_or_default();
    let counted: Vec<Counted> = records.iter().map(counted).collect();
    let whole = |of: &Counted| of.memory.is_some() && of.processes.is_some() && of.processor.is_some();
    let processes = (!counted.iter().all(whole) || records.iter().any(|record| record.identity.is_some()))
        .then(|| Processes::read(Path::new("/proc")).ok())
        .flatten();
    let wanted = |(record, counted): (&Record, &Counted)| if whole(counted) { None } else { record.root() };
    let roots: Vec<Option<u32>> = records.iter().zip(&counted).map(wanted).collect();
    let added = add(processes.as_ref(), &roots);
    let connected = processes.as_ref().and_then(Processes::connected);
    let seen = |((record, counted), added): ((Record, Counted), Option<Usage>)| {
        let detached = Place::new(runtime_dir, &facts.data_dir, &record.id).socket().exists();
        let network = match record.identity {
            None => Some(Network::Offline),
            Some(_) if record.is_starting() => Some(Network::Starting),
            Some(identity) => {
                connected.as_ref().map(|all| if all.contains(&identity) { Network::Connected } else { Network::Cut })
            }
        };
        of(record, &counted, added.as_ref(), detached, network)
    };
    Ok(records.into_iter().zip(counted).zip(added).map(seen).collect())
}

/// Threads that add up at most: the kernel goes through the memory of every process meanwhile.
const THREADS: usize = 4;

/// What the processes below these use together, several at a time. No thread is left.
fn add(processes: Option<&Processes>, roots: &[Option<u32>]) -> Vec<Option<Usage>> {
    let usage = |root: &Option<u32>| processes?.usage((*root)?).ok();
    let threads = std::thread::available_parallelism().map_or(1, |most| most.get().min(THREADS));
    let share = roots.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let part = |roots: &[Option<u32>]| roots.iter().map(usage).collect::<Vec<_>>();
        let parts: Vec<_> = roots.chunks(share).map(|roots| scope.spawn(move || part(roots))).collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn of(record: Record, counted: &Counted, added: Option<&Usage>, detached: bool, network: Option<Network>) -> Sandbox {
    let seconds = |time: Duration| (time.as_secs_f64() * 100.0).round() / 100.0;
    let processor = counted.processor.or_else(|| added.map(|added| added.processor));
    Sandbox {
        memory_bytes: counted.memory.or_else(|| added.map(|added| added.bytes)),
        processes: counted.processes.or_else(|| added.map(|added| added.processes as u64)),
        processor_seconds: processor.map(seconds),
        detached,
        network,
        record,
    }
}
