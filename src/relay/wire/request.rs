//! What clients say.

use super::super::name::{Address, DocumentName, GroupName, HostName, MessageId, ProjectName, ScheduleId, SessionName};
use super::super::text::one_line;
use super::message::{Kind, Message};
use super::reply::{Reason, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Bytes of the text that ties an answer to its request.
const TAG_MAX: usize = 64;
/// Bytes of a `timestamp` that is text; RFC 3339 needs 35.
const TIMESTAMP_MAX: usize = 40;
/// Columns of what is said to be wrong with a line: parts of the line are quoted in it.
const WRONG_MAX: usize = 300;

/// What any request may carry beside its own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Comes back with the answer; at most 64 bytes.
    pub request: Option<String>,
    /// Whom the client takes itself for. It decides nothing: if it is not who the socket says, the request is refused.
    pub internal_id: Option<SessionName>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request {
    /// Makes the connection that of a session: a new one, or on a session's own socket that one.
    Register(Register),
    /// Tells the client's own id for its session.
    Associate(Associate),
    /// Says that the client lives, and how full its context is.
    Heartbeat(Heartbeat),
    /// Sends a prompt.
    Prompt(Prompt),
    /// Sends a command.
    Command(Command),
    /// Sends code.
    Eval(Eval),
    /// Asks the relay something.
    Query(Query),
    /// Answers a message.
    Response(Respond),
    /// Sends a message.
    Send(Send),
    /// Lists messages that wait.
    Inbox(Inbox),
    /// Says that messages were read.
    Ack(Ack),
    /// Asks for messages as they come, on this connection, those that wait first.
    Subscribe(Subscribe),
    /// Sends a message later, or again and again.
    Schedule(Schedule),
    /// Takes a schedule back.
    Cancel(Cancel),
    /// Puts a document on a group's worktable, in the place of the one of that name.
    Put(Put),
    /// Takes one away.
    Remove(Remove),
    /// A host's program opens the socket of a sandbox's session.
    Open(Open),
    /// A host's program ends a session.
    Close(Close),
    /// A host's program ends the relay.
    Stop(Stop),
    /// The relay's bridge takes what goes to other hosts.
    Link(Link),
    /// The relay's bridge brings a message from another host.
    Carry(Carry),
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    )*};
}

bodies! {
    /// See [`Request::Register`].
    Register {
        /// A name for people to read, at most 64 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The client's own id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_id: Option<String>,
        /// On the shared socket, with `internal_id`: comes back to a session that was registered before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
        /// The version of the protocol that the client speaks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
    }
    /// See [`Request::Associate`].
    Associate {
        /// The client's own id, at most 128 bytes.
        session_id: String,
    }
    /// See [`Request::Heartbeat`].
    Heartbeat {
        /// What there is to tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Figures>,
    }
    /// The context window of a session, as its client reports it.
    Figures {
        /// Tokens in use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context_used: Option<u64>,
        /// Tokens that there is room for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context_size: Option<u64>,
        /// The model's name, at most 64 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    }
    /// See [`Request::Prompt`].
    Prompt {
        /// To whom.
        session_id: Address,
        /// The text.
        text: String,
    }
    /// See [`Request::Command`].
    Command {
        /// To whom.
        session_id: Address,
        /// The command.
        name: String,
        /// Its argument.
        #[serde(default)]
        text: String,
    }
    /// See [`Request::Eval`].
    Eval {
        /// To whom.
        session_id: Address,
        /// The code.
        code: String,
    }
    /// See [`Request::Query`].
    Query {
        /// What is asked.
        query: Question,
        /// About which session, for `session_path`; the connection's own without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionName>,
    }
    /// See [`Request::Response`].
    Respond {
        /// The message that is answered. The answer goes to its sender.
        reply_to: MessageId,
        /// The answer.
        #[serde(default)]
        text: String,
        /// More of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Value>,
        /// Why there is no answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }
    /// See [`Request::Send`].
    Send {
        /// To whom.
        to: Address,
        /// The text.
        text: String,
        /// What it is.
        #[serde(default)]
        kind: Kind,
        /// The sender's own id for it: who sends again under the same id sends once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<MessageId>,
        /// The message that this one answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<MessageId>,
        /// Higher than that of any message before; the relay counts where it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        /// Seconds after which it is dropped if nobody took it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_in: Option<u64>,
    }
    /// See [`Request::Inbox`].
    Inbox {
        /// At most this many, the oldest first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        /// Those after this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<MessageId>,
        /// Those that were read, too, as long as the relay keeps them.
        #[serde(default)]
        all: bool,
    }
    /// See [`Request::Ack`].
    Ack {
        /// Which, at most 1000.
        ids: Vec<MessageId>,
    }
    /// See [`Request::Subscribe`].
    Subscribe {}
    /// See [`Request::Schedule`]; one of `at`, `in` and `every`.
    Schedule {
        /// To whom.
        to: Address,
        /// The text.
        text: String,
        /// What it is.
        #[serde(default)]
        kind: Kind,
        /// At this time, RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
        /// After this time: `90s`, `1h30m`.
        #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
        in_: Option<String>,
        /// Whenever this says: five fields as in crontab(5), in the host's time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<String>,
        /// The sender's own id for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<ScheduleId>,
    }
    /// See [`Request::Cancel`].
    Cancel {
        /// Which.
        id: ScheduleId,
    }
    /// See [`Request::Put`].
    Put {
        /// Whose worktable.
        group: GroupName,
        /// The document.
        name: DocumentName,
        /// All of its text.
        text: String,
    }
    /// See [`Request::Remove`].
    Remove {
        /// Whose worktable.
        group: GroupName,
        /// The document.
        name: DocumentName,
    }
    /// See [`Request::Open`].
    Open {
        /// The name that the session should have; another one with it in front where it is taken.
        session: SessionName,
        /// The project's root.
        root: PathBuf,
        /// The project's name.
        project: ProjectName,
        /// The user's home, to be masked in texts.
        home: PathBuf,
    }
    /// See [`Request::Close`].
    Close {
        /// Which.
        session: SessionName,
    }
    /// See [`Request::Stop`].
    Stop {}
    /// See [`Request::Link`].
    Link {
        /// Bytes of a message, as JSON, that fit through.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<u64>,
    }
    /// See [`Request::Carry`].
    Carry {
        /// As the other relay wrote it.
        message: Box<Message>,
        /// Which host it comes from, as NATS tells it.
        from_host: HostName,
    }
}

impl Request {
    /// What its answer calls it: its `type`, or what was asked.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Associate(_) => "associate",
            Self::Heartbeat(_) => "heartbeat",
            Self::Prompt(_) => "prompt",
            Self::Command(_) => "command",
            Self::Eval(_) => "eval",
            Self::Query(query) => query.query.word(),
            Self::Response(_) => "response",
            Self::Send(_) => "send",
            Self::Inbox(_) => "inbox",
            Self::Ack(_) => "ack",
            Self::Subscribe(_) => "subscribe",
            Self::Schedule(_) => "schedule",
            Self::Cancel(_) => "cancel",
            Self::Put(_) => "put",
            Self::Remove(_) => "remove",
            Self::Open(_) => "open",
            Self::Close(_) => "close",
            Self::Stop(_) => "stop",
            Self::Link(_) => "link",
            Self::Carry(_) => "carry",
        }
    }
}

impl Question {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::ListSessions => "list_sessions",
            Self::ActiveSessions => "active_sessions",
            Self::ActiveConnections => "active_connections",
            Self::SessionPath => "session_path",
            Self::ReloadSchedule => "reload_schedule",
            Self::Status => "status",
        }
    }
}

impl Send {
    /// A message with nothing beside what it needs.
    pub fn new(to: Address, kind: Kind, text: String) -> Self {
        Self { to, text, kind, id: None, reply_to: None, seq: None, expires_in: None }
    }
}

impl Respond {
    /// All of it as one text.
    pub fn text(self) -> String {
        let data = self.data.map(|data| data.to_string());
        let error = self.error.map(|error| format!("error: {error}"));
        let parts = [Some(self.text).filter(|text| !text.is_empty()), error, data];
        parts.into_iter().flatten().collect::<Vec<String>>().join("\n")
    }
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The sessions that the client may talk to.
    ListSessions,
    /// Those of them that are there.
    ActiveSessions,
    /// How many connections there are, and of whom.
    ActiveConnections,
    /// A session's project, as a name; for a host's program its path.
    SessionPath,
    /// Reads the schedules again, and lists the client's.
    ReloadSchedule,
    /// The daemon itself: for a host's program.
    Status,
}

/// A line that is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The tag of the request, where it could be read, for the answer.
    pub request: Option<String>,
    /// What `type` said, where it is one.
    pub word: Option<String>,
    /// What is wrong.
    pub refusal: Refusal,
}

/// Reads one line, without its end.
///
/// # Errors
/// What is wrong with it: nothing is guessed, and what is not known is refused.
pub fn parse(line: &[u8]) -> Result<(Envelope, Request), Malformed> {
    let malformed = |why: String| Refusal::new(Reason::Malformed, one_line(&why, WRONG_MAX));
    let mut fields: Map<String, Value> = serde_json::from_slice(line).map_err(|error| Malformed {
        request: None,
        word: None,
        refusal: malformed(not_an_object(&error)),
    })?;
    let request = fields.remove("request");
    let word = fields.get("type").and_then(Value::as_str).map(|word| word.chars().take(TAG_MAX).collect());
    let tag = match &request {
        Some(Value::String(tag)) if tag.len() <= TAG_MAX => Some(tag.clone()),
        _ => None,
    };
    let fail = |why: String| Malformed { request: tag.clone(), word: word.clone(), refusal: malformed(why) };
    if request.is_some() && tag.is_none() {
        return Err(fail(format!("`request` is a text of at most {TAG_MAX} bytes")));
    }
    match fields.remove("timestamp") {
        None | Some(Value::Null | Value::Number(_)) => {}
        Some(Value::String(text)) if text.len() <= TIMESTAMP_MAX => {}
        Some(_) => return Err(fail("`timestamp` is a number or a short text".into())),
    }
    let internal_id = match fields.remove("internal_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.parse().map_err(|error| fail(format!("`internal_id`: {error}")))?),
        Some(_) => return Err(fail("`internal_id` is a text".into())),
    };
    match serde_json::from_value(Value::Object(fields)) {
        Ok(parsed) => Ok((Envelope { request: tag, internal_id }, parsed)),
        Err(error) => Err(fail(error.to_string())),
    }
}

fn not_an_object(error: &serde_json::Error) -> String {
    format!("a line is one JSON object: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        parse(line.as_bytes()).unwrap_err().refusal.error
    }

    #[test]
    fn the_words_of_ccc_statusd_are_understood() {
        for line in [
            r#"{"type":"register","internal_id":"a-1","session_id":"x","timestamp":1700000000000,"name":"n"}"#,
            r#"{"type":"associate","internal_id":"a-1","session_id":"x"}"#,
            r#"{"type":"heartbeat","internal_id":"a-1","timestamp":"2026-01-01T00:00:00Z"}"#,
            r#"{"type":"prompt","session_id":"a-1","text":"go on"}"#,
            r#"{"type":"command","session_id":"a-1","name":"clear"}"#,
            r#"{"type":"eval","session_id":"a-1","code":"1+1"}"#,
            r#"{"type":"query","query":"list_sessions"}"#,
            r#"{"type":"query","query":"reload_schedule"}"#,
            r#"{"type":"response","reply_to":"m1","data":{"a":1},"error":null}"#,
        ] {
            parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error:?}"));
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_reason() {
        assert!(refused(r#"{"type":"dance"}"#).contains("dance"));
        assert!(refused(r#"{"type":"send","to":"a","text":"t","from":"b"}"#).contains("from"));
        assert!(refused(r#"{"type":"query","query":"passwords"}"#).contains("passwords"));
        assert!(refused(r#"{"type":"send","to":"a"}"#).contains("text"));
        assert!(refused(r#"{"to":"a"}"#).contains("type"));
        assert!(refused("[]").contains("one JSON object"));
        assert!(refused(r#"{"type":"subscribe"}{"type":"subscribe"}"#).contains("one JSON object"));
        assert!(refused(r#"{"type":"subscribe","internal_id":"../x"}"#).contains("internal_id"));
    }

    #[test]
    fn the_tag_comes_back_even_where_the_rest_is_wrong() {
        let error = parse(br#"{"type":"send","request":"7"}"#).unwrap_err();
        assert_eq!((error.request.as_deref(), error.word.as_deref()), (Some("7"), Some("send")));
    }
}
