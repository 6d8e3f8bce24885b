//! The caller's sandboxes, as they are seen from outside: of all runtimes at once.

use crate::facts::Facts;
use crate::kept::place::Place;
use crate::runtime::embedded::cgroup::{Counted, Hierarchy};
use crate::runtime::embedded::memory::{Processes, Usage};
use crate::session::{self, Record, SessionError};
use serde::Serialize;
use std::cell::OnceCell;
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
}

impl Network {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Connected => "connected",
            Self::Cut => "cut",
        }
    }
}

/// Looks at all of them, the oldest first. What costs is done once for all, and only if it is needed.
pub(super) fn look(facts: &Facts, runtime_dir: &Path) -> Result<Vec<Sandbox>, SessionError> {
    let (hierarchy, processes) = (Hierarchy::read(), OnceCell::new());
    let processes = || processes.get_or_init(|| Processes::read(Path::new("/proc")).ok()).as_ref();
    let connected = OnceCell::new();
    let seen = |record: Record| {
        let counted = record.root().map(|root| hierarchy.counted(root)).unwrap_or_default();
        let whole = counted.memory.is_some() && counted.processes.is_some() && counted.processor.is_some();
        let added = if whole { None } else { record.root().and_then(|root| processes()?.usage(root).ok()) };
        let detached = Place::new(runtime_dir, &facts.data_dir, &record.id).socket().exists();
        let network = match record.identity {
            None => Some(Network::Offline),
            Some(identity) => connected
                .get_or_init(|| processes().and_then(Processes::connected))
                .as_ref()
                .map(|all: &Vec<u32>| if all.contains(&identity) { Network::Connected } else { Network::Cut }),
        };
        of(record, &counted, added.as_ref(), detached, network)
    };
    Ok(session::list(runtime_dir)?.into_iter().map(seen).collect())
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
