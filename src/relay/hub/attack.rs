//! What a hostile session, or a hostile user of the host, tries on the hub.

use super::super::commit::{Outcome, Remains};
use super::super::event::Event;
use super::super::name::SessionName;
use super::super::policy::{Limits, Policy};
use super::super::wire::{self, Reason};
use super::{Answer, Ask, Connection, Door, Effect, Hub, Now, Own};
use crate::moment::Moment;
use serde_json::{Value, json};
use std::time::Duration;

const UID: u32 = 1000;
/// The connection of the person.
const PERSON: Connection = 1;

/// A hub, and the time. What it wants done is kept, so that several things can be on their way at once.
struct World {
    hub: Hub,
    ticks: u64,
    /// What the disk says.
    disk: Outcome,
    connections: Connection,
    written: Vec<(Connection, Value)>,
    pauses: Vec<Duration>,
    events: Vec<Event>,
    pages: usize,
    listened: Vec<SessionName>,
}

impl World {
    fn new(limits: Limits) -> Self {
        let policy = Policy { limits, ..Policy::default() };
        let own = Own {
            uid: UID,
            system: false,
            worktables: true,
            started: Moment(0),
            audit: "/state/audit".into(),
            mended: Vec::new(),
        };
        let now = Now { moment: Moment(1_700_000_000_000), ticks: 0 };
        let mut world = Self {
            hub: Hub::new(own, policy, Remains::default(), now),
            ticks: 0,
            disk: Outcome::Done,
            connections: 0,
            written: Vec::new(),
            pauses: Vec::new(),
            events: Vec::new(),
            pages: 0,
            listened: Vec::new(),
        };
        assert_eq!(world.connect(Door::Shared { uid: UID, user: "alice".into() }), PERSON);
        world
    }

    fn now(&self) -> Now {
        Now { moment: Moment(1_700_000_000_000 + self.ticks), ticks: self.ticks }
    }

    fn connect(&mut self, door: Door) -> Connection {
        self.connections += 1;
        self.hub.connected(self.connections, door, self.now()).unwrap();
        self.connections
    }

    fn say(&mut self, connection: Connection, request: Value) {
        let said = wire::parse(request.to_string().as_bytes());
        self.hub.request(connection, said, self.now());
    }

    /// Does what the hub wants done, until it wants nothing more.
    fn settle(&mut self) {
        loop {
            let effects = self.hub.effects();
            if effects.is_empty() {
                return;
            }
            effects.into_iter().for_each(|effect| self.perform(effect));
        }
    }

    fn perform(&mut self, effect: Effect) {
        let now = self.now();
        match effect {
            Effect::Write(connection, reply) => {
                self.written.push((connection, serde_json::to_value(reply).unwrap()));
            }
            Effect::Pause(_, time) => self.pauses.push(time),
            Effect::Commit(commit) => {
                if self.disk == Outcome::Done {
                    self.events.extend(commit.events);
                }
                if let Some(token) = commit.token {
                    self.hub.outcome(token, self.disk.clone(), now);
                }
            }
            Effect::Ask(token, ask) => {
                let answer = match ask {
                    Ask::Inbox { .. } => {
                        self.pages += 1;
                        Answer::Inbox(Vec::new(), false)
                    }
                    Ask::Waiting { .. } | Ask::Whole(_) => Answer::Waiting(Vec::new()),
                    Ask::Expired(_) => Answer::Expired(Vec::new()),
                    Ask::Message { .. } => Answer::Message(None),
                    Ask::Received { .. } => Answer::Received(None),
                    Ask::Journal | Ask::Document(_) => Answer::Journal(0),
                };
                self.hub.answered(token, answer, now);
            }
            Effect::Listen(session) => {
                self.hub.listening(
                    &session,
                    Ok(super::Made { directory: "/run/s".into(), lease: "/run/l".into(), groups: Vec::new() }),
                );
                self.listened.push(session);
            }
            _ => {}
        }
    }

    /// The answer, without anything else on the way.
    fn ask(&mut self, connection: Connection, request: Value) -> Value {
        self.settle();
        self.written.clear();
        self.say(connection, request);
        self.settle();
        self.written.iter().rfind(|(to, _)| *to == connection).map(|(_, answer)| answer.clone()).expect("an answer")
    }

    fn reasons(&mut self) -> Vec<Option<String>> {
        self.settle();
        let reason = |(_, answer): (Connection, Value)| answer["reason"].as_str().map(str::to_owned);
        std::mem::take(&mut self.written).into_iter().map(reason).collect()
    }

    /// A sandbox's session in a project, and a connection of it.
    fn session(&mut self, name: &str, project: &str) -> Connection {
        let root = format!("/home/alice/{name}");
        let opened = self.ask(PERSON, open(name, project, &root));
        assert_eq!(opened["data"]["session"], name, "{opened}");
        self.connect(Door::Session(name.parse().unwrap()))
    }

    fn pass(&mut self, time: Duration) {
        self.ticks += time.as_millis() as u64;
        let now = self.now();
        self.hub.tick(now, |_| false);
        self.settle();
    }

    fn count(&self, of: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| of(event)).count()
    }
}

fn open(name: &str, project: &str, root: &str) -> Value {
    json!({"type": "open", "session": name, "root": root, "project": project, "home": "/home/alice"})
}

fn minutely(text: &str) -> Value {
    json!({"type": "schedule", "to": "user", "text": text, "every": "* * * * *"})
}

fn full_disk() -> Outcome {
    Outcome::Refused(wire::Refusal::new(Reason::Storage, "the disk is full"))
}

fn accepted(event: &Event) -> bool {
    matches!(event, Event::Accepted { .. })
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn schedules_that_are_on_their_way_to_the_disk_count_as_well() {
    let mut world = World::new(Limits { schedules: 10, ..Limits::default() });
    let api = world.session("api-1", "api");
    world.reasons();
    (0..20).for_each(|_| world.say(api, minutely("x")));
    let refused = world.reasons().into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(refused, ["quota"; 10]);
}

#[test]
fn one_id_is_one_schedule_although_the_first_is_not_on_disk_yet() {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    world.reasons();
    let named = json!({"type": "schedule", "to": "user", "text": "x", "in": "1h", "id": "mine"});
    (0..2).for_each(|_| world.say(api, named.clone()));
    assert_eq!(world.reasons().into_iter().flatten().collect::<Vec<_>>(), ["replayed"]);
}

#[test]
fn whoever_schedules_and_cancels_for_ever_writes_no_more_than_the_rate() {
    let mut world = World::new(Limits { rate: 1, burst: 5, ..Limits::default() });
    let api = world.session("api-1", "api");
    for _ in 0..50 {
        let id = world.ask(api, minutely("x"))["data"]["id"].clone();
        if id.is_string() {
            world.ask(api, json!({"type": "cancel", "id": id}));
        }
    }
    assert_eq!(world.count(|event| matches!(event, Event::Scheduled(_))), 5);
}

#[test]
fn the_texts_of_a_sessions_schedules_have_a_ceiling() {
    let mut world = World::new(Limits { message_size: 1000, ..Limits::default() });
    let api = world.session("api-1", "api");
    let long = "x".repeat(1000);
    let taken = (0..20).filter(|_| world.ask(api, minutely(&long)).get("error").is_none()).count();
    assert_eq!(taken, 8);
}

#[test]
fn a_list_of_schedules_does_not_repeat_every_long_text() {
    let mut world = World::new(Limits::default());
    for name in ["a-1", "b-1", "c-1"] {
        let session = world.session(name, name);
        (0..8).for_each(|_| drop(world.ask(session, minutely(&"ä".repeat(400_000)))));
    }
    let listed = world.ask(PERSON, json!({"type": "query", "query": "reload_schedule"}));
    let schedules = listed["data"]["schedules"].as_array().unwrap();
    assert_eq!(schedules.len(), 24);
    assert!(schedules.iter().all(|schedule| schedule["text"].as_str().unwrap().ends_with('…')));
    assert!(listed.to_string().len() < 2 << 20);
}

#[test]
fn a_schedule_of_a_session_that_has_ended_does_not_go_on_for_ever() {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    world.settle();
    // Its end overtakes it on the way to the disk.
    world.say(api, minutely("x"));
    let on_its_way = world.hub.effects();
    world.say(PERSON, json!({"type": "close", "session": "api-1"}));
    world.settle();
    on_its_way.into_iter().for_each(|effect| world.perform(effect));
    (0..5).for_each(|_| world.pass(2 * MINUTE));
    assert_eq!(world.count(|event| matches!(event, Event::Refused { .. })), 1);
    assert_eq!(world.hub.first_due(), None);
}

#[test]
fn what_was_due_while_the_disk_was_full_is_sent_when_it_is_not() {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    world.ask(api, json!({"type": "schedule", "to": "user", "text": "once", "in": "1m"}));
    world.disk = full_disk();
    world.pass(2 * MINUTE);
    assert_eq!(world.count(accepted), 0);
    world.disk = Outcome::Done;
    world.pass(MINUTE);
    assert_eq!(world.count(accepted), 1);
    world.pass(MINUTE);
    assert_eq!(world.count(accepted), 1);
    let left = world.hub.waiting.values().map(|waiting| waiting.messages).sum::<u32>();
    assert_eq!(left, 1, "what was not written is not counted");
}

#[test]
fn schedules_keep_to_the_rate_and_none_is_lost() {
    let mut world = World::new(Limits { rate: 10, burst: 10, ..Limits::default() });
    let api = world.session("api-1", "api");
    for _ in 0..10 {
        world.ask(api, json!({"type": "schedule", "to": "user", "text": "x", "in": "1s"}));
    }
    world.pass(Duration::from_secs(6));
    assert_eq!(world.count(accepted), 1);
    (0..60).for_each(|_| world.pass(Duration::from_secs(2)));
    assert_eq!(world.count(accepted), 10);
}

#[test]
fn whoever_subscribes_again_and_again_gets_one_page_at_a_time() {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    world.settle();
    (0..1000).for_each(|_| world.say(api, json!({"type": "subscribe"})));
    let asked = world.hub.effects().into_iter().filter(|effect| matches!(effect, Effect::Ask(..))).count();
    assert_eq!(asked, 1);
}

#[test]
fn a_page_for_one_session_does_not_go_to_the_one_that_the_connection_became() {
    let mut world = World::new(Limits::default());
    let client = world.connect(Door::Shared { uid: UID, user: "alice".into() });
    world.say(client, json!({"type": "subscribe"}));
    let on_its_way = world.hub.effects();
    world.ask(client, json!({"type": "register", "name": "tool"}));
    world.ask(client, json!({"type": "subscribe"}));
    let letter = json!({
        "id": "m1", "from": {"session": "a-1", "user": "alice", "uid": UID}, "to": "user", "kind": "message",
        "text": "for the person", "seq": 1, "accepted": 1, "expires": 2,
    });
    for effect in on_its_way {
        if let Effect::Ask(token, Ask::Inbox { .. }) = effect {
            let page = vec![serde_json::from_value(letter.clone()).unwrap()];
            world.hub.answered(token, Answer::Inbox(page, false), world.now());
        }
    }
    assert!(!world.hub.effects().iter().any(|effect| matches!(effect, Effect::Push(..))));
}

/// How many of these requests are taken from one connection before it has to wait for the disk.
fn taken(request: impl Fn(usize) -> Value) -> usize {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    world.settle();
    let mut count = 0;
    while !world.hub.is_busy(api) && count < 1000 {
        world.say(api, request(count));
        count += 1;
    }
    count
}

#[test]
fn what_waits_for_the_disk_is_charged_with_all_the_memory_that_it_takes() {
    assert!(taken(|_| json!({"type": "inbox"})) <= 8, "each answer is a page");
    let ids = |count: usize| (0..1000).map(move |number| format!("m{count}.{number}")).collect::<Vec<_>>();
    assert!(taken(|count| json!({"type": "ack", "ids": ids(count)})) <= 20);
    let zeros = vec![0; 500_000];
    assert!(taken(|_| json!({"type": "response", "reply_to": "m1", "data": zeros})) <= 10);
}

#[test]
fn all_connections_of_a_session_together_have_so_much_on_their_way() {
    let mut world = World::new(Limits::default());
    let first = world.session("api-1", "api");
    let second = world.connect(Door::Session("api-1".parse().unwrap()));
    let other = world.session("web-1", "web");
    world.settle();
    while !world.hub.is_busy(first) {
        world.say(first, json!({"type": "inbox"}));
    }
    assert!(world.hub.is_busy(second));
    assert!(!world.hub.is_busy(other));
    world.settle();
    assert!(!world.hub.is_busy(first) && !world.hub.is_busy(second));
}

#[test]
fn many_connections_ask_no_more_often_than_one() {
    let mut world = World::new(Limits::default());
    world.session("api-1", "api");
    let clients: Vec<Connection> = (0..30).map(|_| world.connect(Door::Session("api-1".parse().unwrap()))).collect();
    (0..5_000).for_each(|_| world.say(clients[0], json!({"type": "heartbeat"})));
    world.settle();
    world.pauses.clear();
    for client in clients {
        world.say(client, json!({"type": "heartbeat"}));
    }
    world.settle();
    // Each waits until its own turn, rather than all of them for the same moment.
    assert_eq!(world.pauses.len(), 30);
    assert_eq!(world.pauses.last(), Some(&Duration::from_millis(30)));
}

#[test]
fn a_request_that_costs_much_counts_as_much() {
    let paused = |request: Value, count: usize| {
        let mut world = World::new(Limits::default());
        let api = world.session("api-1", "api");
        (0..count).for_each(|_| world.say(api, request.clone()));
        world.settle();
        !world.pauses.is_empty()
    };
    assert!(!paused(json!({"type": "heartbeat"}), 1000));
    assert!(paused(json!({"type": "inbox"}), 1000));
}

#[test]
fn who_has_ended_says_nothing_more() {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    world.ask(PERSON, json!({"type": "close", "session": "api-1"}));
    // Its connection is there as long as it does not read what waits for it.
    world.say(api, json!({"type": "send", "to": "user", "text": "still here"}));
    world.say(api, minutely("still here"));
    world.settle();
    assert_eq!(world.count(accepted), 0);
    assert_eq!(world.hub.first_due(), None);
}

#[test]
fn a_session_that_is_closed_before_it_is_open_leaves_no_socket() {
    let mut world = World::new(Limits::default());
    world.settle();
    world.say(PERSON, open("api-1", "api", "/home/alice/api"));
    world.say(PERSON, json!({"type": "close", "session": "api-1"}));
    world.settle();
    assert!(world.listened.is_empty());
    let refused = world.written.iter().filter(|(_, answer)| answer.get("error").is_some()).count();
    assert_eq!(refused, 1, "{:?}", world.written);
}

#[test]
fn what_a_client_says_of_itself_goes_to_the_disk_at_the_rate_of_messages() {
    let mut world = World::new(Limits { rate: 1, burst: 10, ..Limits::default() });
    let api = world.session("api-1", "api");
    for number in 0..50 {
        world.ask(api, json!({"type": "associate", "session_id": format!("s{number}")}));
        world.ask(api, json!({"type": "register", "name": format!("n{number}")}));
        world.ask(api, json!({"type": "associate", "session_id": format!("s{number}")}));
    }
    assert_eq!(world.count(|event| matches!(event, Event::Met { .. })), 10);
}

#[test]
fn no_number_is_so_high_that_none_could_follow() {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    let send = |seq: u64| json!({"type": "send", "to": "user", "text": "x", "seq": seq});
    for seq in [u64::MAX, u64::MAX - 1, i64::MAX as u64 + 1, i64::MAX as u64] {
        assert_eq!(world.ask(api, send(seq))["reason"], "malformed", "{seq}");
    }
    world.ask(api, send(i64::MAX as u64 - (1 << 32) - 1));
    for _ in 0..3 {
        assert!(world.ask(api, json!({"type": "send", "to": "user", "text": "x"}))["data"].is_object());
    }
}

#[test]
fn a_project_is_reached_by_its_whole_name_whoever_else_has_one_that_begins_so() {
    let mut world = World::new(Limits::default());
    world.session("api-1", "api");
    world.session("api-2", "api");
    let web = world.session("web-1", "web");
    let send = json!({"type": "send", "to": "project:api", "text": "x"});
    assert_eq!(world.ask(web, send)["data"]["recipients"], 1);
    let to = |event: &Event| match event {
        Event::Accepted { mailboxes, .. } => Some(format!("{mailboxes:?}")),
        _ => None,
    };
    let to: Vec<String> = world.events.iter().filter_map(to).collect();
    assert!(to[0].contains("api-1"), "{to:?}");
}

#[test]
fn sessions_that_have_ended_are_remembered_within_bounds_and_not_for_ever() {
    let mut world = World::new(Limits { sessions: 2, rate: 1_000_000, burst: 1_000_000, ..Limits::default() });
    let cycle = |world: &mut World, number: usize| {
        let opened = world.ask(PERSON, open(&format!("s-{number}"), "p", "/home/alice/p"));
        let name = opened["data"]["session"].clone();
        world.ask(PERSON, json!({"type": "close", "session": name}));
        opened["reason"].clone()
    };
    let refused = (0..300).find(|number| cycle(&mut world, *number) == "quota");
    assert_eq!(refused, Some(200));
    world.pass(Duration::from_secs(40 * 24 * 3600));
    assert_eq!(cycle(&mut world, 300), Value::Null);
}

#[test]
fn who_could_not_be_registered_is_not_left_without_an_answer() {
    let mut world = World::new(Limits::default());
    let client = world.connect(Door::Shared { uid: UID, user: "alice".into() });
    world.settle();
    world.disk = full_disk();
    world.say(client, json!({"type": "register", "name": "tool"}));
    let on_its_way = world.hub.effects();
    let mut closed = false;
    for effect in on_its_way {
        world.perform(effect);
        closed |= world.hub.effects().iter().any(|effect| matches!(effect, Effect::Close(of) if *of == client));
    }
    assert!(closed);
}

#[test]
fn a_clock_that_is_set_neither_ends_a_new_session_nor_keeps_one_whose_sandbox_is_gone() {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    world.hub.disconnected(api, world.now());
    let year = 365 * 24 * 3600 * 1000;
    for (moment, ticks, ended) in [(year, 11_000, 0), (0, 22_000, 0), (0, 44_000, 1)] {
        world.ticks = ticks;
        let moment = Moment(1_700_000_000_000 - year / 2 + moment);
        world.hub.tick(Now { moment, ticks }, |_| true);
        world.settle();
        assert_eq!(world.count(|event| matches!(event, Event::Closed { .. })), ended);
    }
}

#[test]
fn what_a_session_calls_itself_does_nothing_to_a_terminal() {
    let mut world = World::new(Limits::default());
    let api = world.session("api-1", "api");
    world.ask(api, json!({"type": "register", "name": "a\u{1b}]52;c;eA==\u{7}\nb\u{202e}"}));
    world.ask(api, json!({"type": "heartbeat", "data": {"model": "m\u{9b}2J"}}));
    let wrong = json!({"type": "associate", "session_id": "x\u{1b}[2J"});
    assert_eq!(world.ask(api, wrong)["reason"], "malformed");
    let shown = world.hub.shown(&"api-1".parse().unwrap(), world.now().moment).unwrap();
    let texts = [shown.title.unwrap(), shown.figures.unwrap().model.unwrap()];
    assert!(!texts.iter().any(|text| text.contains(crate::shown::is_unseen)), "{texts:?}");
    assert_eq!(shown.client_id, None);
}
