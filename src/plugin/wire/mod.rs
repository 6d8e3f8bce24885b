//! What goes over a plugin's socket. `docs/plugin-protocol.md` is the same for whoever writes a client.
//!
//! Every frame is its length, four bytes big-endian, and as many bytes. The first frame of a connection is JSON
//! and decides the form:
//!
//! | first frame | form |
//! |---|---|
//! | `{"action":"exec",…}` | simple: one [`Response`] for each [`Request`], one after the other |
//! | `{"action":"stream",…}` | streaming: one call, after [`Welcome`] frames of one tag byte and a payload |
//!
//! In the streaming form the tag tells what the payload is ([`Tag`]). Standard input is sent against credit
//! ([`Event::Credit`]), so that a signal never waits behind input that nobody reads.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest frame from a client, in bytes.
pub const REQUEST_MAX: usize = 1 << 20;
/// The longest frame to a client in the simple form, in bytes: two outputs of [`CAPTURED_MAX`] as JSON.
pub const RESPONSE_MAX: usize = 64 << 20;
/// What the simple form returns of each output, in bytes; more is an error of the call.
pub const CAPTURED_MAX: usize = 4 << 20;
/// The longest payload of a frame of the streaming form, in bytes.
pub const CHUNK_MAX: usize = 256 << 10;
/// Arguments of one call.
pub const ARGUMENTS_MAX: usize = 4096;
/// Variables of one call.
pub const VARIABLES_MAX: usize = 256;
/// The longest argument, variable or path, in bytes (`MAX_ARG_STRLEN` of the kernel is 128 KiB).
pub const WORD_MAX: usize = 128 << 10;
/// Bytes of standard input that may be on their way at first, and at most.
pub const INPUT_WINDOW: u32 = 1 << 20;
/// The version of the streaming form.
pub const VERSION: u32 = 1;

/// A first frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum First {
    /// The simple form: run the tool, and answer when it has ended.
    Exec(Request),
    /// The streaming form is asked for.
    Stream {
        /// [`VERSION`]; another one is refused.
        version: u32,
    },
}

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The arguments, without the tool's name.
    pub args: Vec<String>,
    /// An absolute path in the project, as the sandbox has it.
    pub cwd: String,
    /// Variables; the manifest says which of them reach the tool.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// The answer of the simple form. What is not UTF-8 in an output is replaced by U+FFFD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Whether the tool ran and ended with 0.
    pub success: bool,
    /// What a shell would say: the tool's exit status, 128 and the signal that ended it, 126 where the request
    /// was refused, 127 where there is no such tool.
    pub exit_code: u8,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Why it was refused or broken off.
    pub error: Option<String>,
}

/// The answer to [`First::Stream`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`].
    pub version: u32,
    /// The tool behind this socket.
    pub tool: String,
}

/// The first byte of a frame of the streaming form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// JSON: a [`Control`] from the client, an [`Event`] to it.
    Control = b'c',
    /// From the client: a piece of standard input; an empty one is its end.
    Input = b'0',
    /// To the client: a piece of standard output.
    Output = b'1',
    /// To the client: a piece of standard error.
    Error = b'2',
}

/// What a client says in the streaming form. The first is [`Control::Exec`] or [`Control::Connect`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Control {
    /// Run the tool.
    Exec {
        /// The arguments, without the tool's name.
        args: Vec<String>,
        /// An absolute path in the project, as the sandbox has it.
        cwd: String,
        /// Variables; the manifest says which of them reach the tool.
        #[serde(default)]
        env: BTreeMap<String, String>,
        /// Present where the tool gets a terminal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terminal: Option<Terminal>,
    },
    /// Only at a plugin of kind `git`: speak git's own protocol with a service of a remote.
    Connect {
        /// `git-upload-pack` or `git-receive-pack`.
        service: String,
        /// The remote, as the user wrote it: `https://…`, `ssh://…` or `user@host:path`.
        url: String,
        /// How the client's remote helper speaks.
        mode: Mode,
    },
    /// To the tool's process group.
    Signal {
        /// A name of signal(7) without SIG: `INT`, `TERM`, `QUIT`, `HUP`, `USR1`, `USR2`, `CONT`, `TSTP`, `WINCH` or
        /// `KILL`.
        signal: String,
    },
    /// The client's terminal has another size.
    Resize {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
}

/// The two forms in which git hands a connection to a remote helper (gitremote-helpers(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `connect`: a full-duplex connection.
    Connect,
    /// `stateless-connect`: protocol version 2, one request and one response at a time.
    Stateless,
}

/// Which of the tool's standard streams are a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error; what the tool writes to a terminal comes as standard output.
    pub stderr: bool,
}

/// What the broker says in the streaming form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The tool runs.
    Started,
    /// A remote that has no such form of connection: ask again in the other ([`Mode::Connect`]).
    Fallback,
    /// So many bytes more of standard input may be sent.
    Credit {
        /// At most [`INPUT_WINDOW`].
        bytes: u32,
    },
    /// The tool has ended, and all of its output was sent. The last frame.
    Exited {
        /// Its status, or 128 and the signal.
        exit_code: u8,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    },
    /// Nothing was run, or it was broken off. The last frame.
    Refused {
        /// 126 where it may not run, 127 where there is no such tool, 124 after the time that it has.
        exit_code: u8,
        /// Why, and what to do.
        error: String,
    },
}
