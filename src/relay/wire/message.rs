//! A message and who sent it.

use super::super::name::{Address, HostName, MessageId, ProjectName, SessionName};
use crate::moment::Moment;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What a message is to the one who gets it. All are text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something to read.
    #[default]
    Message,
    /// Something to do, as if a person had typed it.
    Prompt,
    /// A command of the client's own.
    Command,
    /// Code for the client to evaluate. Carried only where the policy grants it; rcc's own clients never do.
    Eval,
    /// The answer to one of these.
    Response,
}

/// A text that is the word of no kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"message\", \"prompt\", \"command\", \"response\" or \"eval\"")]
pub struct BadKind;

impl Kind {
    /// As it is written: on the wire, in the store and in configurations.
    pub fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Prompt => "prompt",
            Self::Command => "command",
            Self::Eval => "eval",
            Self::Response => "response",
        }
    }
}

impl FromStr for Kind {
    type Err = BadKind;

    fn from_str(word: &str) -> Result<Self, BadKind> {
        let kinds = [Self::Message, Self::Prompt, Self::Command, Self::Eval, Self::Response];
        kinds.into_iter().find(|kind| kind.word() == word).ok_or(BadKind)
    }
}

/// Who sent a message, as the relay knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The session; the person's own messages have `user`.
    pub session: SessionName,
    /// Its project, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The login name of the user whose session it is.
    pub user: String,
    /// The user's uid on that host.
    pub uid: u32,
    /// The host, where it is another one of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
}

impl Sender {
    /// The session, if it is one of this relay's.
    pub fn own_session(&self) -> Option<&SessionName> {
        self.host.is_none().then_some(&self.session)
    }
}

/// A message as it is stored, audited and delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Identifies it.
    pub id: MessageId,
    /// Who sent it.
    pub from: Sender,
    /// To whom it was addressed.
    pub to: Address,
    /// What it is.
    pub kind: Kind,
    /// Untrusted text: control characters are escaped, host paths masked (`relay::text`).
    pub text: String,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// Counts the sender's messages up from 1; gaps are possible, repetitions are not.
    pub seq: u64,
    /// When the relay took it.
    pub accepted: Moment,
    /// When it is dropped if nobody took it.
    pub expires: Moment,
    /// The schedule that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<super::super::name::ScheduleId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_same_word_everywhere() {
        for kind in [Kind::Message, Kind::Prompt, Kind::Command, Kind::Eval, Kind::Response] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
            assert_eq!(kind.word().parse(), Ok(kind));
        }
        assert_eq!("Message".parse::<Kind>(), Err(BadKind));
    }
}
