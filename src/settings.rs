//! What a run may do, merged from root's, the user's and the project's configuration.

use crate::plugin::name::ToolName;
use crate::policy::ProfileName;
use crate::runtime::{Image, Runtime};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// The merged configuration of one run, without the network policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The network profile.
    pub profile: ProfileName,
    /// What makes the sandbox.
    pub runtime: Runtime,
    /// The image that a container engine takes the system's files from.
    pub image: Option<Image>,
    /// Patterns of project files that are invisible inside: gitignore-like globs, relative to
    /// the project; a pattern without '/' matches in every directory.
    pub exclude: Vec<String>,
    /// Host paths that the user adds to the sandbox's view.
    pub mounts: Vec<ExtraMount>,
    /// Ceilings that somebody asked for.
    pub limits: Limits,
    /// Ceilings of what nobody has said anything about. They hold where they can be enforced.
    pub default_limits: DefaultLimits,
    /// The environment inside.
    pub environment: Environment,
    /// Protected project paths (see `project::handover`) that the user lets the agent write.
    pub writable: Vec<String>,
    /// Whether the sandbox joins the relay.
    pub relay: Join,
    /// How long rcc waits.
    pub timeouts: Timeouts,
    /// The tools that the sandbox has, of those that there are plugins for: all of them, if `None`.
    pub plugins: Option<BTreeSet<ToolName>>,
}

/// Which sandboxes join their user's relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Join {
    /// Those of `rcc claude`, and others where the command line asks for it.
    #[default]
    Claude,
    /// All of them.
    Always,
    /// Those for which the command line asks for it.
    Never,
    /// None, whatever the command line asks for: the project stays away.
    Refused,
}

/// A host path that the user adds to the sandbox's view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExtraMount {
    /// An absolute path on the host.
    pub source: PathBuf,
    /// An absolute path inside.
    pub target: PathBuf,
    /// Read-only unless the user says otherwise.
    pub writable: bool,
}

/// Ceilings for one sandbox; nothing is allocated in advance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory, page cache included (`memory.max`).
    pub memory: Option<u64>,
    /// Processes and threads (`pids.max`).
    pub pids: Option<u64>,
    /// Processors' worth of time (`cpu.max`), above 0.
    pub cpus: Option<f64>,
}

/// Ceilings that follow from the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DefaultLimits {
    /// As [`Limits::memory`].
    pub memory: Option<u64>,
    /// As [`Limits::pids`].
    pub pids: Option<u64>,
    /// How they follow, for each that there is.
    pub why: Vec<String>,
}

/// How long rcc waits, where the right time depends on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timeouts {
    /// For an engine's first answer, and then for rcc in the container.
    pub start: Duration,
    /// For one call of an engine.
    pub engine: Duration,
    /// For the end of what was killed.
    pub death: Duration,
    /// For an agent that was asked to end.
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let (start, engine, death, stop) = (30, 120, 10, 5);
        let [start, engine, death, stop] = [start, engine, death, stop].map(Duration::from_secs);
        Self { start, engine, death, stop }
    }
}

/// Environment variables inside. Nothing is passed that is not named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// Names to copy from the caller's environment where set.
    pub pass: Vec<String>,
    /// Names and values to set.
    pub set: BTreeMap<String, String>,
}
