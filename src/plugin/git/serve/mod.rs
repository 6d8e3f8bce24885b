//! The program in the plugin's sandbox: serves one connection of a client's git on standard input and output.
//!
//! Nothing here reads a file of the agent's. Git runs with a configuration of our own and no other
//! ([`command`]), and what it says is told to the client without what acts on a terminal.

mod command;
mod decisions;
mod fetch;
mod hidden;
mod mirror;
mod proc_receive;
mod push;
mod said;
mod state;
mod upstream;

pub use proc_receive::run as run_hook;

use super::pktline;
use super::rules::BadRule;
use super::task::{HOOK, Task};
use crate::output;
use crate::plugin::wire::Service;
use command::Git;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The variable in which the hook finds the task.
const TASK: &str = "RCC_GIT_TASK";
/// What git exits with when it dies.
const EXIT_DIED: u8 = 128;

/// A connection could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The broker and this program are of different versions.
    #[error("the broker's task cannot be read: {0}; restart the broker with `rcc plugin stop` and `start`")]
    Task(#[from] serde_json::Error),
    /// A program did not start.
    #[error("cannot start {program} in the git plugin's sandbox: {source}; is it installed?")]
    Start {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// An old git.
    #[error("the host's git is {found}, and the git plugin needs {needed} or a newer one")]
    Version {
        /// What it says.
        found: String,
        /// What is needed.
        needed: &'static str,
    },
    /// A file or directory of the plugin's.
    #[error("cannot {attempt} {}: {source}", path.display())]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A stream of the client's or of the upstream's.
    #[error("the connection broke: {0}")]
    Stream(#[source] io::Error),
    /// The upstream, by git's word.
    #[error("cannot {attempt} {upstream}: {reason}")]
    Upstream {
        /// What was attempted.
        attempt: &'static str,
        /// The upstream.
        upstream: String,
        /// What git said.
        reason: String,
    },
    /// Another connection has the mirror.
    #[error("another push to {0} is still going on: try again when it has ended")]
    Busy(String),
    /// The rules cannot be used.
    #[error("{0}; mend the git plugin's manifest")]
    Rules(#[from] BadRule),
    /// The client asks in a form that the upstream does not have.
    #[error("{0} does not speak version 2 of git's protocol, which requests one at a time need")]
    Old(String),
    /// The credentials cannot be kept out of what is told.
    #[error("a credential cannot be kept out of messages: {0}")]
    Hidden(String),
    /// A hook without its caller.
    #[error("this is a hook that git receive-pack runs for the git plugin, and nothing else does")]
    NoTask,
}

impl ServeError {
    fn file(attempt: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { attempt, path: path.clone(), source }
    }
}

/// Whether git receive-pack runs this process as its hook.
pub fn is_hook(started_as: Option<&OsString>) -> bool {
    let name = started_as.and_then(|started_as| Path::new(started_as).file_name());
    name == Some(HOOK.as_ref()) && std::env::var_os(TASK).is_some()
}

/// Serves the connection that the task, in JSON, tells of.
pub fn run(task: &str) -> ExitCode {
    match serve(task) {
        Ok(code) => code,
        Err(error) => {
            // Git shows this as `fatal: remote error: …` where it waits for the first words of an answer.
            let mut out = io::stdout().lock();
            let _ = pktline::write_line(&mut out, &format!("ERR rcc: {}", said::plain(&error.to_string())));
            let _ = out.flush();
            ExitCode::from(EXIT_DIED)
        }
    }
}

fn serve(task: &str) -> Result<ExitCode, ServeError> {
    let task: Task = serde_json::from_str(task)?;
    hidden::hide(&task.access)?;
    let git = Git::prepare(&task)?;
    match task.service {
        Service::UploadPack => fetch::serve(&git, &task),
        Service::ReceivePack => push::serve(&git, &task),
    }
}

/// The exit status of a program that spoke with the client itself.
fn ended(status: std::process::ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(EXIT_DIED))
}

/// Tells the client something on standard error.
fn tell(line: &str) {
    output::tell_line(said::plain(line));
}
