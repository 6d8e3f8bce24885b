//! What is said, as plain data.

use super::words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A first frame. It is read by [`First::parse`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum First {
    /// The simple form: run the tool, and answer when it has ended.
    Exec(Request),
    /// The streaming form is asked for.
    Stream {
        /// [`VERSION`](super::VERSION); another one is refused.
        version: u32,
    },
}

/// What to run. Read from JSON, its counts and lengths are within bounds, and it can be executed: there is no NUL
/// in it, the path is absolute, and no name of a variable is empty or has a `=`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The arguments, without the tool's name.
    #[serde(deserialize_with = "words::arguments")]
    pub args: Vec<String>,
    /// An absolute path in the project, as the sandbox has it.
    #[serde(deserialize_with = "words::directory")]
    pub cwd: String,
    /// Variables; the manifest says which of them reach the tool.
    #[serde(default, deserialize_with = "words::variables")]
    pub env: BTreeMap<String, String>,
}

/// The answer of the simple form, and to any first frame that is refused. What is not UTF-8 in an output is
/// replaced by U+FFFD.
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

impl Response {
    /// Nothing was run.
    pub fn refused(exit_code: u8, error: impl Into<String>) -> Self {
        let (stdout, stderr) = (String::new(), String::new());
        Self { success: false, exit_code, stdout, stderr, error: Some(error.into()) }
    }

    /// The tool has ended.
    pub fn ended(exit_code: u8, stdout: &[u8], stderr: &[u8]) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { success: exit_code == 0, exit_code, stdout: text(stdout), stderr: text(stderr), error: None }
    }
}

/// The answer to [`First::Stream`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`](super::VERSION).
    pub version: u32,
    /// The tool behind this socket.
    pub tool: String,
    /// Names of the variables that a call may bring; one that ends in `*` stands for all that begin so. Others
    /// do not reach the tool.
    #[serde(default)]
    pub environment: Vec<String>,
}

impl Welcome {
    /// Whether a variable of this name reaches the tool.
    pub fn takes(&self, variable: &str) -> bool {
        self.environment.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => variable.starts_with(beginning),
            None => variable == name,
        })
    }
}

/// What a client reads after it has said [`First::Stream`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Greeting {
    /// The streaming form follows.
    Welcome(Welcome),
    /// The broker closes the connection.
    Refused(Response),
}

/// What a client says in the streaming form. The first is [`Control::Exec`] or [`Control::Connect`], and comes
/// once. It is read by [`Control::parse`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Control {
    /// Run the tool.
    Exec {
        /// What to run.
        #[serde(flatten)]
        request: Request,
        /// Present where the tool gets a terminal.
        #[serde(skip_serializing_if = "Option::is_none")]
        terminal: Option<Terminal>,
    },
    /// Only at a plugin of kind `git`: speak git's own protocol with a service of a remote.
    Connect {
        /// Which.
        service: Service,
        /// The remote, as the user wrote it: `https://…`, `ssh://…` or `user@host:path`. No control characters,
        /// and no `-` in front.
        url: String,
        /// How the client's remote helper speaks.
        mode: Mode,
    },
    /// To the tool's process group.
    Signal {
        /// Which.
        signal: Signal,
    },
    /// The client's terminal has another size.
    Resize {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// Nobody reads an output any more. The tool learns of it as ever, by `EPIPE` and SIGPIPE when it writes there.
    Close {
        /// Which. What comes of it still is dropped by the client.
        stream: Stream,
    },
}

/// An output of the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "stdio(3) explains them")]
pub enum Stream {
    Stdout = 0,
    Stderr = 1,
}

/// A service of git's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// What `git fetch` speaks with.
    #[serde(rename = "git-upload-pack")]
    UploadPack,
    /// What `git push` speaks with.
    #[serde(rename = "git-receive-pack")]
    ReceivePack,
}

impl Service {
    /// The program's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
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

/// Signals that a client may send: their names in signal(7) without SIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "signal(7) explains them")]
pub enum Signal {
    Hup,
    Int,
    Quit,
    Kill,
    Usr1,
    Usr2,
    Term,
    Cont,
    Tstp,
    Winch,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Hup,
        Self::Int,
        Self::Quit,
        Self::Kill,
        Self::Usr1,
        Self::Usr2,
        Self::Term,
        Self::Cont,
        Self::Tstp,
        Self::Winch,
    ];

    /// Its number on this system.
    pub fn number(self) -> i32 {
        match self {
            Self::Hup => libc::SIGHUP,
            Self::Int => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Kill => libc::SIGKILL,
            Self::Usr1 => libc::SIGUSR1,
            Self::Usr2 => libc::SIGUSR2,
            Self::Term => libc::SIGTERM,
            Self::Cont => libc::SIGCONT,
            Self::Tstp => libc::SIGTSTP,
            Self::Winch => libc::SIGWINCH,
        }
    }

    /// The one with this number on this system, if a client may send it.
    pub fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

/// Which of the tool's standard streams are a terminal. What the tool writes to it comes as standard output if
/// that is one of them, as standard error if not.
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
    /// Standard error.
    pub stderr: bool,
}

/// What the broker says in the streaming form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The tool runs, or the remote answers. Nothing comes before it but [`Event::Refused`] and [`Event::Fallback`].
    Started,
    /// A remote that has no such form of connection: ask again in the other ([`Mode::Connect`]). The last frame.
    Fallback,
    /// So many bytes more of standard input may be sent.
    Credit {
        /// With what may be sent already, at most [`INPUT_WINDOW`](super::INPUT_WINDOW).
        bytes: u32,
    },
    /// The tool takes no more standard input. What comes is dropped.
    InputClosed,
    /// The tool has stopped itself, as by a key of its terminal; [`Signal::Cont`] lets it go on.
    Stopped,
    /// The tool has ended, and all of its output was sent. The last frame.
    Exited {
        /// Its status, or 128 and the signal.
        exit_code: u8,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// Bytes of standard input that it read, where that is known: the client gives back to a file what it sent
        /// beyond that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read: Option<u64>,
    },
    /// Nothing was run, or it was broken off. The last frame.
    Refused {
        /// 126 where it may not run, 127 where there is no such tool, 124 after the time that it has.
        exit_code: u8,
        /// Why, and what to do.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_later_broker_adds_is_passed_over() {
        let event: Event = serde_json::from_value(json!({"event": "started", "new": {}})).unwrap();
        assert_eq!(event, Event::Started);
        let greeting: Greeting = serde_json::from_value(json!({"version": 1, "tool": "gh", "new": 1})).unwrap();
        let Greeting::Welcome(welcome) = greeting else { panic!("{greeting:?}") };
        assert_eq!((welcome.version, welcome.environment), (1, vec![]));
    }

    #[test]
    fn a_refusal_is_no_welcome() {
        let refused = Response::refused(126, "no");
        let greeting: Greeting = serde_json::from_value(serde_json::to_value(&refused).unwrap()).unwrap();
        assert_eq!(greeting, Greeting::Refused(refused));
    }

    #[test]
    fn a_variable_is_taken_by_its_name_or_its_beginning() {
        let environment = ["TERM", "LC_*"].map(str::to_owned).to_vec();
        let welcome = Welcome { version: 1, tool: "gh".into(), environment };
        assert!(welcome.takes("TERM") && welcome.takes("LC_ALL"));
        assert!(!welcome.takes("TERMINFO") && !welcome.takes("LANG") && !welcome.takes("lc_all"));
    }

    #[test]
    fn signals_are_known_by_their_names_and_numbers() {
        assert_eq!(json!(Signal::Usr1), json!("USR1"));
        assert!(Signal::ALL.into_iter().all(|signal| Signal::of_number(signal.number()) == Some(signal)));
        assert_eq!(Signal::of_number(libc::SIGSTOP), None);
    }
}
