//! What a successful answer holds in `data`. A client passes over fields that it does not know.

use super::super::name::{Address, DocumentName, GroupName, HostName, MessageId, ProjectName, ScheduleId, SessionName};
use super::message::{Kind, Message};
use super::request::Figures;
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// The longest line that the relay writes, in bytes: one message with the longest text that a configuration
/// allows, 4 MiB, of which JSON may make six times as much. An answer with many messages is cut before, and says so.
pub const ANSWER_MAX: usize = 33 << 20;

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    )*};
}

answers! {
    /// To `register`.
    Registered {
        /// The version of the protocol that the relay speaks.
        version: u32,
        /// The session that the connection is now: the client's `internal_id`.
        session: SessionName,
        /// What proves on the shared socket, together with the name, that another connection is it as well. Given once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
        /// What the session may do.
        limits: Ceilings,
    }
    /// What one session may do.
    Ceilings {
        /// Bytes of a message's text.
        message_size: usize,
        /// Messages a minute.
        rate: u32,
    }
    /// To `send`, `prompt`, `command`, `eval` and `response`: the message is on disk.
    Sent {
        /// The message.
        id: MessageId,
        /// Its number among its sender's.
        seq: u64,
        /// When it was taken.
        accepted: Moment,
        /// In how many mailboxes it waits.
        recipients: u32,
        /// Whether it had been sent before under this id; these are the first one's number and time.
        duplicate: bool,
        /// Whether it went to the other end of a pair, past the relay: a process has it, and no disk.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        direct: bool,
    }
    /// To `schedule`.
    Scheduled {
        /// What takes it back.
        id: ScheduleId,
        /// When it is sent first.
        next: Moment,
    }
    /// To `cancel`, `close` and `stop`.
    Nothing {}
    /// To `inbox`.
    Listed {
        /// The oldest first.
        messages: Vec<Letter>,
        /// Whether there are more after the last one of these.
        more: bool,
    }
    /// A message, and what became of it.
    Letter {
        /// The message.
        #[serde(flatten)]
        message: Message,
        /// When it was written to a client's socket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delivered: Option<Moment>,
        /// When it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read: Option<Moment>,
    }
    /// To `ack`.
    Acked {
        /// How many of them had waited.
        acked: u32,
    }
    /// To `subscribe`. The messages follow.
    Subscribed {
        /// How many wait now.
        waiting: u32,
    }
    /// To `list_sessions` and `active_sessions`.
    Sessions {
        /// Those that the client may know of, itself among them.
        sessions: Vec<Seen>,
        /// The groups that it may write to.
        groups: Vec<GroupName>,
    }
    /// A session as others see it.
    Seen {
        /// Its name.
        name: SessionName,
        /// Its project.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<ProjectName>,
        /// Its user's login name.
        user: String,
        /// A name for people; untrusted text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Its client's own id; untrusted text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// Whether it is there.
        state: Presence,
        /// When it began.
        opened: Moment,
        /// When it was last heard of.
        heard: Moment,
        /// Messages that wait for it.
        waiting: u32,
        /// The context window, as its client reports it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        figures: Option<Figures>,
        /// Whether it is the client's own: the session itself, for a person every session of theirs.
        own: bool,
    }
    /// To `active_connections`.
    Connections {
        /// Connections of the user.
        connections: u32,
        /// Sessions that they are.
        sessions: u32,
    }
    /// To `session_path`.
    Location {
        /// The session's project.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<ProjectName>,
        /// Its path; told to the host's programs alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        root: Option<PathBuf>,
    }
    /// To `reload_schedule`.
    Schedules {
        /// The client's, by their next time.
        schedules: Vec<Planned>,
    }
    /// Something that is to be sent later.
    Planned {
        /// What takes it back.
        id: ScheduleId,
        /// Whose it is.
        session: SessionName,
        /// To whom.
        to: Address,
        /// What.
        kind: Kind,
        /// The text, as it was given.
        text: String,
        /// When next.
        next: Moment,
        /// When again, as in crontab(5).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<String>,
    }
    /// To `put` and `remove`, and in the notice to those who share the worktable.
    Changed {
        /// Whose worktable.
        group: GroupName,
        /// The document.
        name: DocumentName,
        /// What became of it.
        what: What,
        /// Its size.
        bytes: u64,
        /// Who did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<SessionName>,
    }
    /// To `open`.
    Opened {
        /// The name that the session got.
        session: SessionName,
        /// The host's directory that the sandbox gets as `/run/rcc/relay`.
        directory: PathBuf,
        /// The file that is to be locked (shared) as long as the sandbox runs: the session ends with it.
        lease: PathBuf,
        /// The shared directories of the session's groups.
        groups: Vec<Worktable>,
    }
    /// A group's shared directory.
    Worktable {
        /// Whose.
        name: GroupName,
        /// Where.
        directory: PathBuf,
    }
    /// To `status`.
    Status {
        /// rcc's version.
        version: String,
        /// The daemon's process.
        pid: u32,
        /// When it started.
        started: Moment,
        /// Whether it is the system's relay.
        system: bool,
        /// Sessions that have not ended.
        sessions: u32,
        /// Open connections.
        connections: u32,
        /// Messages that wait.
        waiting: u64,
        /// Bytes of their texts.
        stored_bytes: u64,
        /// The audit.
        journal: Journal,
        /// The cluster, if the relay is one of several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<ClusterState>,
        /// What was found wrong and mended at the start.
        mended: Vec<String>,
        /// What holds.
        policy: Value,
    }
    /// To `link`.
    Linked {
        /// This relay's name in the cluster.
        host: HostName,
        /// Bytes of the longest text that it takes.
        message_size: usize,
    }
    /// How a relay stands to those of other hosts.
    ClusterState {
        /// This relay's name among them.
        host: HostName,
        /// Whether a bridge takes what goes to them.
        linked: bool,
        /// Messages that wait to go to them.
        waiting: u32,
    }
    /// The audit's state.
    Journal {
        /// Entries so far, those that were removed since included.
        entries: u64,
        /// The directory of its files.
        directory: PathBuf,
    }
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// There was none.
    Added,
    /// There was another one.
    Replaced,
    /// It is gone.
    Removed,
}

/// Whether a session is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It has a connection, or was heard of a moment ago.
    Here,
    /// It is not; what is sent to it waits.
    Away,
    /// It will not come back.
    Ended,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_letter_is_its_message_with_more() {
        let message = json!({
            "id": "m1", "from": {"session": "a-1", "user": "alice", "uid": 1000}, "to": "session:b-1",
            "kind": "message", "text": "hello", "seq": 1, "accepted": 1, "expires": 2,
        });
        let mut delivered = message.clone();
        delivered["delivered"] = json!(3);
        let letter: Letter = serde_json::from_value(delivered.clone()).unwrap();
        assert_eq!(letter.message, serde_json::from_value(message).unwrap());
        assert_eq!((letter.delivered, letter.read), (Some(Moment(3)), None));
        assert_eq!(serde_json::to_value(letter).unwrap(), delivered);
    }

    #[test]
    fn what_a_later_relay_adds_is_passed_over() {
        let answer: Acked = serde_json::from_value(json!({"acked": 2, "new": {}})).unwrap();
        assert_eq!(answer, Acked { acked: 2 });
    }
}
