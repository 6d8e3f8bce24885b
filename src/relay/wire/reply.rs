//! What the relay says.

use super::super::name::SessionName;
use super::message::Message;
use crate::moment::Moment;
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
    /// Several by that name; `error` lists them.
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
