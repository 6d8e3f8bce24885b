//! Messages wait, come once and in order, and nobody's flood is another's.

use super::super::super::policy::{Limits, Pattern, Policy};
use super::*;
use std::collections::BTreeMap;

#[test]
fn messages_wait_for_who_is_away_in_their_order() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut sender = api.client();
    for number in 0..5 {
        sender.send("web-1", &number.to_string());
    }
    let mut reader = web.client();
    assert_eq!(reader.done(json!({"type": "subscribe"}))["waiting"], 5);
    let ids: Vec<Value> = (0..5)
        .map(|number: i32| {
            let message = reader.message();
            assert_eq!(message["text"], number.to_string());
            message["id"].clone()
        })
        .collect();
    assert_eq!(reader.done(json!({"type": "ack", "ids": ids}))["acked"], 5);
    assert_eq!(reader.done(json!({"type": "ack", "ids": ids}))["acked"], 0);
    sender.send("web-1", "5");
    assert_eq!(reader.message()["text"], "5");
    assert_eq!(web.client().texts(), ["5"]);
}

#[test]
fn what_was_not_acknowledged_comes_again_and_what_was_does_not() {
    let mut world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let read = api.client().send("web-1", "read")["id"].clone();
    api.client().send("web-1", "unread");
    web.client().done(json!({"type": "ack", "ids": [read]}));
    world.stop();
    world.start();
    // The same directory, as the sandbox has it mounted, and a new socket in it.
    assert_eq!(web.client().texts(), ["unread"]);
    assert_eq!(api.client().send("web-1", "after")["seq"], 3);
}

#[test]
fn sending_again_under_an_id_sends_once() {
    let mut world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let send = |text: &str, seq: Option<u64>| {
        let mut send = json!({"type": "send", "to": "web-1", "text": text, "id": "m1"});
        if let Some(seq) = seq {
            send["seq"] = seq.into();
        }
        send
    };
    let first = api.client().done(send("hello", Some(7)));
    assert_eq!((&first["seq"], &first["duplicate"]), (&json!(7), &json!(false)));
    for again in [send("hello", None), send("hello", Some(7)), send("hello", Some(3))] {
        let again = api.client().done(again);
        assert_eq!((&again["id"], &again["seq"], &again["duplicate"]), (&first["id"], &json!(7), &json!(true)));
    }
    assert_eq!(api.client().refused(send("other", None)), "replayed");
    world.stop();
    world.start();
    assert_eq!(api.client().done(send("hello", None))["duplicate"], true);
    assert_eq!(web.client().texts(), ["hello"]);
}

#[test]
fn numbers_go_up() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut client = api.client();
    let send = |seq: u64| json!({"type": "send", "to": "web-1", "text": seq.to_string(), "seq": seq});
    client.done(send(5));
    for old in [5, 4, 0] {
        assert_eq!(client.refused(send(old)), "replayed");
    }
    assert_eq!(client.refused(json!({"type": "send", "to": "web-1", "text": "x", "seq": 2, "id": "new"})), "replayed");
    assert_eq!(client.refused(send(u64::MAX)), "malformed");
    client.done(send(9));
    assert_eq!(web.client().texts(), ["5", "9"]);
}

#[test]
fn an_answer_goes_to_whoever_asked_and_only_from_who_was_asked() {
    let world = World::new();
    let (api, web, other) = (world.session("api-1", "api"), world.session("web-1", "web"), world.session("x-1", "x"));
    let id = api.client().send("web-1", "how are you?")["id"].clone();
    assert_eq!(other.client().refused(json!({"type": "response", "reply_to": id, "text": "fine"})), "not-found");
    web.client().done(json!({"type": "response", "reply_to": id, "text": "fine", "data": {"a": 1}}));
    let inbox = api.client().done(json!({"type": "inbox"}));
    let answer = &inbox["messages"][0];
    assert_eq!((&answer["kind"], &answer["reply_to"]), (&json!("response"), &id));
    assert_eq!(answer["text"], "fine\n{\"a\":1}");
}

#[test]
fn a_persons_message_is_answered_to_the_person() {
    let world = World::new();
    let web = world.session("web-1", "web");
    let id = world.person().done(json!({"type": "prompt", "session_id": "web", "text": "go on"}))["id"].clone();
    let inbox = web.client().done(json!({"type": "inbox"}));
    assert!(inbox["messages"][0]["from"]["session"].as_str().unwrap().starts_with("user."));
    web.client().done(json!({"type": "response", "reply_to": id, "text": "done"}));
    web.client().send("user", "and more");
    assert_eq!(world.person().texts(), ["done", "and more"]);
}

#[test]
fn a_projects_mail_waits_for_whoever_works_there_next() {
    let mut world = World::new();
    let api = world.session("api-1", "api");
    api.client().send("project:web", "for the next one");
    world.stop();
    world.start();
    let web = world.session("web-1", "web");
    assert_eq!(web.client().texts(), ["for the next one"]);
    let two = world.session("web-2", "web");
    assert_eq!(two.client().texts(), [""; 0]);
    assert_eq!(api.client().send("project:web", "for both")["recipients"], 2);
    assert_eq!(two.client().texts(), ["for both"]);
}

#[test]
fn a_session_that_ended_is_nobody_any_more() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut reader = web.client();
    reader.done(json!({"type": "subscribe"}));
    world.person().done(json!({"type": "close", "session": "web-1"}));
    assert!(reader.hear().is_none());
    assert!(!web.directory.exists());
    let why = api.client().ask(json!({"type": "send", "to": "web-1", "text": "x"}));
    assert!(why["error"].as_str().unwrap().contains("project:web"), "{why}");
    let next = world.session("web-1", "web");
    assert_ne!(next.name, "web-1", "a name is one session's for ever");
}

#[test]
fn an_ambiguous_name_lists_the_candidates() {
    let world = World::new();
    let (_one, _two) = (world.session("web-1a", "web"), world.session("web-1b", "web"));
    let answer = world.person().ask(json!({"type": "send", "to": "web-1", "text": "x"}));
    assert_eq!(answer["reason"], "ambiguous");
    assert!(answer["error"].as_str().unwrap().contains("web-1a, web-1b"), "{answer}");
}

#[test]
fn a_flood_is_refused_and_others_do_not_notice() {
    let limits = Limits { rate: 60, burst: 5, ..Limits::default() };
    let world = World::with(Policy { limits, ..Policy::default() });
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut flood = api.client();
    let answers: Vec<Value> = (0..50).map(|_| flood.ask(json!({"type": "send", "to": "web-1", "text": "x"}))).collect();
    let limited: Vec<&Value> = answers.iter().filter(|answer| answer["reason"] == "rate-limited").collect();
    assert!(limited.len() >= 40, "{}", limited.len());
    assert!(limited.iter().all(|answer| answer["retry_after"].as_u64().is_some_and(|wait| wait > 0)));
    web.client().send("api-1", "still here");
}

#[test]
fn a_full_mailbox_takes_more_when_it_was_read() {
    let limits = Limits { stored_messages: 3, ..Limits::default() };
    let world = World::with(Policy { limits, ..Policy::default() });
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut client = api.client();
    let ids: Vec<Value> = (0..3).map(|number| client.send("web-1", &number.to_string())["id"].clone()).collect();
    let more = json!({"type": "send", "to": "web-1", "text": "x"});
    assert_eq!(client.refused(more.clone()), "quota");
    web.client().done(json!({"type": "ack", "ids": [ids[0]]}));
    client.done(more);
}

#[test]
fn a_slow_reader_gets_everything_in_order() {
    let limits = Limits { rate: 1_000_000, burst: 1_000_000, ..Limits::default() };
    let world = World::with(Policy { limits, ..Policy::default() });
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut reader = web.client();
    reader.done(json!({"type": "subscribe"}));
    let text = "x".repeat(100_000);
    let mut sender = api.client();
    for number in 0..150 {
        sender.send("web-1", &format!("{number} {text}"));
    }
    for number in 0..150 {
        let message = reader.message();
        let told = message["text"].as_str().unwrap().split(' ').next().unwrap().to_owned();
        assert_eq!(told, number.to_string());
    }
}

#[test]
fn a_member_that_reads_nothing_keeps_a_group_from_nothing() {
    let limits = Limits { stored_messages: 2, ..Limits::default() };
    let groups = BTreeMap::from([("all".parse().unwrap(), vec![Pattern::Any])]);
    let world = World::with(Policy { limits, groups, ..Policy::default() });
    let (api, web, deaf) = (world.session("api-1", "api"), world.session("web-1", "web"), world.session("x-1", "x"));
    let mut client = api.client();
    for text in ["one", "two"] {
        client.send("x-1", text);
    }
    assert_eq!(client.send("group:all", "three")["recipients"], 1);
    assert_eq!(web.client().texts(), ["three"]);
    assert_eq!(deaf.client().texts(), ["one", "two"]);
}
