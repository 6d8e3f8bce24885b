//! The blocking client of a relay.

pub(super) mod connect;
mod find;
mod resolve;
#[cfg(test)]
mod tests;

pub use find::{Candidates, SOCKET_VARIABLE, find, own_place};
pub use resolve::{Unresolved, recipient, session};

use super::place::{INSIDE_SOCKET, SYSTEM_GROUP};
use super::wire::answer::ANSWER_MAX;
use super::wire::{Lines, Message, Notice, Reason, Refusal, Reply, Request, Response};
use crate::shown;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// After this long without an answer something is wrong with the relay.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of what was pushed and not taken yet. What is beyond is not lost: it comes again with the next
/// connection, as it was not acknowledged.
const PUSHED_MAX: usize = 2 * ANSWER_MAX;
/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Why the relay could not be asked, or what it said.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no relay is running: nobody listens on {}", shown::terminal(path))]
    #[diagnostic(help("{remedy}"))]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What starts it.
        remedy: &'static str,
    },
    /// The socket is for others.
    #[error("cannot use the relay at {}: permission denied", shown::terminal(path))]
    #[diagnostic(help(
        "the system's relay is for members of the group {SYSTEM_GROUP}: `sudo usermod -aG {SYSTEM_GROUP} NAME`, then \
         log in again"
    ))]
    NotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// The system's reason.
    #[error("cannot {action} the relay: {source}")]
    Socket {
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// It ended, or dropped the connection.
    #[error("the relay closed the connection while {waited} was awaited")]
    #[diagnostic(help("`rcc relay status` tells whether it runs; what it had not acknowledged is to be sent again"))]
    Closed {
        /// What did not come.
        waited: &'static str,
    },
    /// Nothing came.
    #[error("the relay did not answer '{request}' within {} seconds", PATIENCE.as_secs())]
    #[diagnostic(help("it may be busy, or its disk may be: try again, or look at its log"))]
    Silent {
        /// The request's `type`.
        request: String,
    },
    /// It does not speak the protocol.
    #[error("what the relay said is not understood: {0}")]
    #[diagnostic(help("is the relay of another version? `rcc relay stop`, then start it again"))]
    Garbled(String),
    /// More was pushed than is kept.
    #[error("messages came faster than they were taken: {} MiB wait", PUSHED_MAX >> 20)]
    #[diagnostic(help("connect again: they come again, as they were not acknowledged"))]
    Overrun,
    /// It said no.
    #[error("{}", shown::text(&refusal.error))]
    Refused {
        /// Why.
        refusal: Refusal,
    },
}

impl ClientError {
    fn not_running(path: &Path) -> Self {
        let remedy = if path == Path::new(INSIDE_SOCKET) {
            "it runs on the host: `rcc relay start` there; a sandbox that has this socket is heard again by itself"
        } else if path == super::place::Place::system().socket() {
            "`sudo systemctl start rcc-relay` starts it, where `sudo rcc relay install --system` has set it up"
        } else {
            "`rcc relay start --detach` starts it"
        };
        Self::NotRunning { path: path.to_owned(), remedy }
    }

    /// The relay's reason, where it refused.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { refusal } => Some(refusal.reason),
            _ => None,
        }
    }

    /// Whether the request may have been carried out all the same.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Silent { .. })
    }
}

/// What the relay writes without being asked.
#[derive(Clone, Debug, PartialEq)]
enum Pushed {
    Message(Box<Message>),
    Notice(Notice),
}

/// A bare connection to a socket at a path of any length, for clients that speak the protocol themselves.
///
/// # Errors
/// The system's: `ENOENT` and `ECONNREFUSED` mean that nobody listens there.
pub fn stream(path: &Path) -> std::io::Result<UnixStream> {
    connect::to(path, PATIENCE)
}

/// A connection. After an error other than [`ClientError::Refused`] and [`ClientError::Silent`] it is of no
/// use any more; connecting again is the caller's.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    lines: Lines,
    /// What was pushed while an answer was awaited, and how many bytes each took.
    pushed: VecDeque<(Pushed, usize)>,
    pushed_bytes: usize,
    patience: Duration,
    requests: u64,
}

/// A request on its way.
#[derive(Serialize)]
struct Tagged<'a> {
    request: &'a str,
    #[serde(flatten)]
    body: &'a Request,
}

impl Client {
    /// Connects to the socket at this path, of any length.
    ///
    /// # Errors
    /// If nobody listens there, or it is not for the caller.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        Self::patient(path, PATIENCE)
    }

    fn patient(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let stream = connect::to(path, patience).map_err(|source| match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory => {
                ClientError::not_running(path)
            }
            ErrorKind::PermissionDenied => ClientError::NotPermitted { path: path.to_owned() },
            ErrorKind::WouldBlock => ClientError::Silent { request: "connect".to_owned() },
            _ => ClientError::Socket { action: "connect to", source },
        })?;
        Ok(Self { stream, lines: Lines::default(), pushed: VecDeque::new(), pushed_bytes: 0, patience, requests: 0 })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// If it is a refusal, does not come, or is not understood.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ClientError> {
        let data = self.request(request)?;
        serde_json::from_value(data).map_err(|error| ClientError::Garbled(error.to_string()))
    }

    /// [`Client::ask`], for any answer.
    ///
    /// # Errors
    /// The same.
    pub fn request(&mut self, request: &Request) -> Result<Value, ClientError> {
        self.requests += 1;
        let tag = self.requests.to_string();
        let deadline = Instant::now() + self.patience;
        let mut line = serde_json::to_vec(&Tagged { request: &tag, body: request })
            .map_err(|error| ClientError::Garbled(error.to_string()))?;
        line.push(b'\n');
        let silent = || ClientError::Silent { request: word(&line) };
        match self.stream.write_all(&line) {
            // Whoever hangs up may have said why.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(silent()),
            Err(source) => return Err(ClientError::Socket { action: "write to", source }),
            Ok(()) => {}
        }
        loop {
            let Some((reply, length)) = self.reply(Some(deadline), "an answer")? else {
                return Err(silent());
            };
            match reply {
                Reply::Response(answer) if answer.request.as_deref() == Some(tag.as_str()) => return outcome(answer),
                // What is refused without a tag is the connection itself.
                Reply::Response(answer) if answer.request.is_none() && answer.error.is_some() => {
                    return outcome(answer);
                }
                // To a request that was given up.
                Reply::Response(_) => {}
                Reply::Message(message) => self.keep(Pushed::Message(Box::new(message)), length)?,
                Reply::Notice(notice) => self.keep(Pushed::Notice(notice), length)?,
            }
        }
    }

    /// The next message for a client that subscribed, in the order in which they came; `None` when `timeout` is
    /// over. Notices on the way are passed over.
    ///
    /// # Errors
    /// If the connection is closed, or what comes is not understood.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<Message>, ClientError> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            match self.pushed_before(deadline)? {
                Some(Pushed::Message(message)) => return Ok(Some(*message)),
                Some(Pushed::Notice(_)) => {}
                None => return Ok(None),
            }
        }
    }

    fn pushed_before(&mut self, deadline: Option<Instant>) -> Result<Option<Pushed>, ClientError> {
        if let Some((pushed, length)) = self.pushed.pop_front() {
            self.pushed_bytes -= length;
            return Ok(Some(pushed));
        }
        loop {
            match self.reply(deadline, "a message")? {
                Some((Reply::Message(message), _)) => return Ok(Some(Pushed::Message(Box::new(message)))),
                Some((Reply::Notice(notice), _)) => return Ok(Some(Pushed::Notice(notice))),
                Some((Reply::Response(answer), _)) if answer.request.is_none() && answer.error.is_some() => {
                    outcome(answer)?;
                }
                Some((Reply::Response(_), _)) => {}
                None => return Ok(None),
            }
        }
    }

    fn keep(&mut self, pushed: Pushed, length: usize) -> Result<(), ClientError> {
        if self.pushed_bytes + length > PUSHED_MAX {
            return Err(ClientError::Overrun);
        }
        self.pushed_bytes += length;
        self.pushed.push_back((pushed, length));
        Ok(())
    }

    /// The next line, and its length; `None` when there is none before the deadline. What has come of one stays.
    fn reply(
        &mut self,
        deadline: Option<Instant>,
        waited: &'static str,
    ) -> Result<Option<(Reply, usize)>, ClientError> {
        let mut chunk = Vec::new();
        loop {
            let line = self.lines.next(ANSWER_MAX).map_err(|error| ClientError::Garbled(error.to_string()))?;
            if let Some(line) = line {
                let reply = serde_json::from_slice(&line).map_err(|error| ClientError::Garbled(error.to_string()))?;
                return Ok(Some((reply, line.len())));
            }
            if !self.readable(deadline)? {
                return Ok(None);
            }
            chunk.resize(CHUNK, 0);
            match recv(&self.stream, &mut chunk[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => return Err(ClientError::Closed { waited }),
                Ok((count, _)) => self.lines.push(&chunk[..count]),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(ClientError::Socket { action: "read from", source: error.into() }),
            }
        }
    }

    fn readable(&self, deadline: Option<Instant>) -> Result<bool, ClientError> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // More than fits is for ever.
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(ClientError::Socket { action: "wait for", source: error.into() }),
            }
        }
    }
}

fn outcome(answer: Response) -> Result<Value, ClientError> {
    let Some(error) = answer.error else { return Ok(answer.data.unwrap_or_else(|| Value::Object(Default::default()))) };
    let reason = answer.reason.ok_or_else(|| ClientError::Garbled(format!("an error without a reason: {error}")))?;
    let retry_after = answer.retry_after.map(Duration::from_millis);
    Err(ClientError::Refused { refusal: Refusal { reason, error, retry_after } })
}

/// The `type` of what was just written.
fn word(line: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Typed {
        r#type: String,
    }
    serde_json::from_slice::<Typed>(line).map(|typed| typed.r#type).unwrap_or_default()
}
