//! What a hostile sandbox, and a hostile other end, try.

use super::tests::{End, World, entries, reason, refusal};
use crate::relay::event::Event;
use crate::relay::wire::Reason;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

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
    let refused = |event: &Event| matches!(event, Event::Refused { session, .. } if session.as_str() == "other-1a2b");
    assert!(web.entries().iter().any(refused), "on record as whoever it was");
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
fn what_a_full_inbox_refuses_does_not_fill_the_senders_audit() {
    let world = World::new();
    let mut plan = world.plan(1);
    plan.limits.waiting = 0;
    let (api, web) = (End::start(world.plan(0)), End::start(plan));
    (0..20).for_each(|_| assert_eq!(reason(api.send("project:web", &"x".repeat(1 << 20))), Reason::Quota));
    for end in [&api, &web] {
        let audit = &end.plan.pairs[0].audit;
        let bytes: u64 = std::fs::read_dir(audit).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < 64 << 10, "{bytes}");
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
