//! The bridge's connections to its relay.

use super::Fault;
use crate::relay::client::connect;
use crate::relay::wire::answer::ANSWER_MAX;
use crate::relay::wire::{Lines, Message, Reason, Refusal, Reply, Request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

/// After this long without an answer something is wrong with the relay.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// A connection.
pub(super) struct Relay {
    stream: UnixStream,
    lines: Lines,
    /// What was pushed while an answer was awaited: at most what the relay sends ahead.
    pushed: VecDeque<Message>,
    requests: u64,
}

#[derive(Serialize)]
struct Tagged<'a> {
    request: &'a str,
    #[serde(flatten)]
    body: &'a Request,
}

impl Relay {
    pub async fn connect(socket: &Path) -> Result<Self, Fault> {
        let stream = connect::to(socket, PATIENCE).map_err(Fault::Relay)?;
        stream.set_nonblocking(true).map_err(Fault::Relay)?;
        let stream = UnixStream::from_std(stream).map_err(Fault::Relay)?;
        Ok(Self { stream, lines: Lines::default(), pushed: VecDeque::new(), requests: 0 })
    }

    /// Asks, and waits for the answer.
    pub async fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Fault> {
        let asked = self.exchange(request);
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| Fault::Relay(ErrorKind::TimedOut.into()))?
    }

    async fn exchange<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Fault> {
        self.requests += 1;
        let tag = self.requests.to_string();
        let mut line = serde_json::to_vec(&Tagged { request: &tag, body: request }).map_err(garbled)?;
        line.push(b'\n');
        self.stream.write_all(&line).await.map_err(Fault::Relay)?;
        loop {
            match self.reply().await? {
                Reply::Message(message) => self.pushed.push_back(message),
                Reply::Response(answer) if answer.request.as_deref() == Some(&tag) || answer.request.is_none() => {
                    return match (answer.error, answer.data) {
                        (Some(error), _) => {
                            let reason = answer.reason.unwrap_or(Reason::Malformed);
                            let retry_after = answer.retry_after.map(Duration::from_millis);
                            Err(Fault::Refused(Refusal { reason, error, retry_after }))
                        }
                        (None, data) => serde_json::from_value(data.unwrap_or_default()).map_err(garbled),
                    };
                }
                Reply::Response(_) | Reply::Notice(_) => {}
            }
        }
    }

    /// The next message. Whoever does not wait for it to the end loses nothing.
    pub async fn message(&mut self) -> Result<Message, Fault> {
        loop {
            if let Some(message) = self.ready()? {
                return Ok(message);
            }
            self.read().await?;
        }
    }

    /// One that has come already.
    pub fn ready(&mut self) -> Result<Option<Message>, Fault> {
        if let Some(message) = self.pushed.pop_front() {
            return Ok(Some(message));
        }
        while let Some(reply) = self.buffered()? {
            match reply {
                Reply::Message(message) => return Ok(Some(message)),
                Reply::Response(answer) if answer.request.is_none() && answer.error.is_some() => {
                    let why = answer.error.unwrap_or_default();
                    return Err(Fault::Refused(Refusal::new(answer.reason.unwrap_or(Reason::Closing), why)));
                }
                Reply::Response(_) | Reply::Notice(_) => {}
            }
        }
        Ok(None)
    }

    async fn reply(&mut self) -> Result<Reply, Fault> {
        loop {
            if let Some(reply) = self.buffered()? {
                return Ok(reply);
            }
            self.read().await?;
        }
    }

    fn buffered(&mut self) -> Result<Option<Reply>, Fault> {
        let line = self.lines.line(ANSWER_MAX).map_err(garbled)?;
        line.map(|line| serde_json::from_slice(line).map_err(garbled)).transpose()
    }

    async fn read(&mut self) -> Result<(), Fault> {
        let mut chunk = vec![0; CHUNK];
        loop {
            self.stream.readable().await.map_err(Fault::Relay)?;
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Err(Fault::Relay(ErrorKind::ConnectionReset.into())),
                Ok(count) => {
                    self.lines.push(&chunk[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(Fault::Relay(error)),
            }
        }
    }
}

fn garbled(error: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::Relay(io::Error::new(ErrorKind::InvalidData, error))
}
