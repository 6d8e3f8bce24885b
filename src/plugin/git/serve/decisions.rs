//! What was decided and what became of it, for the broker's journal: a line of JSON each.

use super::ServeError;
use crate::plugin::git::rules::Update;
use crate::plugin::git::task::DECISION_MAX;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the broker may take to have a decision on the disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    state: State,
    upstream: &'a str,
    #[serde(rename = "ref")]
    refname: &'a str,
    old: Option<&'a str>,
    new: Option<&'a str>,
    reason: Option<&'a str>,
}

/// How far an update got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// The rules allow it, and it is about to be pushed.
    Allowed,
    /// The rules refuse it.
    Refused,
    /// The upstream has it.
    Done,
    /// The upstream does not have it.
    Failed,
}

/// The way to the journal.
pub(super) struct Decisions {
    broker: UnixStream,
    upstream: String,
}

impl Decisions {
    pub(super) fn open(socket: &Path, upstream: String) -> Result<Self, ServeError> {
        let connected = UnixStream::connect(socket).and_then(|broker| {
            broker.set_read_timeout(Some(PATIENCE))?;
            broker.set_write_timeout(Some(PATIENCE))?;
            Ok(broker)
        });
        Ok(Self { broker: connected.map_err(ServeError::file("record decisions at", socket))?, upstream })
    }

    /// Tells of an update; when this returns it is on record.
    ///
    /// # Errors
    /// If it is not, and must not be pushed.
    pub(super) fn add(&mut self, state: State, update: &Update, reason: Option<&str>) -> io::Result<()> {
        let line = Line {
            state,
            upstream: &self.upstream,
            refname: &update.refname,
            old: update.old.as_deref(),
            new: update.new.as_deref(),
            reason,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        if text.len() > DECISION_MAX {
            return Err(io::Error::other("a decision is longer than the journal takes"));
        }
        self.broker.write_all(&text)?;
        self.broker.read_exact(&mut [0]).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => io::Error::other("the broker did not put it on record; its log tells why"),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn pair() -> (Decisions, UnixStream) {
        let (broker, theirs) = UnixStream::pair().unwrap();
        (Decisions { broker, upstream: "https://h/r".to_owned() }, theirs)
    }

    fn update(refname: &str) -> Update {
        Update { old: None, new: Some("1".repeat(40)), refname: refname.to_owned() }
    }

    #[test]
    fn a_decision_counts_when_the_broker_has_it_on_record_and_not_before() {
        let (mut decisions, theirs) = pair();
        (&theirs).write_all(b"\n").unwrap();
        decisions.add(State::Allowed, &update("refs/heads/a"), None).unwrap();
        let mut line = String::new();
        BufReader::new(&theirs).read_line(&mut line).unwrap();
        assert!(line.starts_with(r#"{"state":"allowed","upstream":"https://h/r","ref":"refs/heads/a""#), "{line}");
        drop(theirs);
        assert!(decisions.add(State::Allowed, &update("refs/heads/b"), None).is_err());
    }

    #[test]
    fn a_decision_that_is_too_long_is_none() {
        let (mut decisions, theirs) = pair();
        (&theirs).write_all(b"\n\n").unwrap();
        // As long as the hook takes names, in bytes that are escaped.
        decisions.add(State::Allowed, &update(&"\u{1}".repeat(1024)), None).unwrap();
        let error = decisions.add(State::Refused, &update("a"), Some(&"\u{1}".repeat(DECISION_MAX / 6))).unwrap_err();
        assert!(error.to_string().contains("longer"), "{error}");
    }
}
