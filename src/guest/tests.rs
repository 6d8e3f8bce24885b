//! The MCP server between a client, a relay and a messaging socket, all of them scripted.

use super::Delivery;
use super::inbox::Inbox;
use super::ledger::{Ledger, Turn};
use super::mcp::Server;
use super::post::{Post, Sockets};
use super::present::tests::letter;
use crate::relay::wire::Message;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// A relay with one session: messages wait until they are acknowledged.
#[derive(Clone, Default)]
struct Relay {
    waiting: Arc<Mutex<Vec<Message>>>,
    read: Arc<Mutex<Vec<Value>>>,
    clients: Arc<Mutex<Vec<UnixStream>>>,
    subscribers: Arc<Mutex<Vec<UnixStream>>>,
    sent: Arc<Mutex<Vec<Value>>>,
    /// Whether it is what holds the session's pairs.
    direct: bool,
}

impl Relay {
    fn listen(&self, path: &std::path::Path) {
        let _ = std::fs::remove_file(path);
        let (listener, relay) = (UnixListener::bind(path).unwrap(), self.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, relay) = (stream.unwrap(), relay.clone());
                relay.clients.lock().unwrap().push(stream.try_clone().unwrap());
                std::thread::spawn(move || relay.serve(stream));
            }
        });
    }

    fn serve(&self, stream: UnixStream) {
        let mut writer = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let request: Value = serde_json::from_str(&line).unwrap();
            let mut answer = json!({"type": "response", "query": "q", "request": request["request"], "timestamp": 1});
            answer["data"] = self.answer(&request, &writer);
            if writeln!(writer, "{answer}").is_err() {
                return;
            }
            if request["type"] == "subscribe" {
                self.waiting.lock().unwrap().iter().for_each(|message| push(&writer, message));
            }
        }
    }

    fn answer(&self, request: &Value, writer: &UnixStream) -> Value {
        let mut waiting = self.waiting.lock().unwrap();
        match request["type"].as_str().unwrap() {
            "register" => json!({"version": 1, "session": "web-1", "limits": {"message_size": 1, "rate": 1}}),
            "subscribe" => {
                self.subscribers.lock().unwrap().push(writer.try_clone().unwrap());
                json!({"waiting": waiting.len()})
            }
            "inbox" => {
                let mut listed: Vec<Value> = waiting.iter().map(|it| serde_json::to_value(it).unwrap()).collect();
                if request["all"] == true {
                    listed.splice(0..0, self.read.lock().unwrap().iter().cloned());
                }
                let after = listed.iter().position(|it| it["id"] == request["after"]).map_or(0, |at| at + 1);
                let limit = request["limit"].as_u64().unwrap() as usize;
                let page: Vec<&Value> = listed[after..].iter().take(limit).collect();
                json!({"messages": page, "more": after + page.len() < listed.len()})
            }
            "ack" => {
                let acked = |it: &mut Message| request["ids"].as_array().unwrap().contains(&json!(it.id));
                let read: Vec<Message> = waiting.extract_if(.., acked).collect();
                let count = read.len();
                self.read.lock().unwrap().extend(read.into_iter().map(|it| {
                    let mut letter = serde_json::to_value(it).unwrap();
                    letter["read"] = json!(2);
                    letter
                }));
                json!({"acked": count})
            }
            "query" => json!({"groups": ["all"], "sessions": [
                {"name": "api-1a2b", "user": "alice", "project": "api", "state": "here", "opened": 1, "heard": 1,
                 "waiting": 0, "own": false},
            ]}),
            "send" => {
                self.sent.lock().unwrap().push(request.clone());
                json!({"id": request["id"], "seq": 1, "accepted": 1, "recipients": 1, "duplicate": false,
                    "direct": self.direct})
            }
            "put" => json!({"group": request["group"], "name": request["name"], "what": "added",
                "bytes": request["text"].as_str().unwrap().len()}),
            _ => json!({}),
        }
    }

    fn deliver(&self, message: Message) {
        self.waiting.lock().unwrap().push(message.clone());
        self.subscribers.lock().unwrap().iter().for_each(|subscriber| push(subscriber, &message));
    }

    /// Drops every connection; what waits stays.
    fn restart(&self) {
        self.subscribers.lock().unwrap().clear();
        for client in self.clients.lock().unwrap().drain(..) {
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    }

    fn waits(&self, count: usize) -> bool {
        within(|| self.waiting.lock().unwrap().len() == count)
    }
}

fn push(mut subscriber: &UnixStream, message: &Message) {
    let mut line = serde_json::to_value(message).unwrap();
    line["type"] = json!("message");
    let _ = writeln!(subscriber, "{line}");
}

fn within(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::time::Instant::now() < deadline {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// A session: the server with its client, and what came into the session.
struct Session {
    relay: Relay,
    ledger: Ledger,
    client: BufReader<UnixStream>,
    pushed: Receiver<String>,
    asked: u64,
    /// The last call of a tool.
    called: u64,
    _dir: tempfile::TempDir,
}

impl Session {
    fn new(messaging: bool, hooks: bool, first: Vec<Message>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sockets = Sockets { relay: dir.path().join("relay"), direct: None };
        let relay = Relay::default();
        relay.listen(&sockets.relay);
        Self::at(dir, sockets, relay, messaging, hooks, first)
    }

    /// One whose relay is down, and that is paired.
    fn paired(first: Vec<Message>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sockets = Sockets { relay: dir.path().join("relay"), direct: Some(dir.path().join("direct")) };
        let end = Relay { direct: true, ..Relay::default() };
        end.listen(sockets.direct.as_ref().unwrap());
        Self::at(dir, sockets, end, true, true, first)
    }

    fn at(
        dir: tempfile::TempDir,
        sockets: Sockets,
        relay: Relay,
        messaging: bool,
        hooks: bool,
        first: Vec<Message>,
    ) -> Self {
        *relay.waiting.lock().unwrap() = first;
        let (pushes, pushed) = channel();
        let messaging = messaging.then(|| messaging_socket(dir.path().join("messaging"), pushes));
        let ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
        if hooks {
            ledger.note_hooks();
        }
        let server = Server::start(&sockets, ledger.clone(), Delivery::Socket, messaging);
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(server.serve_on(theirs))
        });
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut session = Self { relay, ledger, client: BufReader::new(ours), pushed, asked: 0, called: 0, _dir: dir };
        let client = json!({"name": "test", "version": "1"});
        session.ask("initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}));
        session.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        session
    }

    fn say(&mut self, line: &Value) {
        writeln!(self.client.get_mut(), "{line}").unwrap();
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.begin(method, params);
        self.answer()
    }

    fn begin(&mut self, method: &str, params: Value) {
        self.asked += 1;
        self.say(&json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}));
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.client.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Gives the last call up; the server has heard it then.
    fn give_up(&mut self) {
        let params = json!({"requestId": self.called});
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
        self.is_heard();
    }

    /// All that was said to the server until now it has begun to do.
    fn is_heard(&mut self) {
        let pong = self.ask("ping", json!({}));
        assert_eq!(pong["result"], json!({}), "{pong}");
    }

    /// What a tool says, and whether it failed.
    fn call(&mut self, name: &str, arguments: Value) -> (String, bool) {
        self.begin_call(name, arguments);
        self.said()
    }

    fn begin_call(&mut self, name: &str, arguments: Value) {
        self.begin("tools/call", json!({"name": name, "arguments": arguments}));
        self.called = self.asked;
    }

    fn said(&mut self) -> (String, bool) {
        let answer = self.answer();
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text, result["isError"] == true)
    }

    fn next_push(&self) -> String {
        self.pushed.recv_timeout(PATIENCE).unwrap()
    }

    fn nothing_more_is_pushed(&self) -> bool {
        self.pushed.recv_timeout(Duration::from_millis(300)).is_err()
    }
}

/// Claude Code's: what it is told.
fn messaging_socket(path: PathBuf, told: Sender<String>) -> PathBuf {
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            for line in BufReader::new(stream.unwrap()).lines().map_while(Result::ok) {
                let said: Value = serde_json::from_str(&line).unwrap();
                let _ = told.send(said["message"]["content"].as_str().unwrap().to_owned());
            }
        }
    });
    path
}

#[test]
fn a_message_goes_into_the_session_once_although_the_relay_restarts() {
    let session = Session::new(true, true, vec![letter("m1", "one")]);
    assert!(session.next_push().contains("> one"));
    session.relay.restart();
    assert!(within(|| !session.relay.subscribers.lock().unwrap().is_empty()));
    session.relay.deliver(letter("m2", "two"));
    assert!(session.next_push().contains("> two"));
    assert!(session.nothing_more_is_pushed());
    // The hook has not confirmed them: they are the relay's still.
    assert!(session.relay.waits(2));
}

#[test]
fn where_no_hook_confirms_what_was_pushed_is_acknowledged() {
    let session = Session::new(true, false, vec![letter("m1", "one")]);
    assert!(session.next_push().contains("> one"));
    assert!(session.relay.waits(0));
}

#[test]
fn what_is_on_its_way_is_not_shown_a_second_time() {
    let mut session = Session::new(true, true, vec![letter("m1", "one")]);
    session.next_push();
    assert_eq!(session.call("read_inbox", json!({})).0, "No message waits.");
}

#[test]
fn a_long_message_is_announced_and_read_on_demand() {
    let mut session = Session::new(true, true, vec![letter("m1", &"long ".repeat(4000))]);
    let told = session.next_push();
    assert!(told.contains("20000 bytes") && !told.contains("> long"), "{told}");
    assert!(session.call("read_inbox", json!({})).0.contains("> long long"));
    assert!(session.relay.waits(0));
    assert!(session.nothing_more_is_pushed());
}

#[test]
fn a_tool_that_waits_gets_the_message_instead_of_the_session() {
    let mut session = Session::new(true, true, vec![]);
    session.begin_call("wait_for_message", json!({"timeout_seconds": 30}));
    // Until it waits the session would get it.
    std::thread::sleep(Duration::from_millis(300));
    session.relay.deliver(letter("m1", "for the tool"));
    let (said, failed) = session.said();
    assert!(said.starts_with("[rcc relay] message m1 from session:api-1a2b") && !failed, "{said}");
    assert!(session.relay.waits(0) && session.nothing_more_is_pushed());
    assert_eq!(session.call("wait_for_message", json!({"timeout_seconds": 1})).0, "No message came within 1 s.");
    session.relay.deliver(letter("m2", "for the session"));
    assert!(session.next_push().contains("> for the session"));
}

#[test]
fn a_message_that_is_found_for_a_call_that_was_given_up_goes_on_waiting() {
    let mut session = Session::new(false, true, vec![letter("m1", "one")]);
    for (tool, arguments) in [("wait_for_message", json!({"timeout_seconds": 30})), ("read_inbox", json!({}))] {
        // The relay does not answer meanwhile.
        let waiting = session.relay.waiting.clone();
        let held = waiting.lock().unwrap();
        session.begin_call(tool, arguments);
        session.is_heard();
        session.give_up();
        drop(held);
    }
    assert!(session.call("read_inbox", json!({})).0.contains("> one"));
    assert!(session.relay.waits(0));
}

#[test]
fn what_came_for_a_call_that_was_given_up_goes_into_the_session() {
    let mut session = Session::new(true, true, vec![]);
    session.begin_call("wait_for_message", json!({"timeout_seconds": 30}));
    session.is_heard();
    let (waiting, subscribers) = (session.relay.waiting.clone(), session.relay.subscribers.clone());
    assert!(within(|| !subscribers.lock().unwrap().is_empty()));
    let mut held = waiting.lock().unwrap();
    held.push(letter("m1", "one"));
    subscribers.lock().unwrap().iter().for_each(|subscriber| push(subscriber, &letter("m1", "one")));
    // The bridge leaves it to the tool, which asks the relay for it.
    std::thread::sleep(Duration::from_millis(300));
    session.give_up();
    drop(held);
    assert!(session.next_push().contains("> one"));
}

#[test]
fn what_was_read_is_shown_once_more_on_demand() {
    let mut session = Session::new(false, true, vec![letter("m1", "one"), letter("m2", "two")]);
    assert!(session.call("read_inbox", json!({"limit": 1})).0.contains("> one"));
    assert!(session.relay.waits(1));
    let (said, _) = session.call("read_inbox", json!({"all": true}));
    assert!(said.contains("> one") && said.contains("> two") && !said.contains("older ones"), "{said}");
    assert!(session.relay.waits(0), "what was shown is read");
    let (said, _) = session.call("read_inbox", json!({"all": true, "limit": 1}));
    assert!(!said.contains("> one") && said.contains("> two") && said.contains("older ones"), "{said}");
}

#[test]
fn many_long_messages_do_not_hide_a_short_one_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let (relay, socket) = (Relay::default(), dir.path().join("relay"));
    relay.listen(&socket);
    let ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
    let long = (0..150).map(|n| letter(&format!("l{n}"), &"long ".repeat(4000)));
    relay.waiting.lock().unwrap().extend(long.chain([letter("m1", "short")]));
    let mut inbox = Inbox { post: Post::new(&Sockets { relay: socket, direct: None }, PATIENCE), ledger };
    let told: Vec<_> = std::iter::from_fn(|| inbox.to_push(1000).unwrap()).take(10).collect();
    let announced = told.iter().flat_map(|(text, _)| text.lines()).filter(|line| line.contains("20000 bytes")).count();
    assert_eq!(announced, 150, "each is announced once");
    let (text, ids) = told.last().unwrap();
    assert!(text.contains("> short"), "{text}");
    assert_eq!(ids, &["m1".parse().unwrap()]);
}

#[test]
fn without_a_messaging_socket_the_inbox_is_read_and_acknowledged() {
    let mut session = Session::new(false, true, vec![letter("m1", "one"), letter("m2", "two")]);
    assert!(session.ledger.take(Turn::Deliver).is_some(), "the hooks may deliver");
    let (said, _) = session.call("read_inbox", json!({"limit": 1}));
    assert!(said.contains("> one") && !said.contains("> two") && said.contains("more wait"), "{said}");
    assert!(session.relay.waits(1));
    assert!(session.call("read_inbox", json!({})).0.contains("> two"));
    assert!(session.relay.waits(0));
}

#[test]
fn a_lost_acknowledgement_is_made_up_for_and_nothing_shown_twice() {
    let mut session = Session::new(false, true, vec![letter("m1", "one")]);
    session.ledger.note(&"m1".parse().unwrap());
    assert_eq!(session.call("read_inbox", json!({})).0, "No message waits.");
    assert!(session.relay.waits(0));
}

#[test]
fn a_message_is_sent_under_an_id_of_its_own_to_a_session_whose_name_begins_so() {
    let mut session = Session::new(false, true, vec![]);
    let (said, failed) = session.call("send_message", json!({"to": "api", "text": "hello", "reply_to": "m1"}));
    assert!(said.starts_with("Sent to session:api-1a2b, id g") && !failed, "{said}");
    let sent = session.relay.sent.lock().unwrap()[0].clone();
    assert_eq!((&sent["to"], &sent["kind"]), (&json!("session:api-1a2b"), &json!("response")));
    assert_eq!(sent["id"].as_str().unwrap().len(), 17);
    // The relay may know a session that it does not list.
    let (said, failed) = session.call("send_message", json!({"to": "older", "text": "hello"}));
    assert!(said.starts_with("Sent to session:older, id g") && !failed, "{said}");
}

#[test]
fn the_sessions_are_listed_with_their_addresses() {
    let mut session = Session::new(false, true, vec![]);
    let (said, _) = session.call("list_sessions", json!({}));
    assert!(said.contains("session:api-1a2b  here  user alice  project:api\ngroup:all\n"), "{said}");
    let tools = session.ask("tools/list", json!({}));
    let names: Vec<&str> =
        tools["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["list_sessions", "send_message", "read_inbox", "wait_for_message", "put_document"]);
}

#[test]
fn whoever_puts_a_document_is_told_where_it_is_read() {
    let mut session = Session::new(false, true, vec![]);
    let document = json!({"group": "all", "name": "Plan.md", "text": "first"});
    let (said, failed) = session.call("put_document", document);
    assert_eq!(said, "Added: 5 bytes. The sessions of all read it as /run/rcc/worktables/all/Plan.md.");
    assert!(!failed);
    let (said, failed) = session.call("put_document", json!({"group": "all", "name": "/etc/x", "text": ""}));
    assert!(said.starts_with("the arguments are wrong: ") && failed, "{said}");
}

#[test]
fn while_the_relay_is_down_who_is_paired_is_reached_at_once() {
    let mut session = Session::paired(vec![]);
    let begun = std::time::Instant::now();
    let (said, failed) = session.call("send_message", json!({"to": "project:api", "text": "hello"}));
    assert!(said.starts_with("Sent directly to project:api, id g") && !failed, "{said}");
    assert!(said.contains("the relay is not running") && said.contains("lost if"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(session.relay.sent.lock().unwrap().len(), 1);
}

#[test]
fn what_came_directly_is_shown_once_and_acknowledged_where_it_came_from() {
    let mut session = Session::paired(vec![letter("m1", &"long ".repeat(4000))]);
    assert!(session.call("read_inbox", json!({})).0.contains("> long long"));
    assert!(session.relay.waits(0));
    session.relay.deliver(letter("m2", "short"));
    assert!(session.pushed.recv_timeout(PATIENCE).unwrap().contains("waits, from"));
    assert!(session.pushed.recv_timeout(PATIENCE).unwrap().contains("> short"));
}

#[test]
fn when_the_relay_is_back_it_is_taken_again_and_both_inboxes_are_read() {
    let mut session = Session::paired(vec![]);
    session.call("send_message", json!({"to": "project:api", "text": "directly"}));
    let relay = Relay::default();
    relay.listen(&session._dir.path().join("relay"));
    let (said, _) = session.call("send_message", json!({"to": "project:api", "text": "by the relay"}));
    assert!(said.starts_with("Sent to project:api"), "{said}");
    let of = |relay: &Relay| relay.sent.lock().unwrap().iter().map(|sent| sent["text"].clone()).collect::<Vec<_>>();
    assert_eq!((of(&session.relay), of(&relay)), (vec![json!("directly")], vec![json!("by the relay")]));
    // Where nobody pushes: what is long is only announced.
    session.relay.waiting.lock().unwrap().push(letter("m1", &"one ".repeat(4000)));
    relay.waiting.lock().unwrap().push(letter("m2", &"two ".repeat(3000)));
    let (said, _) = session.call("read_inbox", json!({}));
    assert!(said.contains("> one one") && said.contains("> two two"), "{}", said.len());
    assert!(session.relay.waits(0) && relay.waits(0));
}
