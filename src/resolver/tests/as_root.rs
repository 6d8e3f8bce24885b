//! What takes two identities, and so root: a socket is given to another uid by fchown(2).

use super::world::*;
use crate::policy::ruleset::IdentityRange;
use hickory_proto::rr::RecordType;
use rustix::process::Uid;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LOUD: u32 = 424_242;
const QUIET: u32 = 424_243;

fn world(upstreams: &[std::net::SocketAddr]) -> World {
    let mut ruleset = ruleset(&[], None);
    ruleset.profiles[0].identities = vec![IdentityRange { first: LOUD, last: QUIET }];
    World::start(ruleset, upstreams)
}

fn socket_of(identity: u32) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    rustix::fs::fchown(&socket, Some(Uid::from_raw(identity)), None).expect("root");
    socket
}

/// The slowest of some answers to the quiet one.
fn slowest(world: &World, socket: &UdpSocket, prefix: &str) -> Duration {
    let each = (0..50).map(|number| {
        let start = Instant::now();
        let answer = world.send_from(socket, &query(&format!("{prefix}{}.example.", number % 5), RecordType::A));
        assert!(answer.is_some(), "lost");
        start.elapsed()
    });
    each.max().unwrap()
}

#[test]
fn a_flood_from_one_sandbox_does_not_slow_another() {
    let upstream = Upstream::start(|query, _| {
        let owner = query.queries[0].name.to_ascii();
        // The names that the loud one asks for are never answered.
        if owner.starts_with("flood") { vec![] } else { vec![answer(query, &[at(&owner, "203.0.113.1", 60)])] }
    });
    let world = world(&[upstream.address]);
    let quiet = socket_of(QUIET);
    let calm = slowest(&world, &quiet, "calm");
    let over = AtomicBool::new(false);
    let under_flood = std::thread::scope(|scope| {
        scope.spawn(|| {
            let loud = socket_of(LOUD);
            let mut sent = 0_u32;
            while !over.load(Ordering::SeqCst) {
                let bytes = query(&format!("flood{sent}.example."), RecordType::A).to_vec().unwrap();
                let _ = loud.send_to(&bytes, world.resolver.address());
                sent += 1;
            }
            assert!(sent > 1000, "no flood");
        });
        std::thread::sleep(Duration::from_millis(500));
        // New names, which upstreams have to be asked for, and known ones.
        let took = slowest(&world, &quiet, "busy").max(slowest(&world, &quiet, "calm"));
        over.store(true, Ordering::SeqCst);
        took
    });
    // Below HEDGE: not one question of the quiet one was asked twice.
    assert!(under_flood < Duration::from_millis(500), "calm {calm:?}, under flood {under_flood:?}");
}

#[test]
fn who_is_denied_is_told_by_identity() {
    let world = world(&[]);
    for (identity, name) in [(LOUD, "a.local."), (QUIET, "b.local."), (LOUD, "a.local.")] {
        world.send_from(&socket_of(identity), &query(name, RecordType::A)).unwrap();
    }
    let mut denials = world.resolver.take_denials();
    denials.sort_by_key(|denial| denial.identity);
    let denials: Vec<_> = denials.iter().map(|denial| (denial.identity, denial.name.as_str(), denial.count)).collect();
    assert_eq!(denials, [(LOUD, "a.local", 2), (QUIET, "b.local", 1)]);
}
