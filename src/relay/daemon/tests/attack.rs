//! What a hostile client and a careless operator try on the daemon.

use super::super::super::policy::{Limits, Policy};
use super::*;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

#[test]
fn only_one_socket_that_tells_who_its_clients_are_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place { run: directory.path().join("run"), state: directory.path().join("state") };
    let unix = |name: &str| OwnedFd::from(UnixListener::bind(directory.path().join(name)).unwrap());
    let tcp = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let connected = OwnedFd::from(UnixStream::pair().unwrap().0);
    for passed in [vec![tcp], vec![connected], vec![unix("one"), unix("two")]] {
        let start = Start { place: place.clone(), system: false, load: Box::new(|| Ok(Policy::default())) };
        assert!(matches!(serve(start, passed), Err(DaemonError::Socket(_))));
    }
}

#[test]
fn whoever_asks_for_pages_and_reads_none_is_in_nobodys_way() {
    let limits = Limits { rate: 10_000, burst: 10_000, ..Limits::default() };
    let world = World::with(Policy { limits, ..Policy::default() });
    let (api, web, other) = (world.session("api-1", "api"), world.session("web-1", "web"), world.session("x-1", "x"));
    let mut sender = api.client();
    let text = "x".repeat(1 << 20);
    (0..4).for_each(|_| drop(sender.send("web-1", &text)));
    let mut deaf: Vec<Client> = (0..4).map(|_| web.client()).collect();
    for client in &mut deaf {
        client.write(&b"{\"type\":\"inbox\"}\n{\"type\":\"subscribe\"}\n".repeat(100));
    }
    let begun = Instant::now();
    for _ in 0..20 {
        sender.send("x-1", "hello");
    }
    assert_eq!(other.client().texts().len(), 20);
    assert!(begun.elapsed() < PATIENCE);
    // Who reads gets all of the answers all the same.
    let mut last = deaf.pop().unwrap();
    let (mut answers, mut messages) = (0, 0);
    while answers < 200 {
        match last.hear().expect("an answer")["type"].as_str() {
            Some("response") => answers += 1,
            _ => messages += 1,
        }
    }
    assert_eq!(messages, 4, "they are pushed once");
}

#[test]
fn a_sessions_end_is_not_delayed_by_a_client_that_does_not_read() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut deaf = web.client();
    let text = "x".repeat(1 << 20);
    (0..3).for_each(|_| drop(api.client().send("web-1", &text)));
    deaf.write(&b"{\"type\":\"inbox\"}\n".repeat(10));
    world.person().done(json!({"type": "close", "session": web.name}));
    // Nobody reads it; it may not be written at all.
    let _ = deaf.lines.get_mut().write_all(b"{\"type\":\"send\",\"to\":\"api-1\",\"text\":\"after the end\"}\n");
    while deaf.hear().is_some() {}
    assert_eq!(api.client().texts(), [""; 0]);
}
