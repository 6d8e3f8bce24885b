//! What the relay says.

use super::super::name::{Moment, SessionName};
use super::message::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What the relay writes to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Reply {
    /// The answer to a request.
    Response(Response),
    /// A message for a client that subscribed.
    Message(Message),
    /// Something that a client that subscribed may want to know.
    Notice(Notice),
}

/// The answer to one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The request's `type`, or what was asked where that is `query`.
    pub query: String,
    /// The request's tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The session that the connection is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_id: Option<SessionName>,
    /// What was asked for. Absent where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Why it failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Milliseconds after which another try makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// When it was answered.
    pub timestamp: Moment,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// What: `worktable` (something there changed) or `closing` (the relay ends).
    pub name: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// Why a request was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not understood.
    Malformed,
    /// Longer than allowed.
    TooLarge,
    /// More often than allowed.
    RateLimited,
    /// More stored than allowed.
    Quota,
    /// No session, or not with that secret.
    Unauthenticated,
    /// The policy does not allow it.
    NotAllowed,
    /// Nobody by that name whom this session may know of.
    NoRecipient,
    /// Several by that name; `data` lists them.
    Ambiguous,
    /// A sequence number again, or an id with another content.
    Replayed,
    /// Nothing by that id.
    NotFound,
    /// The disk or the database.
    Storage,
    /// The relay ends.
    Closing,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// For programs.
    pub reason: Reason,
    /// For people: what was attempted, why not, and what to do.
    pub error: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// With nothing to wait for.
    pub fn new(reason: Reason, error: impl Into<String>) -> Self {
        Self { reason, error: error.into(), retry_after: None }
    }
}

impl Response {
    /// A success.
    pub fn done(query: impl Into<String>, request: Option<String>, data: Value) -> Self {
        Self { query: query.into(), request, data: Some(data), timestamp: Moment::now(), ..Self::default() }
    }

    /// A failure.
    pub fn refused(query: impl Into<String>, request: Option<String>, refusal: Refusal) -> Self {
        Self {
            query: query.into(),
            request,
            error: Some(refusal.error),
            reason: Some(refusal.reason),
            retry_after: refusal.retry_after.map(|time| time.as_millis() as u64),
            timestamp: Moment::now(),
            ..Self::default()
        }
    }
}

impl Reply {
    /// As it goes over the socket, with its line's end.
    pub fn line(&self) -> Vec<u8> {
        // Texts, numbers and lists of them: there is nothing in it that JSON has no form for.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// Cuts a stream into lines without ever holding more than `limit` bytes of an unfinished one.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    /// How far `held` has no line's end.
    searched: usize,
}

/// A line is longer than allowed, or its limit was taken by other unfinished lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct LineTooLong {
    /// Bytes.
    pub limit: usize,
}

impl Lines {
    /// Bytes that wait for the end of their line.
    pub fn unfinished(&self) -> usize {
        self.held.len()
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    ///
    /// # Errors
    /// If it has more than `limit` bytes, as far as it has come.
    pub fn next(&mut self, limit: usize) -> Result<Option<Vec<u8>>, LineTooLong> {
        let Some(end) = self.held[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.held.len();
            return if self.held.len() > limit { Err(LineTooLong { limit }) } else { Ok(None) };
        };
        let end = self.searched + end;
        if end > limit {
            return Err(LineTooLong { limit });
        }
        let rest = self.held.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.held, rest);
        line.truncate(end);
        self.searched = 0;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let text = b"one\ntwo\n\nthree";
        for size in 1..=text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for part in text.chunks(size) {
                lines.push(part);
                while let Some(line) = lines.next(16).unwrap() {
                    seen.push(line);
                }
            }
            assert_eq!(seen, [&b"one"[..], b"two", b""], "{size}");
            assert_eq!(lines.unfinished(), 5);
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_at_its_limit() {
        let mut lines = Lines::default();
        lines.push(&[b'a'; 17]);
        assert_eq!(lines.next(16), Err(LineTooLong { limit: 16 }));
    }
}
