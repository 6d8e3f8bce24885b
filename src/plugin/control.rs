//! What the host's programs and the broker say to each other: frames of JSON ([`super::wire`]) over the broker's
//! own socket, which nobody but the user reaches.

use super::name::ToolName;
use super::port::Port;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is asked of the broker. One answer for each: [`Reply`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// A directory of sockets for a session: answered by [`Opened`]. The session lasts as long as the connection.
    Open {
        /// The session's name.
        session: String,
        /// The project's root.
        project: PathBuf,
        /// The tools that it has, of those that there are; all of them, if it does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tools: Option<Vec<ToolName>>,
        /// The directory that the session had, at a broker that has ended since: its sandbox has it mounted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<PathBuf>,
    },
    /// How things are: answered by [`Status`].
    Status,
    /// A tool is not to be used until [`Ask::Enable`]: calls that run are ended.
    Disable {
        /// Which.
        tool: ToolName,
    },
    /// It may be used again.
    Enable {
        /// Which.
        tool: ToolName,
    },
    /// The broker is to end.
    Stop,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply<T> {
    /// What was asked for.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn none<T>() -> Option<T> {
    None
}

/// The answer to [`Ask::Open`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The session's directory on the host.
    pub directory: PathBuf,
    /// The ports that its plugins name, by the plugins' names; some may name the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// The answer to [`Ask::Disable`], [`Ask::Enable`] and [`Ask::Stop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// The answer to [`Ask::Status`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// rcc's version.
    pub version: String,
    /// The broker's process.
    pub pid: u32,
    /// Since when it runs.
    pub started: Moment,
    /// Whether it ends with the last session.
    pub passing: bool,
    /// Every tool that there is a manifest for.
    pub tools: Vec<ToolStatus>,
    /// The sessions.
    pub sessions: Vec<SessionStatus>,
    /// What is wrong with files of manifests.
    pub problems: Vec<String>,
    /// The journal.
    pub audit: PathBuf,
}

/// One tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolStatus {
    /// Its name.
    pub tool: ToolName,
    /// `exec`, `git` or `http`.
    pub kind: String,
    /// For people.
    pub summary: String,
    /// `root's` or `yours`.
    pub origin: String,
    /// Why it cannot be used: disabled, or a credential is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// Calls that run.
    pub running: u32,
    /// Calls since the broker's start.
    pub calls: u64,
    /// Those of them that were refused.
    pub refused: u64,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its name.
    pub session: String,
    /// Its project.
    pub project: PathBuf,
    /// Since when.
    pub opened: Moment,
    /// Tools whose sandboxes are there.
    pub sandboxes: Vec<ToolName>,
}
