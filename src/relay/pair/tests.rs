//! Two sandboxes' ends, each on a thread of its own, and clients that write what they like.

use super::hold::{self, Held};
use super::plan::{Limits, Paired, Plan};
use crate::journal::{Directory, Entries, Found, verify};
use crate::relay::client::{Client, ClientError};
use crate::relay::event::Event;
use crate::relay::name::MessageId;
use crate::relay::policy::Policy;
use crate::relay::wire::answer::{Acked, Listed, Sent, Sessions, Subscribed};
use crate::relay::wire::{Ack, Inbox, Kind, Message, Query, Question, Reason, Refusal, Request, Send, Subscribe};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::LocalSet;

const PATIENCE: Duration = Duration::from_secs(10);

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The end of one sandbox, in a process as it were.
pub(super) struct End {
    pub plan: Plan,
    pub held: Held,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl End {
    pub fn start(plan: Plan) -> Self {
        std::fs::create_dir_all(&plan.directory).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let theirs = plan.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let (held, core) = hold::hold(theirs);
                tell.send(held).unwrap();
                let _ = stopped.await;
                if let Some(core) = core {
                    hold::close(&core);
                }
            });
        });
        let held = told.recv_timeout(PATIENCE).unwrap();
        Self { plan, held, stop: Some(stop), thread: Some(thread) }
    }

    pub fn inside(&self) -> PathBuf {
        self.plan.directory.join("sock")
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.inside()).unwrap()
    }

    pub fn send(&self, to: &str, text: &str) -> Result<Sent, ClientError> {
        self.client().ask(&Request::Send(Send::new(to.parse().unwrap(), Kind::Message, text.into())))
    }

    pub fn inbox(&self) -> Vec<Message> {
        let listed: Listed =
            self.client().ask(&Request::Inbox(Inbox { limit: None, after: None, all: false })).unwrap();
        listed.messages.into_iter().map(|letter| letter.message).collect()
    }

    /// What a program says that knows nothing of rcc, on any socket, and what it is told.
    pub fn says(path: &Path, line: &Value) -> Value {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    pub fn entries(&self) -> Vec<Event> {
        entries(&self.plan.pairs[0].audit)
    }
}

pub(super) fn entries(audit: &Path) -> Vec<Event> {
    let directory = Directory::open(audit).unwrap();
    let entry = |found: std::io::Result<Found<Event>>| match found.unwrap() {
        Found::Entry(line) => line.entry.event,
        Found::Fault(fault) => panic!("{fault}"),
    };
    Entries::new(&directory, 0).map(entry).collect()
}

impl Drop for End {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// Where two ends meet.
pub(super) struct World(pub tempfile::TempDir);

impl World {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn plan(&self, end: usize) -> Plan {
        let root = self.0.path();
        let names = ["api", "web"];
        let place = |end: usize| root.join("run/pairs/api-web").join((end + 1).to_string());
        Plan {
            session: format!("{}-1a2b", names[end]).parse().unwrap(),
            project: names[end].parse().unwrap(),
            root: format!("/home/alice/{}", names[end]).into(),
            home: "/home/alice".into(),
            user: "alice".into(),
            uid: uid(),
            directory: root.join("run/direct").join(names[end]),
            relay: None,
            limits: Limits::of(&Policy::default(), &Policy::default()),
            pairs: vec![Paired {
                name: "api-web".parse().unwrap(),
                kinds: [Kind::Message, Kind::Prompt, Kind::Response].into(),
                own: place(end),
                peer: place(1 - end),
                audit: root.join("state/pairs/api-web").join((end + 1).to_string()),
                peer_project: names[1 - end].parse().unwrap(),
                peer_user: "alice".into(),
                peer_uid: uid(),
            }],
        }
    }

    pub fn both(&self) -> [End; 2] {
        [0, 1].map(|end| End::start(self.plan(end)))
    }
}

pub(super) fn refusal<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Refusal {
    match answer.unwrap_err() {
        ClientError::Refused { refusal } => refusal,
        other => panic!("{other}"),
    }
}

pub(super) fn reason<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Reason {
    refusal(answer).reason
}

#[test]
fn a_message_goes_over_with_the_sender_that_the_pair_is_and_is_answered() {
    let world = World::new();
    let [api, web] = world.both();
    assert_eq!(api.held.pairs.len() + web.held.pairs.len(), 2, "{:?} {:?}", api.held, web.held);
    let sent = api.send("project:web", "in /home/alice/api/src\u{1b}[2J").unwrap();
    assert!(sent.direct && !sent.duplicate && sent.recipients == 1);
    let [message] = &web.inbox()[..] else { panic!("one message") };
    assert_eq!((message.from.session.as_str(), message.from.uid), ("api-1a2b", uid()));
    assert_eq!(message.from.project.as_ref().unwrap().as_str(), "api");
    assert_eq!((message.text.as_str(), &message.id), ("in [api]/src\\u{1b}[2J", &sent.id));

    let answer = json!({"type": "response", "reply_to": sent.id, "text": "seen"});
    assert_eq!(End::says(&web.inside(), &answer)["data"]["direct"], true);
    let [back] = &api.inbox()[..] else { panic!("one answer") };
    assert_eq!((back.kind, back.reply_to.as_ref()), (Kind::Response, Some(&sent.id)));
    let acked: Acked = api.client().ask(&Request::Ack(Ack { ids: vec![back.id.clone()] })).unwrap();
    assert_eq!((acked.acked, api.inbox().len()), (1, 0));
}

#[test]
fn while_the_relay_listens_nothing_goes_past_it() {
    let world = World::new();
    let relay = world.0.path().join("relay.sock");
    let mut plan = world.plan(0);
    plan.relay = Some(relay.clone());
    let (api, web) = (End::start(plan), End::start(world.plan(1)));
    let listener = UnixListener::bind(&relay).unwrap();
    let refused = refusal(api.send("project:web", "x"));
    assert_eq!(refused.reason, Reason::NotAllowed);
    assert!(refused.error.contains("the relay is running"), "{}", refused.error);
    drop(listener);
    api.send("project:web", "x").unwrap();
    assert_eq!(web.inbox().len(), 1);
}

#[test]
fn who_is_not_there_is_told_at_once_and_nothing_is_kept_for_later() {
    let world = World::new();
    let api = End::start(world.plan(0));
    let refused = refusal(api.send("project:web", "x"));
    assert_eq!(refused.reason, Reason::NoRecipient);
    assert!(refused.error.contains("not kept for later") && refused.error.contains("rcc relay start"));
    for to in ["project:other", "other-1", "group:all", "user", "project:web@build"] {
        let refused = refusal(api.send(to, "x"));
        assert_eq!(refused.reason, Reason::NoRecipient, "{to}");
        assert!(refused.error.contains("the relay is not running"), "{}", refused.error);
    }
    let web = End::start(world.plan(1));
    assert!(web.inbox().is_empty());
    assert_eq!(reason(api.send("web-2222", "x")), Reason::NoRecipient, "another session of that project");
    api.send("web-1a2b", "x").unwrap();
    let listed: Sessions =
        api.client().ask(&Request::Query(Query { query: Question::ListSessions, session_id: None })).unwrap();
    let names: Vec<_> = listed.sessions.iter().map(|seen| (seen.name.as_str(), seen.own)).collect();
    assert_eq!(names, [("api-1a2b", true), ("web-1a2b", false)]);
}

#[test]
fn limits_are_the_relays_and_code_goes_nowhere() {
    let world = World::new();
    let mut plan = world.plan(0);
    (plan.limits.rate, plan.limits.burst, plan.limits.message_size) = (1, 3, 64);
    let (api, web) = (End::start(plan), End::start(world.plan(1)));
    assert_eq!(reason(api.send("project:web", &"x".repeat(65))), Reason::TooLarge);
    let eval = json!({"type": "eval", "session_id": "web-1a2b", "code": "1"});
    assert_eq!(End::says(&api.inside(), &eval)["reason"], "not-allowed");
    api.send("project:web", "x").unwrap();
    let slower = refusal(api.send("project:web", "x"));
    assert_eq!(slower.reason, Reason::RateLimited);
    assert!(slower.retry_after.unwrap() > Duration::from_secs(50));
    assert_eq!(web.inbox().len(), 1);
}

#[test]
fn of_two_policies_the_stricter_one_holds() {
    let mut one = Policy { mask_paths: false, ..Policy::default() };
    (one.limits.rate, one.limits.message_size) = (7, 4 << 20);
    let limits = Limits::of(&one, &Policy::default());
    assert_eq!((limits.rate, limits.message_size, limits.mask_paths), (7, 1 << 20, true));
    assert!(limits.waiting_bytes <= 16 << 20, "it is memory");
}

#[test]
fn what_is_sent_again_under_its_id_arrives_once() {
    let world = World::new();
    let [api, web] = world.both();
    let send = |id: &str, text: &str, seq: Value| {
        let line = json!({"type": "send", "to": "web-1a2b", "id": id, "text": text, "seq": seq});
        End::says(&api.inside(), &line)
    };
    let first = send("m1", "x", json!(5));
    let again = send("m1", "x", Value::Null);
    assert_eq!((&first["data"]["id"], &again["data"]["id"]), (&again["data"]["id"], &first["data"]["id"]));
    assert_eq!((&first["data"]["duplicate"], &again["data"]["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(send("m1", "y", Value::Null)["reason"], "replayed");
    assert_eq!(send("m2", "y", json!(5))["reason"], "replayed");
    assert_eq!(web.inbox().len(), 1);
    // An end that asks again, as its answer was lost, is answered as before.
    let door = web.plan.pairs[0].own.join("sock");
    let line =
        |id: &str| json!({"type": "send", "internal_id": "api-7", "to": "web-1a2b", "text": "z", "id": id, "seq": 1});
    assert_eq!(End::says(&door, &line("n1"))["data"]["duplicate"], false);
    assert_eq!(End::says(&door, &line("n1"))["data"]["duplicate"], true);
    assert_eq!(web.inbox().len(), 2);
}

#[test]
fn who_subscribed_gets_what_waits_and_what_comes_in_order() {
    let world = World::new();
    let [api, web] = world.both();
    api.send("project:web", "0").unwrap();
    let mut client = web.client();
    let waiting: Subscribed = client.ask(&Request::Subscribe(Subscribe {})).unwrap();
    assert_eq!(waiting.waiting, 1);
    for text in ["1", "2", "3"] {
        api.send("project:web", text).unwrap();
    }
    let got: Vec<String> = (0..4).map(|_| client.next(Some(PATIENCE)).unwrap().unwrap().text).collect();
    assert_eq!(got, ["0", "1", "2", "3"]);
}

#[test]
fn a_full_inbox_refuses_until_some_of_it_was_read() {
    let world = World::new();
    let mut plan = world.plan(1);
    plan.limits.waiting = 2;
    let (api, web) = (End::start(world.plan(0)), End::start(plan));
    let first = api.send("project:web", "1").unwrap();
    api.send("project:web", "2").unwrap();
    assert_eq!(reason(api.send("project:web", "3")), Reason::Quota);
    let _: Acked = web.client().ask(&Request::Ack(Ack { ids: vec![first.id, "m0".parse().unwrap()] })).unwrap();
    api.send("project:web", "3").unwrap();
    assert_eq!(web.inbox().len(), 2);
}

#[test]
fn an_end_has_one_holder_and_the_next_one_takes_what_a_crash_left() {
    let world = World::new();
    let first = End::start(world.plan(0));
    let mut plan = world.plan(0);
    plan.directory = world.0.path().join("run/direct/second");
    let second = End::start(plan);
    assert!(second.held.pairs.is_empty() && second.held.left_out[0].why.contains("another sandbox"));
    assert!(!second.inside().exists());
    drop(second);
    let (inside, own) = (first.inside(), first.plan.pairs[0].own.join("sock"));
    drop(first);
    assert!(!inside.exists() && !own.exists());
    drop(UnixListener::bind(&own).unwrap());
    let again = End::start(world.plan(0));
    assert_eq!(again.held.pairs.len(), 1, "{:?}", again.held);
}

#[test]
fn what_passed_is_on_record_at_both_ends_and_a_flood_of_refusals_is_a_few_entries() {
    let world = World::new();
    let [api, web] = world.both();
    let sent = api.send("project:web", "hello").unwrap();
    let _: Acked = web.client().ask(&Request::Ack(Ack { ids: vec![sent.id.clone()] })).unwrap();
    for _ in 0..50 {
        let _ = refusal(api.send("project:other", "x"));
    }
    let accepted = |event: &Event| matches!(event, Event::Accepted { message, .. } if message.id == sent.id);
    let of = |end: &End, is: &dyn Fn(&Event) -> bool| end.entries().iter().filter(|event| is(event)).count();
    assert_eq!((of(&api, &accepted), of(&web, &accepted)), (1, 1));
    let told = |ids: &[MessageId]| ids == [sent.id.clone()];
    assert_eq!(of(&api, &|event| matches!(event, Event::Delivered { ids, .. } if told(ids))), 1);
    assert_eq!(of(&web, &|event| matches!(event, Event::Read { ids, .. } if told(ids))), 1);
    assert_eq!(of(&api, &|event| matches!(event, Event::Refused { .. })), 10);
    for end in [&api, &web] {
        let report = verify::<crate::relay::event::Event>(&end.plan.pairs[0].audit, None).unwrap();
        assert!(report.faults.is_empty() && report.entries > 2, "{:?}", report.faults);
    }
}
