//! The bypass attempts of `rcc firewall verify`, as plain data: what a sandbox tries, what should
//! come of it, and what came of it. Judged by what the far side received, which the launcher's
//! [`Listeners`] are for the host's own addresses.

mod attempts;
mod inside;
mod listeners;

pub use attempts::{HostView, attempts};
pub use inside::run_inside;
pub use listeners::Listeners;

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Something that a sandbox tries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// What is tried, for the table: `private`, `host`, `escape`, ...
    pub class: &'static str,
    /// In words.
    pub description: String,
    /// What is done.
    pub action: Action,
    /// What should come of it.
    pub expected: Expected,
}

/// What an attempt does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A TCP connection, and the attempt's token over it.
    Tcp(SocketAddr),
    /// A datagram with the attempt's token, and a short wait for an answer.
    Udp(SocketAddr),
    /// An ICMP echo request, and a short wait for the answer.
    Echo(IpAddr),
    /// A connection to the host's abstract unix socket of this name.
    AbstractSocket(String),
    /// A connection to a unix socket at a path of the host.
    PathSocket(PathBuf),
    /// A raw IPv4 socket.
    RawSocket,
    /// A socket that sends frames.
    PacketSocket,
    /// Entering the network namespace of process 1 (setns(2)).
    EnterNetns,
    /// A flush of all packet filters of the sandbox's own network, from a user namespace of its
    /// own if that can be had.
    FlushFilters,
}

/// What should come of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// Refused or lost.
    Denied,
    /// Answered.
    Reached,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Denied => "denied",
            Self::Reached => "reached",
        })
    }
}

/// What the sandbox saw; one JSON line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Position of the attempt.
    pub attempt: usize,
    /// Whether something answered.
    pub reached: bool,
    /// The kernel's answer, or what was received.
    pub detail: String,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// What came of it; nothing if the sandbox never got there.
    pub seen: Option<String>,
    /// Whether the far side received something.
    pub arrived: bool,
    /// Whether this is as it should be.
    pub holds: bool,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// One for each attempt, in order.
    pub rows: Vec<Row>,
}

impl Table {
    /// Whether everything is as it should be. An empty battery proves nothing.
    pub fn holds(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.holds)
    }
}

/// The bytes that attempt number `attempt` sends; `secret` is the run's own, so that nothing else
/// on the machine is taken for an arrival.
pub fn token(secret: u64, attempt: usize) -> [u8; 16] {
    let mut token = [0; 16];
    token[..8].copy_from_slice(&secret.to_be_bytes());
    token[8..].copy_from_slice(&(attempt as u64).to_be_bytes());
    token
}

/// The attempt that a token belongs to.
pub fn attempt_of(secret: u64, bytes: &[u8]) -> Option<usize> {
    let (run, attempt) = bytes.split_first_chunk::<8>()?;
    let attempt = u64::from_be_bytes(*attempt.first_chunk::<8>()?);
    (u64::from_be_bytes(*run) == secret).then(|| usize::try_from(attempt).ok())?
}

/// Compares. A denied attempt that arrived fails, whatever the sandbox saw; one that the sandbox
/// did not report fails too.
pub fn judge(attempts: Vec<Attempt>, seen: &[Seen], arrived: &BTreeSet<usize>) -> Table {
    let rows = attempts.into_iter().enumerate().map(|(number, attempt)| {
        let report = seen.iter().find(|seen| seen.attempt == number);
        let arrived = arrived.contains(&number);
        let holds = report.is_some_and(|report| match attempt.expected {
            Expected::Denied => !report.reached && !arrived,
            Expected::Reached => report.reached,
        });
        Row { attempt, seen: report.map(|report| report.detail.clone()), arrived, holds }
    });
    Table { rows: rows.collect() }
}

#[cfg(test)]
mod tests;
