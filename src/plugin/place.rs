//! Where a user's broker keeps its sockets and its files.
//!
//! ```text
//! RUN/broker.sock                    for the host's programs: 0600
//! RUN/lock                           locked by the broker as long as it runs
//! RUN/sessions/NAME.RANDOM/          /run/rcc/plugins in the session's sandbox
//!                          TOOL.sock the tool's socket there
//!                          bin/TOOL  its wrapper: a link to rcc's program inside
//! STATE/audit/*.jsonl                the journal
//! STATE/disabled                     the tools that their user has stopped
//! STATE/homes/PROJECT/TOOL/          the private home of a tool for a project
//! STATE/mirrors/                     copies of git's remotes, for the decisions on what is pushed
//! ```

use super::name::ToolName;
use std::path::{Path, PathBuf};

/// Where a sandbox has its session's directory.
pub const INSIDE: &str = "/run/rcc/plugins";
/// Where it has the wrappers: before everything else in its `PATH`.
pub const INSIDE_WRAPPERS: &str = "/run/rcc/plugins/bin";
/// The wrappers' directory in a session's.
pub const WRAPPERS: &str = "bin";

/// The directories of one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Sockets and the lock; gone with the next boot.
    pub run: PathBuf,
    /// What lasts.
    pub state: PathBuf,
}

impl Place {
    /// That of the user with this runtime directory ([`crate::session::runtime_dir`]) and rcc's data there.
    pub fn new(runtime_dir: &Path, data_dir: &Path) -> Self {
        Self { run: runtime_dir.join("plugins"), state: data_dir.join("plugins") }
    }

    /// The socket for the host's programs.
    pub fn socket(&self) -> PathBuf {
        self.run.join("broker.sock")
    }

    /// Locked by the broker.
    pub fn lock(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// The sessions' directories.
    pub fn sessions(&self) -> PathBuf {
        self.run.join("sessions")
    }

    /// The journal's directory.
    pub fn audit(&self) -> PathBuf {
        self.state.join("audit")
    }

    /// The tools that their user has stopped.
    pub fn disabled(&self) -> PathBuf {
        self.state.join("disabled")
    }

    /// What a broker without a terminal says.
    pub fn log(&self) -> PathBuf {
        self.state.join("broker.log")
    }

    /// The private home of a tool; `project` is a name for the project that is a plain file name.
    pub fn home(&self, project: &str, tool: &ToolName) -> PathBuf {
        self.state.join("homes").join(project).join(tool.as_str())
    }

    /// Copies of git's remotes.
    pub fn mirrors(&self) -> PathBuf {
        self.state.join("mirrors")
    }
}

/// A tool's socket in a session's directory.
pub fn socket_name(tool: &ToolName) -> String {
    format!("{tool}.sock")
}
