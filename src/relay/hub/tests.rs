//! The hub while the host's clock is set: time is what the test says, and the disk takes everything at once.

use super::*;
use crate::moment::Moment;
use crate::relay::commit::Commit;
use crate::relay::store::Debt;
use crate::relay::wire::parse;
use serde_json::{Value, json};

const UID: u32 = 1000;
const SECOND: u64 = 1000;
const DAY: u64 = 24 * 3600 * SECOND;
/// When it begins.
const BEGIN: u64 = 20_000 * DAY;
const A: Connection = 1;
const B: Connection = 2;

/// A hub with the sessions `a-1` and `b-1`, each of which is a connection.
struct Desk {
    hub: Hub,
    now: Now,
    /// What was written to connections.
    written: Vec<(Connection, Value)>,
    /// What was committed.
    events: Vec<Event>,
}

impl Desk {
    fn new() -> Self {
        let now = Now { moment: Moment(BEGIN), ticks: 0 };
        let own = Own {
            uid: UID,
            system: false,
            started: now.moment,
            audit: "/state/audit".into(),
            worktables: false,
            mended: Vec::new(),
        };
        let hub = Hub::new(own, Policy::default(), Remains::default(), now);
        let mut desk = Self { hub, now, written: Vec::new(), events: Vec::new() };
        desk.hub.connected(0, Door::Shared { uid: UID, user: "al".into() }, now).unwrap();
        for (connection, name) in [(A, "a-1"), (B, "b-1")] {
            desk.say(0, json!({"type": "open", "session": name, "root": "/p", "project": "p", "home": "/h"}));
            desk.hub.connected(connection, Door::Session(name.parse().unwrap()), now).unwrap();
        }
        desk
    }

    /// Says it, and does all that comes of it.
    fn say(&mut self, connection: Connection, request: Value) -> Value {
        self.hub.request(connection, parse(request.to_string().as_bytes()), self.now);
        self.act();
        let answer = self.written.iter().rev().find(|(to, line)| *to == connection && line["type"] == "response");
        answer.expect("an answer").1.clone()
    }

    fn act(&mut self) {
        loop {
            let effects = self.hub.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Write(to, reply) => self.written.push((to, serde_json::to_value(reply).unwrap())),
                    Effect::Push(to, line) => self.written.push((to, serde_json::from_slice(&line).unwrap())),
                    Effect::Commit(Commit { token, events, .. }) => {
                        self.events.extend(events);
                        if let Some(token) = token {
                            self.hub.outcome(token, Outcome::Done, self.now);
                        }
                    }
                    Effect::Ask(token, ask) => {
                        let answer = self.look(ask);
                        self.hub.answered(token, answer, self.now);
                    }
                    Effect::Listen(session) => self.hub.listening(
                        &session,
                        Ok(super::Made { directory: "/run/s".into(), lease: "/run/l".into(), groups: Vec::new() }),
                    ),
                    _ => {}
                }
            }
        }
    }

    /// The store's answer, as far as it is asked something here: every message that was accepted waits.
    fn look(&self, ask: Ask) -> Answer {
        let mut accepted = self.events.iter().filter_map(|event| match event {
            Event::Accepted { message, mailboxes, .. } => Some((message, mailboxes)),
            _ => None,
        });
        match ask {
            Ask::Inbox { .. } => Answer::Inbox(Vec::new(), false),
            Ask::Expired(now) => {
                let gone = |id: &MessageId| {
                    self.events.iter().any(|event| matches!(event, Event::Expired { ids } if ids.contains(id)))
                };
                let over = accepted.filter(|(message, _)| message.expires <= now && !gone(&message.id));
                let debt = |message: &crate::relay::wire::Message| Debt {
                    id: message.id.clone(),
                    sender: message.from.session.clone(),
                    host: None,
                    bytes: message.text.len() as u64,
                };
                Answer::Expired(over.map(|(message, mailboxes)| (debt(message), mailboxes[0].clone())).collect())
            }
            Ask::Received { mailbox, id } => {
                let found = accepted.rfind(|(message, to)| message.id == id && to.contains(&mailbox));
                Answer::Received(found.map(|(message, _)| message.from.clone()))
            }
            _ => Answer::Waiting(Vec::new()),
        }
    }

    /// So much time passes, and the clock says `moment`; how long nothing will be due.
    fn pass(&mut self, time: u64, moment: u64) -> Duration {
        self.now = Now { moment: Moment(moment), ticks: self.now.ticks + time };
        let quiet = self.hub.tick(self.now, |_| false);
        self.act();
        quiet
    }

    fn send(&mut self, more: Value) -> Value {
        let mut send = json!({"type": "send", "to": "b-1", "text": "x"});
        send.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.say(A, send)
    }

    fn expired(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Expired { .. })).count()
    }

    fn came(&self, text: &str) -> usize {
        self.written.iter().filter(|(to, line)| *to == B && line["text"] == text).count()
    }
}

#[test]
fn a_clock_that_goes_back_stops_nobody() {
    let mut desk = Desk::new();
    desk.say(B, json!({"type": "subscribe"}));
    assert_eq!(desk.send(json!({}))["data"]["seq"], 1);
    desk.pass(SECOND, BEGIN - 3 * DAY);
    let second = desk.send(json!({}));
    assert_eq!((&second["data"]["seq"], &second["data"]["accepted"]), (&json!(2), &json!(BEGIN - 3 * DAY)));
    assert_eq!(desk.came("x"), 2);
    // Who is there is there, and nobody is ended for having been heard of in the future.
    let seen = desk.say(A, json!({"type": "query", "query": "list_sessions"}));
    let states = seen["data"]["sessions"].as_array().unwrap().iter().map(|session| session["state"].as_str().unwrap());
    assert!(states.eq(["here", "here"]), "{seen}");
    desk.pass(60 * SECOND, BEGIN - 3 * DAY + 60 * SECOND);
    assert!(!desk.events.iter().any(|event| matches!(event, Event::Closed { .. })));
}

#[test]
fn the_rate_is_counted_by_time_that_passes_and_not_by_the_clock() {
    let mut desk = Desk::new();
    let burst = Policy::default().limits.burst;
    (0..burst).for_each(|_| assert!(desk.send(json!({})).get("error").is_none()));
    for moment in [BEGIN - DAY, BEGIN + 300 * DAY] {
        desk.now.moment = Moment(moment);
        assert_eq!(desk.send(json!({}))["reason"], "rate-limited");
    }
    desk.pass(60 * SECOND, BEGIN - DAY);
    assert!(desk.send(json!({})).get("error").is_none());
}

#[test]
fn what_is_planned_goes_when_the_clock_says_so_and_once_however_often_that_is() {
    let mut desk = Desk::new();
    desk.say(B, json!({"type": "subscribe"}));
    desk.say(A, json!({"type": "schedule", "to": "b-1", "text": "once", "in": "1h"}));
    desk.say(A, json!({"type": "schedule", "to": "b-1", "text": "hourly", "every": "0 * * * *"}));
    // A day forward at once: each is due, and what was missed meanwhile is not made up for.
    desk.pass(SECOND, BEGIN + DAY);
    assert_eq!((desk.came("once"), desk.came("hourly")), (1, 1));
    desk.pass(SECOND, BEGIN);
    desk.pass(SECOND, BEGIN + DAY + 1);
    assert_eq!((desk.came("once"), desk.came("hourly")), (1, 1));
    // However far the next time is: the clock is looked at again before long.
    assert!(desk.pass(SECOND, BEGIN) <= Duration::from_secs(30));
    desk.pass(SECOND, BEGIN + DAY + 3600 * SECOND);
    assert_eq!((desk.came("once"), desk.came("hourly")), (1, 2));
}

#[test]
fn what_expires_is_dropped_when_the_clock_says_so_and_a_clock_that_goes_back_keeps_it() {
    let mut desk = Desk::new();
    desk.send(json!({"expires_in": 3600}));
    desk.pass(20 * SECOND, BEGIN - DAY);
    assert_eq!(desk.expired(), 0);
    desk.pass(20 * SECOND, BEGIN + 3600 * SECOND);
    assert_eq!(desk.expired(), 1);
    desk.pass(20 * SECOND, BEGIN - DAY);
    desk.pass(20 * SECOND, BEGIN + 2 * DAY);
    assert_eq!(desk.expired(), 1);
    // The room that it took is there again.
    assert_eq!(desk.hub.waiting.len(), 0);
}

#[test]
fn all_connections_of_a_session_ask_at_one_rate() {
    let mut desk = Desk::new();
    let name: SessionName = "a-1".parse().unwrap();
    let own: Vec<Connection> = (10..20).collect();
    for connection in &own {
        desk.hub.connected(*connection, Door::Session(name.clone()), desk.now).unwrap();
    }
    let longest = |desk: &mut Desk, connection| {
        desk.hub.request(connection, parse(b"{}"), desk.now);
        let waits = desk.hub.effects().into_iter().filter_map(|effect| match effect {
            Effect::Pause(_, time) => Some(time),
            _ => None,
        });
        waits.max()
    };
    (0..REQUESTS_BURST).for_each(|_| assert_eq!(longest(&mut desk, A), None));
    let waits: Vec<u128> = own.iter().map(|connection| longest(&mut desk, *connection).unwrap().as_millis()).collect();
    assert_eq!(waits, (1..=10).collect::<Vec<u128>>());
    // Coming again is no way around it.
    assert_eq!(desk.hub.knocked(&name, desk.now).as_millis(), 11);
    assert_eq!(longest(&mut desk, B), None);
}

#[test]
fn an_answer_to_another_users_person_is_that_persons_mail() {
    let mut desk = Desk::new();
    let any = crate::relay::policy::Pattern::Any;
    let kinds =
        std::collections::BTreeSet::from([crate::relay::wire::Kind::Message, crate::relay::wire::Kind::Response]);
    let rules = vec![crate::relay::policy::Rule { from: any.clone(), to: any, kinds }];
    desk.hub.follow(Policy { rules, ..Policy::default() });
    desk.hub.connected(9, Door::Shared { uid: 7, user: "bo".into() }, desk.now).unwrap();
    let id = desk.say(9, json!({"type": "send", "to": "a-1", "text": "how many?"}))["data"]["id"].clone();
    let answer = desk.say(A, json!({"type": "response", "reply_to": id, "text": "four"}));
    assert_eq!(answer["data"]["recipients"], 1, "{answer}");
    let told = desk.events.iter().find_map(|event| match event {
        Event::Accepted { message, mailboxes, .. } if message.text == "four" => Some(mailboxes.clone()),
        _ => None,
    });
    assert_eq!(told, Some(vec![Mailbox::User(7)]));
}

#[test]
fn numbers_that_the_disk_refused_can_be_used_again() {
    let mut desk = Desk::new();
    assert_eq!(desk.send(json!({"seq": 5}))["data"]["seq"], 5);
    let refusal = Refusal::new(Reason::Storage, "the disk is full");
    let tokens: Vec<Token> = [6, 7, 8]
        .into_iter()
        .map(|seq| {
            let send = json!({"type": "send", "to": "b-1", "text": "x", "seq": seq});
            desk.hub.request(A, parse(send.to_string().as_bytes()), desk.now);
            let token = desk.hub.effects().into_iter().find_map(|effect| match effect {
                Effect::Commit(commit) => commit.token,
                _ => None,
            });
            token.expect("it is on its way")
        })
        .collect();
    for token in tokens {
        desk.hub.outcome(token, Outcome::Refused(refusal.clone()), desk.now);
    }
    desk.act();
    assert_eq!(desk.send(json!({"seq": 6}))["data"]["seq"], 6);
}

#[test]
fn a_socket_that_cannot_be_made_at_a_start_ends_no_session_and_is_tried_again() {
    let mut desk = Desk::new();
    let session: SessionName = "b-1".parse().unwrap();
    desk.send(json!({"text": "kept"}));
    desk.hub.listening(&session, Err(Refusal::new(Reason::Storage, "no descriptor is left")));
    desk.act();
    assert!(!desk.events.iter().any(|event| matches!(event, Event::Closed { .. })));
    desk.now.ticks += 11 * SECOND;
    desk.hub.tick(desk.now, |_| false);
    let again =
        desk.hub.effects().into_iter().filter(|effect| matches!(effect, Effect::Listen(name) if *name == session));
    assert_eq!(again.count(), 1);
    desk.hub.connected(7, Door::Session(session), desk.now).unwrap();
}

#[test]
fn what_ends_with_a_session_is_looked_up_again_where_it_could_not_be_read() {
    let mut desk = Desk::new();
    desk.hub.request(0, parse(json!({"type": "close", "session": "b-1"}).to_string().as_bytes()), desk.now);
    let asked = |desk: &mut Desk| {
        desk.hub.effects().into_iter().find_map(|effect| match effect {
            Effect::Ask(token, Ask::Whole(_)) => Some(token),
            _ => None,
        })
    };
    let token = asked(&mut desk).expect("it is asked what waits");
    desk.hub.answered(token, Answer::Failed(Refusal::new(Reason::Storage, "the store is away")), desk.now);
    assert!(asked(&mut desk).is_none(), "not at once");
    desk.now.ticks += 11 * SECOND;
    desk.hub.tick(desk.now, |_| false);
    let token = asked(&mut desk).expect("it is asked again");
    desk.hub.answered(token, Answer::Waiting(Vec::new()), desk.now);
    desk.act();
    assert!(desk.events.iter().any(|event| matches!(event, Event::Closed { .. })));
}
