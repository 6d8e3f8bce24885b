//! Two sandboxes' ends, each on a thread of its own, and clients that write what they like.

use super::hold::{self, Held};
use super::plan::{Limits, Paired, Plan};
use crate::relay::client::{Client, ClientError};
use crate::relay::event::Event;
use crate::relay::journal::{Directory, Entries, Found, verify};
use crate::relay::name::MessageId;
use crate::relay::policy::Policy;
use crate::relay::wire::answer::{Acked, Listed, Sent, Sessions, Subscribed};
use crate::relay::wire::{Ack, Inbox, Kind, Message, Query, Question, Reason, Refusal, Request, Send, Subscribe};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Write};
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
struct End {
    plan: Plan,
    held: Held,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl End {
    fn start(plan: Plan) -> Self {
        std::fs::create_dir_all(&plan.directory).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let theirs = plan.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let (held, core) = hold::hold(theirs).await.unwrap();
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

    fn inside(&self) -> PathBuf {
        self.plan.directory.join("sock")
    }

    fn client(&self) -> Client {
        Client::connect(&self.inside()).unwrap()
    }

    fn send(&self, to: &str, text: &str) -> Result<Sent, ClientError> {
        self.client().ask(&Request::Send(Send::new(to.parse().unwrap(), Kind::Message, text.into())))
    }

    fn inbox(&self) -> Vec<Message> {
        let listed: Listed =
            self.client().ask(&Request::Inbox(Inbox { limit: None, after: None, all: false })).unwrap();
        listed.messages.into_iter().map(|letter| letter.message).collect()
    }

    /// What a program says that knows nothing of rcc, on any socket, and what it is told.
    fn says(path: &Path, line: &Value) -> Value {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn entries(&self) -> Vec<Event> {
        entries(&self.plan.pairs[0].audit)
    }
}

fn entries(audit: &Path) -> Vec<Event> {
    let directory = Directory::open(audit).unwrap();
    let entry = |found: std::io::Result<Found>| match found.unwrap() {
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
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn plan(&self, end: usize) -> Plan {
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

    fn both(&self) -> [End; 2] {
        [0, 1].map(|end| End::start(self.plan(end)))
    }
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Refusal {
    match answer.unwrap_err() {
        ClientError::Refused { refusal } => refusal,
        other => panic!("{other}"),
    }
}

fn reason<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Reason {
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
fn nothing_that_a_client_writes_makes_it_somebody_else() {
    let world = World::new();
    let [api, web] = world.both();
    let pose = json!({"type": "send", "internal_id": "web-1a2b", "to": "web-1a2b", "text": "x"});
    assert_eq!(End::says(&api.inside(), &pose)["reason"], "unauthenticated");
    let pose = json!({"type": "send", "from": "web-1a2b", "to": "web-1a2b", "text": "x"});
    assert_eq!(End::says(&api.inside(), &pose)["reason"], "malformed");
    for other in ["open", "close", "stop", "link", "carry"] {
        let asked = json!({"type": other, "session": "x", "root": "/", "project": "x", "home": "/"});
        let reason = &End::says(&api.inside(), &asked)["reason"];
        assert!(reason == "not-allowed" || reason == "malformed", "{other}: {reason}");
    }
    assert!(web.inbox().is_empty());
}

#[test]
fn the_other_end_is_believed_what_can_be_checked_and_nothing_else() {
    let world = World::new();
    let [api, web] = world.both();
    // What an end of another user's could say, past its own process.
    let door = web.plan.pairs[0].own.join("sock");
    let said = |from: &str, more: Value| {
        let mut line =
            json!({"type": "send", "internal_id": from, "to": "web-1a2b", "text": "x", "id": "m1", "seq": 1});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        End::says(&door, &line)["reason"].clone()
    };
    for from in ["user.1000", "other-1a2b", "web-1a2b", "api", "apixyz-1"] {
        assert_eq!(said(from, json!({})), "unauthenticated", "{from}");
    }
    assert_eq!(End::says(&door, &json!({"type": "register"}))["reason"], "unauthenticated");
    for (more, why) in [
        (json!({"kind": "eval"}), "not-allowed"),
        (json!({"kind": "command"}), "not-allowed"),
        (json!({"to": "web-2222"}), "no-recipient"),
        (json!({"to": "project:web"}), "no-recipient"),
        (json!({"seq": null}), "malformed"),
        (json!({"text": "x".repeat((1 << 20) + 1)}), "too-large"),
    ] {
        assert_eq!(said("api-1a2b", more), why);
    }
    for asked in ["inbox", "subscribe", "heartbeat"] {
        let answer = End::says(&door, &json!({"type": asked, "internal_id": "api-1a2b"}));
        assert_eq!(answer["reason"], "not-allowed", "{asked}");
    }
    assert!(web.inbox().is_empty());
    // The text is cleaned here, too, and no id is the one that was said.
    assert_eq!(said("api-9999", json!({"text": "\u{1b}]52;c;x\u{7} /home/bob/x"})), Value::Null);
    let [message] = &web.inbox()[..] else { panic!("one message") };
    assert_eq!(message.text, "\\u{1b}]52;c;x\\u{7} [HOME]/x");
    assert_ne!(message.id.as_str(), "m1");
    assert_eq!(said("api-9999", json!({"id": "m2"})), "replayed", "a number is used once");
    drop(api);
}

#[test]
fn a_link_in_the_place_of_the_other_end_leads_to_nobody() {
    let world = World::new();
    let mut plan = world.plan(0);
    // The other end is somebody else's, who points to a socket of ours.
    plan.pairs[0].peer_uid = 12_345;
    plan.pairs[0].own = world.0.path().join("made");
    std::fs::create_dir_all(&plan.pairs[0].own).unwrap();
    let ours = world.0.path().join("agent.sock");
    let listener = UnixListener::bind(&ours).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::fs::create_dir_all(&plan.pairs[0].peer).unwrap();
    std::os::unix::fs::symlink(&ours, plan.pairs[0].peer.join("sock")).unwrap();
    let api = End::start(plan);
    assert_eq!(reason(api.send("project:web", "x")), Reason::NoRecipient);
    // It was connected to, and not told a byte.
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(std::io::Read::read(&mut stream, &mut [0; 64]).unwrap(), 0);
    // And whoever is not that somebody is not heard.
    let answer = End::says(&api.plan.pairs[0].own.join("sock"), &json!({"type": "register", "internal_id": "web-1"}));
    assert_eq!(answer["reason"], "unauthenticated");
}

#[test]
fn an_end_that_root_did_not_make_or_that_others_can_write_is_not_held() {
    let world = World::new();
    let mut plan = world.plan(0);
    plan.pairs[0].peer_uid = 12_345;
    let absent = End::start(plan.clone());
    assert!(absent.held.left_out[0].why.contains("`sudo rcc init` makes it"), "{:?}", absent.held);
    std::fs::create_dir_all(&plan.pairs[0].own).unwrap();
    std::fs::set_permissions(&plan.pairs[0].own, std::os::unix::fs::PermissionsExt::from_mode(0o770)).unwrap();
    let open = End::start(plan);
    assert!(open.held.left_out[0].why.contains("nobody else can write"), "{:?}", open.held);
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
fn a_flood_of_connections_and_unfinished_lines_leaves_room_for_the_others() {
    let world = World::new();
    let mut plan = world.plan(0);
    plan.limits.message_size = 1 << 10;
    let limit = plan.line_max();
    let (api, web) = (End::start(plan), End::start(world.plan(1)));
    let mut long = UnixStream::connect(api.inside()).unwrap();
    let _ = long.write_all(&vec![b'x'; limit + 1]);
    let mut told = String::new();
    BufReader::new(&long).read_line(&mut told).unwrap();
    assert!(told.contains("too-large"), "{told}");
    // Each within its bound, all of them not.
    let mut open: Vec<UnixStream> = Vec::new();
    for _ in 0..8 {
        let mut stream = UnixStream::connect(api.inside()).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&vec![b'x'; limit / 2]);
        open.push(stream);
    }
    let closed = |stream: &UnixStream| {
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut told = String::new();
        match BufReader::new(stream).read_line(&mut told) {
            Ok(_) => told.is_empty() || told.contains("unfinished lines"),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    };
    assert!(open.iter().filter(|stream| closed(stream)).count() >= 4);
    open.clear();
    let idle: Vec<_> = (0..40).map(|_| UnixStream::connect(api.inside()).unwrap()).collect();
    let turned_away = |stream: &UnixStream| {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut told = String::new();
        BufReader::new(stream).read_line(&mut told).is_ok_and(|_| told.contains("quota"))
    };
    assert!(idle.iter().filter(|stream| turned_away(stream)).count() >= 8);
    drop(idle);
    let sent = (0..50).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        api.send("project:web", "still").ok()
    });
    assert!(sent.is_some() && web.inbox().len() == 1);
}

#[test]
fn no_line_that_can_be_written_ends_the_process() {
    let world = World::new();
    let [api, web] = world.both();
    for path in [api.inside(), web.plan.pairs[0].own.join("sock")] {
        for line in [
            &b"\0\xff\n"[..],
            b"[]\n",
            b"{}\n",
            b"{\"type\":\"send\"}\n",
            b"\n",
            b"{\"type\":\"query\",\"query\":\"status\"}\n",
        ] {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(line).unwrap();
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer).unwrap();
            assert!(answer.contains("\"reason\""), "{answer}");
        }
    }
    api.send("project:web", "x").unwrap();
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
        let report = verify(&end.plan.pairs[0].audit, None).unwrap();
        assert!(report.faults.is_empty() && report.entries > 2, "{:?}", report.faults);
    }
}

#[test]
fn refusals_that_were_only_counted_are_on_record_at_the_end() {
    let world = World::new();
    let api = End::start(world.plan(0));
    (0..50).for_each(|_| drop(refusal(api.send("project:other", "x"))));
    let audit = api.plan.pairs[0].audit.clone();
    drop(api);
    let refused = |event: Event| if let Event::Refused { count, .. } = event { count } else { 0 };
    assert_eq!(entries(&audit).into_iter().map(refused).sum::<u64>(), 50);
}

#[test]
fn without_an_audit_an_end_is_not_held() {
    let world = World::new();
    let plan = world.plan(0);
    let elsewhere = world.0.path().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::create_dir_all(plan.pairs[0].audit.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &plan.pairs[0].audit).unwrap();
    let api = End::start(plan);
    assert!(api.held.pairs.is_empty() && api.held.left_out[0].why.contains("cannot open"), "{:?}", api.held);
    assert_eq!(std::fs::read_dir(elsewhere).unwrap().count(), 0);
}
