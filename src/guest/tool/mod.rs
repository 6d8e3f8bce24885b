//! A tool's wrapper: this program under the tool's name, first in `PATH`. The tool runs outside, where its
//! credentials are, and everything that can be seen of it is as if it ran here: its streams, its terminal, its
//! signals, its exit status.
//!
//! ```text
//! argv, cwd, environment ── request ──┐
//! stdin, stdout, stderr, tty, signals ┴─ exchange ══ /run/rcc/plugins/<tool>.sock ══ broker
//! ```
//!
//! A convenience, never the boundary: whatever goes around it finds no credentials. It starts with every call, so
//! there is one thread, and no more is set up than is needed.

mod exchange;
mod input;
mod outgoing;
mod output;
mod request;
mod tty;

pub use exchange::{Ended, Exchange, ExchangeError};
pub use request::RequestError;

use super::program;
use crate::output::tell_line;
use crate::plugin::name::ToolName;
use crate::plugin::place::INSIDE_WRAPPERS;
use crate::plugin::wire::Control;
use crate::plugin::wire::client::{Client, ClientError, Streaming};
use crate::plugin::wire::{Request, Welcome};
use crate::shown;
use crate::terminal::signals;
use crate::terminal::stdio::StdioError;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Where the sockets of a sandbox's plugins are.
pub const PLUGINS: &str = "/run/rcc/plugins";
/// Another directory of sockets, and whatever name this program has, it is a wrapper then.
pub const PLUGINS_VARIABLE: &str = "RCC_PLUGINS";
/// The program's own names: inside of a sandbox, and on the host.
const OWN_NAMES: [&str; 2] = ["rcc", program::NAME];
/// The broker answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// rcc failed, and not the tool.
const EXIT_FAILED: u8 = 125;
/// The request cannot be made (a shell says it of a file that it cannot execute).
const EXIT_CANNOT: u8 = 126;
/// There is no such tool.
const EXIT_NOT_FOUND: u8 = 127;

/// Why a tool was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no socket of its name.
    #[error(
        "no plugin '{0}' in this sandbox: plugins are set up outside, by a file /etc/rcc/plugins/{0}.toml; \
         `rcc plugin list` there shows which there are"
    )]
    NoPlugin(ToolName),
    /// There is one, and nothing behind it.
    #[error("{tool}: {source}: `rcc plugin status` outside of the sandbox shows how the plugins are")]
    Broker {
        /// The tool.
        tool: ToolName,
        /// What happened.
        source: ClientError,
    },
    /// What was typed cannot be said.
    #[error("{tool}: {source}")]
    Request {
        /// The tool.
        tool: ToolName,
        /// Why.
        source: RequestError,
    },
    /// It broke off.
    #[error("{tool}: {source}")]
    Exchange {
        /// The tool.
        tool: ToolName,
        /// Why.
        source: ExchangeError,
    },
    /// This process's own terminal or streams cannot be used.
    #[error("{tool}: {source}")]
    Stdio {
        /// The tool.
        tool: ToolName,
        /// Why.
        source: StdioError,
    },
}

impl ToolError {
    /// The exit status for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoPlugin(_) => EXIT_NOT_FOUND,
            Self::Request { .. } => EXIT_CANNOT,
            Self::Broker { source: ClientError::Refused(response), .. } => response.exit_code,
            Self::Broker { .. } | Self::Exchange { .. } | Self::Stdio { .. } => EXIT_FAILED,
        }
    }
}

/// The tool that this process stands for: the name that it was started under, where rcc put a wrapper of that name,
/// or where other sockets are named. Under its own names the program is never one.
pub fn called(started_as: Option<&OsString>) -> Option<ToolName> {
    let tool: ToolName = Path::new(started_as?).file_name()?.to_str()?.parse().ok()?;
    let is_wrapper = || {
        std::env::var_os(PLUGINS_VARIABLE).is_some()
            || std::fs::symlink_metadata(Path::new(INSIDE_WRAPPERS).join(tool.as_str())).is_ok()
    };
    (!OWN_NAMES.contains(&tool.as_str()) && is_wrapper()).then_some(tool)
}

/// Runs the tool, and ends as it ended: by the same signal, or with the status to exit with.
pub fn run(tool: ToolName, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match call(tool.clone(), arguments) {
        Ok(Ended::Exited { exit_code, signal }) => {
            if let Some(signal) = signal {
                die_by(signal);
            }
            ExitCode::from(exit_code)
        }
        Ok(Ended::Refused { exit_code, error }) => {
            complain(&format!("{tool}: {error}"));
            ExitCode::from(exit_code)
        }
        Ok(Ended::Fallback) => {
            complain(&format!("{tool}: the plugin answered as if it were a remote of git's"));
            ExitCode::from(EXIT_FAILED)
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

fn call(tool: ToolName, arguments: impl Iterator<Item = OsString>) -> Result<Ended, ToolError> {
    let (welcome, mut connection) = connect(&tool)?;
    let source = |source| ToolError::Request { tool: tool.clone(), source };
    let request = request_of(&welcome, arguments).map_err(source)?;
    let stdio = |source| ToolError::Stdio { tool: tool.clone(), source };
    let exchange = Exchange::new().map_err(stdio)?;
    let said = Control::Exec { request, terminal: exchange.terminal() };
    connection.say(&said).map_err(|source| ToolError::Broker { tool: tool.clone(), source })?;
    exchange.run(connection).map_err(|source| ToolError::Exchange { tool: tool.clone(), source })
}

fn request_of(welcome: &Welcome, arguments: impl Iterator<Item = OsString>) -> Result<Request, RequestError> {
    request::make(arguments, std::env::current_dir(), std::env::vars_os(), welcome)
}

/// A connection to a tool's plugin, in the streaming form.
///
/// # Errors
/// If there is none, or it does not answer.
pub fn connect(tool: &ToolName) -> Result<(Welcome, Streaming), ToolError> {
    let directory = std::env::var_os(PLUGINS_VARIABLE).map_or_else(|| PLUGINS.into(), PathBuf::from);
    let connected = Client::connect(&directory.join(format!("{tool}.sock")), PATIENCE);
    connected.and_then(Client::stream).map_err(|error| match error {
        ClientError::Connect(source) if source.kind() == ErrorKind::NotFound => ToolError::NoPlugin(tool.clone()),
        source => ToolError::Broker { tool: tool.clone(), source },
    })
}

/// On standard error, where an agent's words may be in it.
fn complain(text: &str) {
    for line in text.lines() {
        tell_line(format_args!("rcc: {}", shown::text(line)));
    }
}

/// Ends this process by a signal, so that whoever waits for it sees the same as of the tool. Returns where the
/// signal does not do that.
fn die_by(number: i32) {
    // It is not this program that has crashed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let Some(signal) = Signal::from_named_raw(number) else { return };
    // SIGKILL and SIGSTOP have no other action.
    let _ = signals::set_default(signal);
    let _ = signals::unblock_all();
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}
