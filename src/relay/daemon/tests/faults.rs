//! Bad input, and what a crash leaves.

use super::super::super::policy::{Limits, Policy};
use super::*;

#[test]
fn what_is_no_request_is_refused_and_the_connection_goes_on() {
    let world = World::new();
    let api = world.session("api-1", "api");
    let mut client = api.client();
    for line in ["{}", "[]", "nonsense", "{\"type\":\"send\"", "{\"type\":\"dance\"}", "\u{0}", "\"\\ud800\""] {
        client.write(format!("{line}\n").as_bytes());
        assert_eq!(client.hear().unwrap()["reason"], "malformed", "{line}");
    }
    client.write(b"\xff\xfe\n");
    assert_eq!(client.hear().unwrap()["reason"], "malformed");
    client.done(json!({"type": "heartbeat"}));
}

#[test]
fn a_line_that_is_too_long_ends_the_connection() {
    let world = World::new();
    let api = world.session("api-1", "api");
    let mut client = api.client();
    let long = vec![b'a'; 8 << 20];
    // It may be closed before all of it was written.
    let _ = client.lines.get_mut().write_all(&long);
    assert_eq!(client.hear().unwrap()["reason"], "too-large");
    assert!(client.hear().is_none());
    api.client().done(json!({"type": "heartbeat"}));
}

#[test]
fn unfinished_lines_of_all_connections_are_charged_together() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let half = vec![b'a'; 3 << 20];
    let mut clients: Vec<Client> = (0..4).map(|_| api.client()).collect();
    let refused = clients.iter_mut().any(|client| {
        client.lines.get_mut().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let _ = client.lines.get_mut().write_all(&half);
        let mut line = String::new();
        client.lines.read_line(&mut line).is_ok_and(|_| line.contains("too-large"))
    });
    assert!(refused);
    web.client().done(json!({"type": "heartbeat"}));
}

#[test]
fn refusals_and_halves_of_lines_from_all_connections_of_one_are_nothing_to_others() {
    let limits = Limits { rate: 60_000, burst: 1000, ..Limits::default() };
    let world = World::with(Policy { limits, ..Policy::default() });
    let (loud, quiet, other) =
        (world.session("loud-1", "loud"), world.session("quiet-1", "api"), world.session("other-1", "web"));
    let mut flood: Vec<Client> = (0..32).map(|_| loud.client()).collect();
    // More than may come at once, and nobody reads the answers meanwhile.
    let refused = "{\"type\":\"send\",\"to\":\"nobody\",\"text\":\"x\"}\n{\"type\":\"stop\"}\nnonsense\n".repeat(60);
    flood.iter_mut().for_each(|client| client.write(format!("{refused}{{\"type\":\"send\",").as_bytes()));
    let (mut sender, mut receiver) = (quiet.client(), other.client());
    receiver.done(json!({"type": "subscribe"}));
    for number in 0..50 {
        sender.send("other-1", &number.to_string());
        let message = receiver.message();
        assert_eq!(message["text"], number.to_string());
        receiver.done(json!({"type": "ack", "ids": [message["id"]]}));
    }
    for client in &mut flood {
        let reasons = (0..180).map(|_| client.hear().unwrap()["reason"].as_str().unwrap().to_owned());
        let expected = ["no-recipient", "not-allowed", "malformed"].into_iter().cycle();
        assert!(reasons.zip(expected).all(|(reason, expected)| reason == expected || reason == "rate-limited"));
        // The half has an end now.
        client.write(b"\n");
        assert_eq!(client.hear().unwrap()["reason"], "malformed");
    }
}

#[test]
fn a_second_relay_does_not_start_and_a_stale_socket_is_replaced() {
    let mut world = World::new();
    let place = world.place();
    let second =
        serve(Start { place: place.clone(), system: false, load: Box::new(|| Ok(Policy::default())) }, Vec::new());
    assert!(matches!(second, Err(DaemonError::Running { .. })));
    world.person().done(json!({"type": "query", "query": "status"}));
    world.stop();
    drop(std::os::unix::net::UnixListener::bind(place.socket()).ok());
    world.start();
    world.person().done(json!({"type": "query", "query": "status"}));
}

#[test]
fn a_session_ends_with_its_launcher() {
    let world = World::new();
    let api = world.session("api-1", "api");
    let state = |name: &str| {
        let listed = world.person().done(json!({"type": "query", "query": "list_sessions"}));
        let sessions = listed["sessions"].as_array().unwrap().clone();
        sessions.into_iter().find(|session| session["name"] == name).map(|session| session["state"].clone())
    };
    assert_eq!(state("api-1"), Some(json!("here")));
    let cache = world.place().cache().join("api-1.json");
    until("its cache file is there", || cache.exists());
    world.person().done(json!({"type": "close", "session": api.name}));
    assert_eq!(state("api-1"), Some(json!("ended")));
    until("its cache file is gone", || !cache.exists());
}

#[test]
fn a_session_has_only_so_many_connections() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut clients: Vec<Client> = (0..40).map(|_| api.client()).collect();
    let last = clients.last_mut().unwrap();
    assert_eq!(last.hear().unwrap()["reason"], "quota");
    web.client().done(json!({"type": "heartbeat"}));
}

#[test]
fn who_has_said_everything_is_answered_all_the_same() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut client = api.client();
    client.say(&json!({"type": "send", "to": "web-1", "text": "and that was all"}));
    client.lines.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.hear().unwrap()["data"]["recipients"], 1);
    assert!(client.hear().is_none());
    assert_eq!(web.client().texts(), ["and that was all"]);
}

#[test]
fn a_session_listens_to_only_so_many_subscribers() {
    let world = World::new();
    let api = world.session("api-1", "api");
    let mut clients: Vec<Client> = (0..5).map(|_| api.client()).collect();
    let last = clients.pop().unwrap();
    for client in &mut clients {
        client.done(json!({"type": "subscribe"}));
    }
    let mut last = last;
    assert_eq!(last.refused(json!({"type": "subscribe"})), "quota");
    clients[0].done(json!({"type": "subscribe"}));
}
