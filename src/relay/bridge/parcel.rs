//! A message on its way between hosts: its subject, and what its relay makes of it. Pure.

use crate::relay::name::{HostName, MessageId};
use crate::relay::wire::answer::ANSWER_MAX;
use crate::relay::wire::{Carry, Message, Request};
use sha2::{Digest, Sha256};

/// Bytes of a login name.
const USER_MAX: usize = 64;
/// Bytes of a line beside twice the text that its relay takes; the relay itself allows twice as many.
const LINE_MARGIN: usize = 32 << 10;

/// The subjects of a cluster, as one of its hosts uses them: `PREFIX.FROM.TO`.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    prefix: String,
    own: HostName,
}

impl Subjects {
    pub fn new(prefix: &str, own: &HostName) -> Self {
        Self { prefix: prefix.to_owned(), own: own.clone() }
    }

    /// All of them, which the stream takes.
    pub fn all(&self) -> String {
        format!("{}.*.*", self.prefix)
    }

    /// From this host to that one.
    pub fn to(&self, host: &HostName) -> String {
        format!("{}.{}.{host}", self.prefix, self.own)
    }

    /// From anywhere to this host.
    pub fn inbound(&self) -> String {
        format!("{}.*.{}", self.prefix, self.own)
    }

    /// Which host may publish to this subject. Who that is, NATS checks; what the message says of itself, nobody.
    pub fn sender(&self, subject: &str) -> Option<HostName> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix('.')?;
        let (from, to) = rest.split_once('.')?;
        let from: HostName = from.parse().ok()?;
        (to == self.own.as_str() && from != self.own).then_some(from)
    }

    /// Reads what was published to this host.
    pub fn unpack(&self, payload: &[u8]) -> Result<Message, String> {
        if payload.len() > ANSWER_MAX {
            return Err(format!("it has {} bytes", payload.len()));
        }
        let message: Message = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        if message.from.user.len() > USER_MAX {
            return Err(format!("its user's name has {} bytes", message.from.user.len()));
        }
        if message.to.host.as_ref() != Some(&self.own) {
            return Err(format!("it is for {}", message.to));
        }
        Ok(message)
    }
}

/// What is published: the message, and what it answers as the other host knows it.
pub(super) fn pack(mut message: Message, own: &HostName, to: &HostName) -> Vec<u8> {
    if let Some(answered) = message.reply_to.take() {
        let own_id = || if answered.is_foreign() { None } else { answered.of_host(own) };
        message.reply_to = Some(answered.on_host(to).or_else(own_id).unwrap_or(answered.clone()));
    }
    // Plain data of names, numbers and texts: JSON has a form for all of it.
    serde_json::to_vec(&message).unwrap_or_default()
}

/// What is said to the relay. It hangs up on lines that are too long to be a message; so that it refuses this one in
/// words and on record instead, such a text becomes another one that is too long.
pub(super) fn carry(message: Message, from_host: HostName, longest: usize) -> Request {
    let mut message = Box::new(message);
    let line = serde_json::to_vec(&message).map_or(usize::MAX, |json| json.len());
    if line > 2 * longest + LINE_MARGIN {
        message.text = "?".repeat(longest + 1);
    }
    Request::Carry(Carry { message, from_host })
}

/// `Nats-Msg-Id`, by which JetStream drops what is published twice within a while. Ids of messages can be guessed:
/// without a secret part another host could publish under one before this one does, and the message would be lost.
pub(super) fn publication(secret: &[u8], id: &MessageId) -> String {
    let digest = Sha256::new().chain_update(secret).chain_update(id.as_str()).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    fn message(reply_to: Option<&str>) -> Message {
        serde_json::from_value(json!({
            "id": "0a", "from": {"session": "a-1", "user": "alice", "uid": 1000}, "to": "session:b-1@build",
            "kind": "message", "text": "hello", "seq": 1, "accepted": 1, "expires": 2, "reply_to": reply_to,
        }))
        .unwrap()
    }

    #[test]
    fn the_subject_tells_who_sent_it_and_nothing_else_does() {
        let subjects = Subjects::new("rcc", &host("build"));
        assert_eq!(subjects.to(&host("desk")), "rcc.build.desk");
        assert_eq!(subjects.sender("rcc.desk.build"), Some(host("desk")));
        for other in [
            "rcc.desk.desk",
            "rcc.build.build",
            "rcc.desk",
            "rccx.desk.build",
            "rcc.de.sk.build",
            "rcc.DESK.build",
            "",
            "rcc..build",
        ] {
            assert_eq!(subjects.sender(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_answered_has_the_name_that_the_other_host_gave_it() {
        let (own, to) = (host("desk"), host("build"));
        let theirs = Subjects::new("rcc", &to);
        let answered =
            |id: Option<&str>| theirs.unpack(&pack(message(id), &own, &to)).unwrap().reply_to.map(|id| id.to_string());
        assert_eq!(answered(Some("0b~build")).as_deref(), Some("0b"));
        assert_eq!(answered(Some("0b")).as_deref(), Some("0b~desk"));
        assert_eq!(answered(Some("0b~third")).as_deref(), Some("0b~third"));
        assert_eq!(answered(None), None);
    }

    #[test]
    fn what_is_for_another_host_or_nobody_is_not_taken() {
        let payload = serde_json::to_vec(&message(None)).unwrap();
        assert!(Subjects::new("rcc", &host("build")).unpack(&payload).is_ok());
        assert!(Subjects::new("rcc", &host("desk")).unpack(&payload).is_err());
        let mut named: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        named["from"]["user"] = "x".repeat(USER_MAX + 1).into();
        assert!(Subjects::new("rcc", &host("build")).unpack(named.to_string().as_bytes()).is_err());
    }

    #[test]
    fn a_text_that_no_line_could_hold_is_refused_by_the_relay_itself() {
        let long = Message { text: "\u{1}".repeat(20_000), ..message(None) };
        let Request::Carry(Carry { message, .. }) = carry(long, host("desk"), 1024) else { panic!() };
        assert_eq!(message.text.len(), 1025);
    }

    #[test]
    fn a_publication_is_named_by_who_knows_the_secret() {
        let id = "0a".parse().unwrap();
        assert_eq!(publication(b"one", &id), publication(b"one", &id));
        assert_ne!(publication(b"one", &id), publication(b"two", &id));
    }

    proptest! {
        #[test]
        fn no_payload_and_no_subject_is_too_much(payload: Vec<u8>, subject: String) {
            let subjects = Subjects::new("rcc", &host("build"));
            prop_assert!(subjects.unpack(&payload).is_err());
            let _ = subjects.sender(&subject);
        }
    }
}
