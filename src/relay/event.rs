//! What happens in a relay. The journal is a list of these, and the store is what they amount to.

use super::name::Address;
use super::name::{DocumentName, GroupName, Mailbox, MessageId, ProjectName, ScheduleId, SessionName};
use super::wire::{Figures, Kind, Message};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The daemon started.
    Started {
        /// rcc's version.
        version: String,
    },
    /// A session began.
    Opened(Session),
    /// A session's client told something of itself.
    Met {
        /// Which.
        session: SessionName,
        /// A name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The client's own id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The context window.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        figures: Option<Figures>,
    },
    /// A session ended. What waits for it is dropped.
    Closed {
        /// Which.
        session: SessionName,
        /// Why, for people.
        why: String,
    },
    /// A message was taken.
    Accepted {
        /// The message.
        message: Message,
        /// Where it waits now; each takes it once.
        mailboxes: Vec<Mailbox>,
        /// The schedule's next time, where it has one and the message comes from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<Moment>,
    },
    /// Messages of a project were given to one of its sessions.
    Claimed {
        /// Whose they were.
        mailbox: Mailbox,
        /// Whose they are.
        session: SessionName,
    },
    /// Messages were written to a client's socket.
    Delivered {
        /// Whose.
        mailbox: Mailbox,
        /// Which.
        ids: Vec<MessageId>,
    },
    /// Messages were read: they wait no more.
    Read {
        /// Whose.
        mailbox: Mailbox,
        /// Which.
        ids: Vec<MessageId>,
    },
    /// Messages were dropped because their time was over.
    Expired {
        /// Which, in every mailbox.
        ids: Vec<MessageId>,
    },
    /// Something is to be sent later.
    Scheduled(Schedule),
    /// A schedule was taken back, or has no next time.
    Cancelled {
        /// Which.
        id: ScheduleId,
    },
    /// A session that is open still, said again before the entries that tell of it are removed.
    Kept {
        /// As it was opened.
        session: Session,
        /// A name for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The client's own id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The context window.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        figures: Option<Figures>,
        /// The highest number of a message of its.
        last_seq: u64,
        /// When it was last heard of.
        heard: Moment,
    },
    /// The oldest entries are removed, because they are older than the audit is kept.
    Pruned {
        /// The number of the first of them.
        first: u64,
        /// The number of the last of them.
        last: u64,
    },
    /// Something was found wrong with the journal or the store, and dealt with.
    Mended {
        /// What, and how.
        what: String,
    },
    /// A document of a group's worktable is put there or taken away.
    Document {
        /// By whom.
        session: SessionName,
        /// Whose worktable.
        group: GroupName,
        /// The document.
        name: DocumentName,
        /// Bytes of its text.
        bytes: u64,
        /// The SHA-256 of its text, in hexadecimal digits; absent where it is taken away.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// A request was refused by the policy.
    Refused {
        /// Whose.
        session: SessionName,
        /// What was asked.
        what: String,
        /// Why not.
        why: String,
        /// How many like it were refused since the last one on record.
        count: u64,
    },
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub name: SessionName,
    /// Its user's uid.
    pub uid: u32,
    /// Its user's login name.
    pub user: String,
    /// Its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The project's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// The user's home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
    /// How its clients prove that they are it.
    pub proof: Proof,
    /// When it began.
    pub opened: Moment,
}

/// How the clients of a session prove that they are it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// By the socket that they use, which only its sandbox has.
    Socket,
    /// By a secret; this is its SHA-256, in hexadecimal digits.
    Secret(String),
    /// By the uid of their process: the person's own.
    Person,
    /// By the uid of their process: the relay's own. It is no session, but stands for the other hosts.
    Bridge,
}

/// A message that is to be sent later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Identifies it.
    pub id: ScheduleId,
    /// Whose it is.
    pub session: SessionName,
    /// To whom.
    pub to: Address,
    /// What.
    pub kind: Kind,
    /// The text, as it was given.
    pub text: String,
    /// When next.
    pub next: Moment,
    /// When again, as in crontab(5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
}

#[cfg(target_os = "linux")]
impl crate::journal::Recorded for Event {
    fn pruned(&self) -> Option<u64> {
        match self {
            Self::Pruned { last, .. } => Some(*last),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let events = [
            Event::Claimed {
                mailbox: Mailbox::Project(1000, "api".parse().unwrap()),
                session: "api-1".parse().unwrap(),
            },
            Event::Expired { ids: vec!["m".parse().unwrap()] },
        ];
        for event in events {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
        }
    }
}
