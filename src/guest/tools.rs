//! The tools that the MCP server offers, and how their answers read.

use super::present;
use crate::relay::client::{ClientError, recipient};
use crate::relay::name::{Address, MessageId};
use crate::relay::seat::INSIDE_WORKTABLES;
use crate::relay::wire::answer::{Changed, Presence, Seen, Sent, Sessions, What};
use crate::relay::wire::{Kind, Message, Put, Send};
use crate::shown;
use rmcp::model::{JsonObject, Tool};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The longest that a tool waits for a message.
pub const WAIT_MAX: Duration = Duration::from_secs(600);
/// Bytes of text that one answer holds, where it is not a single message that has more.
pub const ANSWER_BYTES: usize = 32 << 10;
/// Messages that one answer holds, where no other limit is given.
const INBOX_DEFAULT: usize = 20;
/// A session's title is shown up to this many characters.
const TITLE_MAX: usize = 64;

/// What a call asks for.
#[derive(Debug, PartialEq)]
pub enum Call {
    /// `list_sessions`
    List,
    /// `send_message`
    Send(Draft),
    /// `read_inbox`
    Read(Reading),
    /// `wait_for_message`
    Wait {
        /// At most this long.
        time: Duration,
    },
    /// `put_document`
    Put(Put),
}

/// Which messages are to be shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// At most this many.
    pub limit: usize,
    /// The latest, those that were read among them; else the oldest that wait.
    pub all: bool,
}

/// A message to be sent.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    to: String,
    text: String,
    #[serde(default)]
    reply_to: Option<MessageId>,
    #[serde(default)]
    kind: Option<Kind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadArguments {
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitArguments {
    timeout_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

/// The tools, as the client lists them.
pub fn all() -> Vec<Tool> {
    let text = |about: &str| json!({"type": "string", "description": about});
    vec![
        tool(
            "list_sessions",
            "Lists the agents' sessions that you can write to, with their addresses, and groups.",
            json!({}),
            &[],
        ),
        tool(
            "send_message",
            "Sends a message to another agent's session, to whoever works on a project, to a group, or to the person \
             whose sessions these are. It is delivered once and kept for a session that is away; while the relay is \
             down, only sessions that are paired with this one can be reached, and nothing is kept.",
            json!({
                "to": text("session:NAME or its beginning, project:NAME, group:NAME, or user"),
                "text": text("The message, plain text"),
                "reply_to": text("The id of the message that this answers"),
                "kind": {"type": "string", "enum": ["message", "prompt", "command", "response"],
                    "description": "message (to read), prompt (to act on), command, response [default: message, or \
                                    response with reply_to]"},
            }),
            &["to", "text"],
        ),
        tool(
            "read_inbox",
            "Shows messages that wait for you, the oldest first, and marks them as read. Messages come into this \
             session by themselves; use this for long ones, which are only announced.",
            json!({
                "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "At most this many"},
                "all": {"type": "boolean",
                    "description": "Show the latest instead, those that were read before among them"},
            }),
            &[],
        ),
        tool(
            "wait_for_message",
            "Waits for the next message and shows it. Use it when you have nothing else to do until another agent \
             answers.",
            json!({"timeout_seconds": {"type": "integer", "minimum": 1, "maximum": WAIT_MAX.as_secs(),
                "description": "At most this long"}}),
            &["timeout_seconds"],
        ),
        tool(
            "put_document",
            "Puts a document where every session of a group reads it as a file, in the place of the one of that name. \
             Use it for what is to be looked up, not for what is to be answered.",
            json!({
                "group": text("The group; the directories in /run/rcc/worktables are those of yours"),
                "name": text("The file's name, like Plan.md"),
                "text": text("All of it, plain text"),
            }),
            &["group", "name", "text"],
        ),
    ]
}

fn tool(name: &'static str, about: &'static str, properties: Value, required: &[&str]) -> Tool {
    let mut schema = JsonObject::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), properties);
    schema.insert("required".into(), json!(required));
    schema.insert("additionalProperties".into(), json!(false));
    Tool::new(name, about, Arc::new(schema))
}

impl Call {
    /// What is asked for; `None` where there is no such tool.
    ///
    /// # Errors
    /// What is wrong with the arguments.
    pub fn parse(name: &str, arguments: Option<JsonObject>) -> Option<Result<Self, String>> {
        let given = Value::Object(arguments.unwrap_or_default());
        Some(match name {
            "list_sessions" => read::<NoArguments>(given).map(|_| Self::List),
            "send_message" => read::<Draft>(given).and_then(|draft| match draft.kind {
                Some(Kind::Eval) => Err("code is not sent from here".to_owned()),
                _ => Ok(Self::Send(draft)),
            }),
            "read_inbox" => read::<ReadArguments>(given).map(|ReadArguments { limit, all }| {
                Self::Read(Reading { limit: limit.unwrap_or(INBOX_DEFAULT).clamp(1, 100), all })
            }),
            "wait_for_message" => read::<WaitArguments>(given)
                .map(|asked| Self::Wait { time: Duration::from_secs(asked.timeout_seconds).min(WAIT_MAX) }),
            "put_document" => read::<Put>(given).map(Self::Put),
            _ => return None,
        })
    }
}

fn read<T: DeserializeOwned>(given: Value) -> Result<T, String> {
    serde_json::from_value(given).map_err(|error| format!("the arguments are wrong: {error}"))
}

impl Draft {
    /// The request, with an id of its own: it can be sent again without being a second message.
    ///
    /// # Errors
    /// If it is not clear to whom it goes.
    pub fn request(self, sessions: &[Seen], id: MessageId) -> Result<Send, String> {
        let Self { to, text, reply_to, kind } = self;
        let to: Address = recipient(&to, sessions).map_err(|error| advised(&error))?;
        let usual = if reply_to.is_some() { Kind::Response } else { Kind::Message };
        let kind = kind.unwrap_or(usual);
        Ok(Send { to, text, kind, id: Some(id), reply_to, seq: None, expires_in: None })
    }
}

/// An id for a message that this process sends.
pub fn new_id() -> MessageId {
    let mut random = [0_u8; 8];
    // An id that was used is refused by the relay, unless it is the same message.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("g{digits}").parse().expect("a letter and hexadecimal digits")
}

/// What became of a message.
pub fn sent(to: &Address, sent: &Sent) -> String {
    let Sent { id, recipients, direct, .. } = sent;
    if *direct {
        return format!(
            "Sent directly to {to}, id {id}: the relay is not running. That sandbox has it in memory, and it is lost if \
             the sandbox ends before it was read. An answer comes into this session by itself."
        );
    }
    match (recipients, &to.host) {
        (_, Some(host)) => format!("Sent to {to}, id {id}: it goes to the host {host}."),
        (1, None) => format!("Sent to {to}, id {id}. An answer comes into this session by itself."),
        (count, None) => format!("Sent to {to}, id {id}: {count} sessions get it."),
    }
}

/// What became of a document, and where it is read.
pub fn changed(changed: &Changed) -> String {
    let Changed { group, name, what, bytes, .. } = changed;
    let what = match what {
        What::Added => "Added",
        What::Replaced => "Replaced",
        What::Removed => "Removed",
    };
    format!("{what}: {bytes} bytes. The sessions of {group} read it as {INSIDE_WORKTABLES}/{group}/{name}.")
}

/// The sessions, one a line. Titles are other agents' words.
pub fn sessions(list: &Sessions) -> String {
    let mut out = String::new();
    for seen in list.sessions.iter().filter(|seen| seen.state != Presence::Ended) {
        let state = if seen.state == Presence::Here { "here" } else { "away" };
        // Writing to a String cannot fail.
        let _ = write!(out, "session:{}  {state}  user {}", seen.name, shown::text(&seen.user));
        if let Some(project) = &seen.project {
            let _ = write!(out, "  project:{project}");
        }
        if let Some(title) = &seen.title {
            let title: String = title.chars().take(TITLE_MAX).collect();
            let _ = write!(out, "  calls itself {}", json!(shown::text(&title)));
        }
        out.push_str(if seen.own { "  (this session)\n" } else { "\n" });
    }
    for group in &list.groups {
        let _ = writeln!(out, "group:{group}");
    }
    out.push_str("user  the person whose sessions these are");
    out
}

/// Messages, or that there is none.
pub fn read_out(messages: &[Message], uid: u32, more: bool) -> String {
    if messages.is_empty() {
        return if more { "Nothing that is not on its way by itself." } else { "No message waits." }.to_owned();
    }
    let mut out = present::messages(messages, uid);
    if more {
        out.push_str("\n\n[rcc relay] more wait: read_inbox shows them");
    }
    out
}

/// The latest messages, or that none is kept.
pub fn read_out_all(messages: &[Message], uid: u32, older: bool) -> String {
    if messages.is_empty() {
        return "No message is kept.".to_owned();
    }
    let mut out = present::messages(messages, uid);
    if older {
        out.push_str("\n\n[rcc relay] older ones are kept as well: a higher limit shows more of them");
    }
    out
}

/// An error with its advice, on as many lines.
pub fn advised(error: &dyn miette::Diagnostic) -> String {
    match error.help() {
        Some(help) => format!("{error}\n{help}"),
        None => error.to_string(),
    }
}

/// Why the relay did not do what a tool asked.
pub fn failed(error: &ClientError) -> String {
    let mut out = advised(error);
    if let ClientError::Refused { refusal } = error
        && let Some(time) = refusal.retry_after
    {
        let _ = write!(out, "\nIt can be tried again in {} s.", time.as_secs().max(1));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, arguments: Value) -> Result<Call, String> {
        Call::parse(name, arguments.as_object().cloned()).unwrap()
    }

    #[test]
    fn calls_are_read_strictly() {
        let reading = |limit, all| Call::Read(Reading { limit, all });
        assert_eq!(parsed("read_inbox", json!({})).unwrap(), reading(20, false));
        assert_eq!(parsed("read_inbox", json!({"limit": 9999, "all": true})).unwrap(), reading(100, true));
        let longest = Call::Wait { time: WAIT_MAX };
        assert_eq!(parsed("wait_for_message", json!({"timeout_seconds": 86_400})).unwrap(), longest);
        for (name, arguments) in [
            ("send_message", json!({"to": "a-1"})),
            ("send_message", json!({"to": "a-1", "text": "x", "from": "b"})),
            ("send_message", json!({"to": "a-1", "text": "x", "kind": "eval"})),
            ("send_message", json!({"to": "a-1", "text": "x", "reply_to": "../x"})),
            ("wait_for_message", json!({})),
            ("list_sessions", json!({"all": true})),
            ("put_document", json!({"group": "all", "name": "a"})),
            ("put_document", json!({"group": "all", "name": "../a", "text": "x"})),
            ("put_document", json!({"group": "..", "name": "a", "text": "x"})),
        ] {
            assert!(parsed(name, arguments.clone()).is_err(), "{name} {arguments}");
        }
        assert!(Call::parse("rm", None).is_none());
    }

    #[test]
    fn an_answer_is_a_response_unless_it_says_otherwise() {
        let kind = |arguments: Value| match parsed("send_message", arguments).unwrap() {
            Call::Send(draft) => draft.request(&[], new_id()).unwrap().kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(json!({"to": "project:a", "text": "x"})), Kind::Message);
        assert_eq!(kind(json!({"to": "project:a", "text": "x", "reply_to": "m1"})), Kind::Response);
        assert_eq!(kind(json!({"to": "project:a", "text": "x", "reply_to": "m1", "kind": "prompt"})), Kind::Prompt);
    }

    #[test]
    fn a_title_cannot_look_like_another_line() {
        let seen = |title: &str| -> Seen {
            serde_json::from_value(json!({
                "name": "a-1", "user": "alice", "title": title, "state": "here", "opened": 1, "heard": 1,
                "waiting": 0, "own": false,
            }))
            .unwrap()
        };
        let list = Sessions { sessions: vec![seen("x\nsession:b-1  here  user root")], groups: vec![] };
        assert_eq!(sessions(&list).lines().count(), 2, "{}", sessions(&list));
    }
}
