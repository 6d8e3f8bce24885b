//! To the other end of a pair: one connection for one request, or two.

use super::super::client::connect;
use super::super::name::SessionName;
use super::super::text::one_line;
use super::super::wire::answer::{Registered, Sent};
use super::super::wire::{Lines, Reason, Refusal, Register, Reply, Request, Response, Send, VERSION};
use super::plan::{Paired, SOCKET};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

/// How long the other end is waited for. It decides in memory and writes a line to the disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long its socket may be too busy to take a connection. Nothing else goes on meanwhile.
const BUSY: Duration = Duration::from_millis(200);
/// Bytes of an answer: a receipt, or a refusal.
const ANSWER_MAX: usize = 64 << 10;
/// Columns of a refusal.
const SAID_MAX: usize = 300;
const READ: usize = 4 << 10;

/// The other end does not take anything.
#[derive(Debug)]
pub(super) enum LinkError {
    /// Nobody is there, or somebody else.
    Absent,
    /// It says no, or nothing that is understood.
    Refused(Refusal),
}

/// A connection to the other end, which said whose it is.
pub(super) struct Link {
    stream: UnixStream,
    lines: Lines,
    own: SessionName,
    /// The session at the other end.
    pub peer: SessionName,
}

#[derive(Serialize)]
struct Tagged<'a> {
    request: &'a str,
    internal_id: &'a SessionName,
    #[serde(flatten)]
    body: &'a Request,
}

impl Link {
    /// Connects. Who listens there is whom the kernel names, before a word is said: the way to the socket may be another
    /// user's, with a link in it that leads elsewhere.
    pub(super) async fn open(pair: &Paired, own: &SessionName) -> Result<Self, LinkError> {
        let stream = connect::to(&pair.peer.join(SOCKET), BUSY).and_then(|stream| {
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream)
        });
        let stream = stream.map_err(|_| LinkError::Absent)?;
        if !stream.peer_cred().is_ok_and(|credentials| credentials.uid() == pair.peer_uid) {
            return Err(LinkError::Absent);
        }
        let mut link = Self { stream, lines: Lines::default(), own: own.clone(), peer: own.clone() };
        let register = Register { name: None, session_id: None, secret: None, version: Some(VERSION) };
        let Registered { session, .. } = link.ask(&Request::Register(register)).await?;
        if !pair.is_peer(&session) || session == *own {
            let why = format!("the other end of the pair {} calls itself {session}", pair.name);
            return Err(LinkError::Refused(Refusal::new(Reason::Unauthenticated, why)));
        }
        link.peer = session;
        Ok(link)
    }

    /// Hands over a message.
    pub(super) async fn send(&mut self, send: Send) -> Result<(), LinkError> {
        self.ask::<Sent>(&Request::Send(send)).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, LinkError> {
        let unclear = |why: &str| {
            let why = format!("the other end of the pair {why}");
            LinkError::Refused(Refusal::new(Reason::Closing, why))
        };
        let tagged = Tagged { request: "1", internal_id: &self.own, body: request };
        let mut line = serde_json::to_vec(&tagged).map_err(|error| unclear(&error.to_string()))?;
        line.push(b'\n');
        let said = tokio::time::timeout(PATIENCE, async {
            self.stream.write_all(&line).await?;
            self.answer().await
        });
        let said = said.await.map_err(|_| unclear("did not answer within 5 seconds"))?;
        let Response { data, error, reason, retry_after, .. } =
            said.map_err(|error| unclear(&format!("did not take it: {error}")))?;
        if let Some(error) = error {
            // Another user's words, perhaps.
            let error = one_line(&error, SAID_MAX);
            let retry_after = retry_after.map(Duration::from_millis);
            return Err(LinkError::Refused(Refusal { reason: reason.unwrap_or(Reason::Closing), error, retry_after }));
        }
        serde_json::from_value(data.unwrap_or_default()).map_err(|_| unclear("is not understood"))
    }

    async fn answer(&mut self) -> io::Result<Response> {
        let invalid = |error: String| io::Error::new(ErrorKind::InvalidData, error);
        let mut chunk = [0; READ];
        loop {
            if let Some(line) = self.lines.line(ANSWER_MAX).map_err(|error| invalid(error.to_string()))? {
                return match serde_json::from_slice(line)? {
                    Reply::Response(response) => Ok(response),
                    _ => Err(invalid("it answers what was not asked".to_owned())),
                };
            }
            self.stream.readable().await?;
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.lines.push(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
