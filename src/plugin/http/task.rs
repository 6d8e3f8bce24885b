//! What the broker and the program in the plugin's sandbox tell each other.

use super::forward::{Outcome, Record};
use crate::plugin::manifest::Http;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Characters of a method that are told, and of a reason.
const METHOD_MAX: usize = 64;
const REASON_MAX: usize = 2048;
/// The longest line of [`Told`], in bytes: a path and a reason of which each byte is escaped.
pub const LINE_MAX: u64 = 64 << 10;

/// One client's connection. It goes to the program as JSON in an argument, and holds no credential, only its path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The upstream and the rules; the path of certificates is one in the sandbox.
    pub http: Http,
    /// How long a request may take.
    pub timeout: Duration,
    /// The file that the credential is in.
    pub credential: PathBuf,
}

/// What the program tells of a request: a line of JSON on the socket that is its standard error. Where the request is
/// about to be forwarded, it waits until the broker has answered with a line feed, which says that it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Its method.
    pub method: String,
    /// Its path, as it was sent.
    pub path: String,
    /// What became of it.
    pub became: Became,
}

/// See [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Became {
    /// It is about to be forwarded.
    Allowed,
    /// It is not forwarded, and why.
    Refused(String),
    /// There is no response, and why.
    Failed(String),
    /// The upstream answered.
    Answered {
        /// Its status.
        status: u16,
        /// Bytes of the request's body.
        sent: u64,
        /// Bytes of the response's body.
        received: u64,
        /// How often the credential was in the response.
        removed: u64,
        /// Whether all of it came, and went to the client.
        whole: bool,
    },
}

impl Told {
    /// As the forwarder records it.
    pub fn of(record: &Record<'_>) -> Self {
        let reason = |text: &str| text.chars().take(REASON_MAX).collect();
        let became = match &record.outcome {
            Outcome::Allowed => Became::Allowed,
            Outcome::Refused(refusal) => Became::Refused(reason(&refusal.to_string())),
            Outcome::Failed(why) => Became::Failed(reason(why)),
            &Outcome::Answered { status, sent, received, removed, whole } => {
                Became::Answered { status, sent, received, removed, whole }
            }
        };
        Self { method: record.method.chars().take(METHOD_MAX).collect(), path: record.path.to_owned(), became }
    }

    /// That the program cannot do its work.
    pub fn failed(why: &str) -> Self {
        Self { method: String::new(), path: String::new(), became: Became::Failed(why.to_owned()) }
    }

    /// The line.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::http::rules::Refusal;

    #[test]
    fn the_longest_request_is_told_in_a_line_that_is_read() {
        let long = "\u{1}".repeat(LINE_MAX as usize);
        let refusal = Refusal::NotAllowed { method: long.clone(), path: long.clone() };
        let record = Record { method: &long, path: &long[..1024], outcome: Outcome::Refused(refusal) };
        let line = Told::of(&record).line().unwrap();
        assert!(line.len() as u64 <= LINE_MAX, "{}", line.len());
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert!(matches!(serde_json::from_slice::<Told>(&line).unwrap().became, Became::Refused(_)));
    }
}
