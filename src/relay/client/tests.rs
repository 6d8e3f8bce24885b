//! The client against a relay that follows a script.

use super::*;
use crate::relay::wire::answer::{Acked, Subscribed};
use crate::relay::wire::{Ack, Subscribe};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

/// The relay's end of a connection.
struct Relay(BufReader<UnixStream>);

impl Relay {
    /// The tag of the next request.
    fn asked(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()["request"].clone()
    }

    fn say(&mut self, text: &[u8]) {
        // A client that has had enough hangs up.
        let _ = self.0.get_mut().write_all(text);
    }

    fn line(&mut self, value: Value) {
        self.say(format!("{value}\n").as_bytes());
    }

    fn answer(&mut self, tag: &Value, data: Value) {
        self.line(json!({"type": "response", "query": "ack", "request": tag, "data": data, "timestamp": 1}));
    }

    fn message(&mut self, id: &str) {
        self.line(json!({
            "type": "message", "id": id, "from": {"session": "a-1", "user": "alice", "uid": 1000},
            "to": "session:b-1", "kind": "message", "text": "hello", "seq": 1, "accepted": 1, "expires": 2,
        }));
    }

    /// Until the client hangs up.
    fn hang(mut self) {
        let _ = std::io::copy(&mut self.0, &mut std::io::sink());
    }
}

struct Scripted {
    client: Client,
    script: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Scripted {
    fn new(script: impl FnOnce(Relay) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let script = std::thread::spawn(move || script(Relay(BufReader::new(listener.accept().unwrap().0))));
        let client = Client::patient(&path, Duration::from_millis(300)).unwrap();
        Self { client, script, _dir: dir }
    }

    fn ack(&mut self) -> Result<Acked, ClientError> {
        self.client.ask(&Request::Ack(Ack { ids: vec!["m1".parse().unwrap()] }))
    }

    fn next(&mut self) -> Option<String> {
        self.client.next(Some(Duration::from_millis(300))).unwrap().map(|message| message.id.to_string())
    }

    fn end(self) {
        drop(self.client);
        self.script.join().unwrap();
    }
}

#[test]
fn messages_that_come_before_an_answer_are_kept_in_order() {
    let mut scripted = Scripted::new(|mut relay| {
        let tag = relay.asked();
        relay.message("m1");
        relay.line(json!({"type": "notice", "name": "worktable"}));
        relay.message("m2");
        relay.answer(&tag, json!({"waiting": 2}));
        let tag = relay.asked();
        relay.message("m3");
        relay.answer(&tag, json!({"acked": 1}));
        relay.hang();
    });
    let subscribed: Subscribed = scripted.client.ask(&Request::Subscribe(Subscribe {})).unwrap();
    assert_eq!(subscribed.waiting, 2);
    assert_eq!(scripted.next().as_deref(), Some("m1"));
    assert_eq!(scripted.ack().unwrap().acked, 1);
    let notice = scripted.client.pushed_before(Some(Instant::now())).unwrap();
    assert!(matches!(notice, Some(Pushed::Notice(notice)) if notice.name == "worktable"));
    assert_eq!([scripted.next(), scripted.next()], [Some("m2".into()), Some("m3".into())]);
    assert_eq!(scripted.next(), None);
    assert_eq!(scripted.client.pushed_bytes, 0);
    scripted.end();
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken_for_the_next_one() {
    let mut scripted = Scripted::new(|mut relay| {
        let first = relay.asked();
        let second = relay.asked();
        relay.answer(&second, json!({"acked": 2}));
        relay.answer(&first, json!({"acked": 1}));
        let third = relay.asked();
        relay.answer(&third, json!({"acked": 3}));
        relay.hang();
    });
    assert!(matches!(scripted.ack(), Err(ClientError::Silent { request }) if request == "ack"));
    assert_eq!(scripted.ack().unwrap().acked, 2);
    assert_eq!(scripted.ack().unwrap().acked, 3);
    scripted.end();
}

#[test]
fn a_refusal_tells_its_reason() {
    let mut scripted = Scripted::new(|mut relay| {
        let tag = relay.asked();
        relay.line(json!({
            "type": "response", "query": "ack", "request": tag, "timestamp": 1,
            "error": "too many", "reason": "rate-limited", "retry_after": 250,
        }));
        relay.asked();
        // Without a tag: the connection is refused.
        relay.line(json!({"type": "response", "query": "", "timestamp": 1, "error": "full", "reason": "closing"}));
    });
    match scripted.ack() {
        Err(ClientError::Refused { refusal, .. }) => {
            assert_eq!((refusal.reason, refusal.error.as_str()), (Reason::RateLimited, "too many"));
            assert_eq!(refusal.retry_after, Some(Duration::from_millis(250)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scripted.ack().unwrap_err().reason(), Some(Reason::Closing));
    scripted.end();
}

#[test]
fn a_line_that_does_not_end_is_given_up() {
    let mut scripted = Scripted::new(|mut relay| {
        relay.asked();
        let part = vec![b'a'; 1 << 20];
        (0..=ANSWER_MAX >> 20).for_each(|_| relay.say(&part));
        relay.hang();
    });
    scripted.client.patience = Duration::from_secs(20);
    assert!(matches!(scripted.ack(), Err(ClientError::Garbled(why)) if why.contains("longer")));
    assert!(scripted.client.lines.unfinished() <= ANSWER_MAX + CHUNK);
    scripted.end();
}

#[test]
fn a_connection_that_ends_in_the_middle_of_a_line_is_closed() {
    let mut scripted = Scripted::new(|mut relay| {
        relay.asked();
        relay.say(br#"{"type":"response","query":"ack","requ"#);
    });
    let error = scripted.ack().unwrap_err();
    assert!(matches!(error, ClientError::Closed { .. }) && error.is_uncertain());
    // Later requests say the same, and do not end the process by a signal.
    assert!(matches!(scripted.ack(), Err(ClientError::Closed { .. })));
    scripted.end();
}

#[test]
fn what_is_no_reply_is_not_understood() {
    for line in ["nonsense\n", "[]\n", "{\"type\":\"dance\"}\n"] {
        let mut scripted = Scripted::new(move |mut relay| {
            relay.asked();
            relay.say(line.as_bytes());
            relay.hang();
        });
        assert!(matches!(scripted.ack(), Err(ClientError::Garbled(_))), "{line}");
        scripted.end();
    }
}

#[test]
fn what_is_pushed_and_not_taken_has_a_bound() {
    let mut scripted = Scripted::new(Relay::hang);
    let notice = || Pushed::Notice(Notice { name: "worktable".into(), data: None });
    scripted.client.keep(notice(), PUSHED_MAX).unwrap();
    assert!(matches!(scripted.client.keep(notice(), 1), Err(ClientError::Overrun)));
    scripted.client.pushed_before(None).unwrap();
    scripted.client.keep(notice(), 1).unwrap();
    scripted.end();
}

#[test]
fn a_relay_that_accepts_nobody_is_not_waited_for_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relay.sock");
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let patience = Duration::from_millis(50);
    let _first = Client::patient(&path, patience).unwrap();
    assert!(matches!(Client::patient(&path, patience), Err(ClientError::Silent { .. })));
}

#[test]
fn a_path_may_be_longer_than_an_address_of_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("relay.sock");
    assert!(matches!(Client::connect(&path), Err(ClientError::NotRunning { .. })));
    let short = dir.path().join("s");
    let _listener = UnixListener::bind(&short).unwrap();
    std::fs::rename(&short, &path).unwrap();
    Client::connect(&path).unwrap();
}
