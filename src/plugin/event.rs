//! What the plugins' journal holds.

use super::name::ToolName;
use crate::journal::Recorded;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Bytes of a call's arguments that are recorded.
const ARGUMENTS_KEPT: usize = 2 << 10;

/// Characters of a call's directory that are recorded.
const DIRECTORY_KEPT: usize = 512;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The broker has started.
    Started {
        /// rcc's version.
        version: String,
    },
    /// The end of the journal was mended after a crash.
    Mended {
        /// What was done.
        what: String,
    },
    /// Entries were removed because of their age.
    Pruned {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A session was opened.
    Opened {
        /// Its name.
        session: String,
        /// Its project.
        project: PathBuf,
    },
    /// It has ended.
    Closed {
        /// Its name.
        session: String,
    },
    /// A manifest is in force, in the place of an earlier one if there was one.
    InForce {
        /// The tool.
        tool: ToolName,
        /// What it says.
        manifest: String,
    },
    /// A manifest is gone.
    Removed {
        /// The tool.
        tool: ToolName,
    },
    /// A tool was disabled or enabled by its user.
    Switched {
        /// The tool.
        tool: ToolName,
        /// Whether it may be used.
        enabled: bool,
    },
    /// A call that is carried out. Recorded before anything of it is.
    Called(Call),
    /// A call that is not.
    Refused {
        /// What was asked for.
        #[serde(flatten)]
        call: Call,
        /// Why not.
        why: String,
    },
    /// What a plugin decided in the course of a call: on an update of a remote's branch, on a request.
    Decided {
        /// The call.
        call: u64,
        /// The session.
        session: String,
        /// The tool.
        tool: ToolName,
        /// As the plugin tells it.
        decision: serde_json::Value,
    },
    /// A call has ended.
    Ended {
        /// The call.
        call: u64,
        /// The session.
        session: String,
        /// The tool.
        tool: ToolName,
        /// As a shell says it.
        exit_code: u8,
        /// Why it was broken off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        broken_off: Option<String>,
        /// Bytes of standard output.
        stdout: u64,
        /// Bytes of standard error.
        stderr: u64,
        /// How often a credential was taken out of them.
        #[serde(default, skip_serializing_if = "is_zero")]
        redacted: u64,
        /// How long it took.
        milliseconds: u64,
    },
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Counts the calls of a broker from 1.
    pub call: u64,
    /// The session.
    pub session: String,
    /// The tool.
    pub tool: ToolName,
    /// The arguments, the beginning of them if they are long.
    pub args: Vec<String>,
    /// How many bytes of arguments were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Where.
    pub cwd: String,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Call {
    /// Bytes of what is recorded of the request, about.
    pub fn size(&self) -> usize {
        self.args.iter().map(String::len).sum::<usize>() + self.cwd.len()
    }

    /// From a request, of which the longest arguments are not kept.
    pub fn new(call: u64, session: &str, tool: &ToolName, args: &[String], cwd: &str) -> Self {
        let (mut kept, mut room, mut left_out) = (Vec::new(), ARGUMENTS_KEPT, 0);
        for argument in args {
            // As JSON, and a comma.
            let cost = serde_json::to_string(argument).map_or(usize::MAX, |json| json.len() + 1);
            if cost <= room {
                room -= cost;
                kept.push(argument.clone());
            } else {
                left_out += argument.len() as u64;
                room = 0;
            }
        }
        let cwd = cwd.chars().take(DIRECTORY_KEPT).collect();
        Self { call, session: session.to_owned(), tool: tool.clone(), args: kept, left_out, cwd }
    }
}

impl Recorded for Event {
    fn pruned(&self) -> Option<u64> {
        match self {
            Self::Pruned { last, .. } => Some(*last),
            _ => None,
        }
    }
}

/// When a broker's journal forgets: what the relay's does by default.
pub const RETENTION: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

/// The time before which entries are old.
pub fn old_before(now: Moment) -> Moment {
    Moment(now.0.saturating_sub(RETENTION.as_millis() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_recorded_with_the_beginning_of_its_arguments() {
        let tool: ToolName = "gh".parse().unwrap();
        let args = vec!["pr".to_owned(), "x".repeat(ARGUMENTS_KEPT), "after".to_owned()];
        let call = Call::new(7, "api-1", &tool, &args, "/p");
        assert_eq!((call.args.as_slice(), call.left_out), (&["pr".to_owned()][..], ARGUMENTS_KEPT as u64 + 5));
        let text = serde_json::to_string(&Event::Refused { call, why: "no".into() }).unwrap();
        assert!(
            text.starts_with(r#"{"event":"refused","call":7,"session":"api-1","tool":"gh","args":["pr"]"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap().pruned(), None);
    }
}
