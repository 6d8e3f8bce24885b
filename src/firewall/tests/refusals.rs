//! What a guarded socket reaches and what not.

use super::{PUBLIC, WORK, World, as_identity, is_refused, policy};
use crate::firewall::status::status;
use crate::firewall::{battery, onlink};
use crate::policy::ruleset::Ruleset;
use std::net::{TcpListener, TcpStream, UdpSocket};

#[test]
fn what_is_private_is_refused_and_what_is_public_is_not() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        for private in [
            "10.0.0.1:1",
            "192.168.1.1:1",
            "169.254.169.254:80",
            "127.0.0.1:1",
            "127.0.0.53:53",
            "127.82.67.69:1",
            "203.0.113.5:1",
            "203.0.113.9:1",
            "203.0.113.255:1",
            "224.0.0.251:5353",
            "[::1]:1",
            "[::ffff:10.0.0.1]:1",
            "[2001:db8:1::5]:1",
            "[2001:db8:1::9]:1",
            "[fd00::1]:1",
            "[64:ff9b::a00:1]:1",
            "[2002:a00:1::]:1",
        ] {
            assert!(is_refused(private, PUBLIC), "{private}");
            assert!(!is_refused(private, 1000), "{private} for the user's own processes");
        }
        for public in ["198.51.100.1:1", "[2001:db8:2::1]:1", "[64:ff9b::c633:6401]:1"] {
            assert!(!is_refused(public, PUBLIC), "{public}");
        }
    });
}

#[test]
fn a_prefix_exception_opens_neighbours_and_not_the_host_but_an_address_may() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let connect = |to: &'static str| as_identity(WORK, move || TcpStream::connect(to)).map(drop);
        let refused = |to| connect(to).unwrap_err().kind() == std::io::ErrorKind::ConnectionRefused;
        let _open = TcpListener::bind("203.0.113.5:8080").unwrap();
        let _shut = TcpListener::bind("203.0.113.5:9000").unwrap();
        connect("203.0.113.5:8080").unwrap();
        assert!(refused("203.0.113.5:9000"));
        assert!(is_refused("203.0.113.7:443", WORK), "the exception is for TCP");
        assert!(as_identity(PUBLIC, || TcpStream::connect("203.0.113.5:8080")).is_err());
    });
}

#[test]
fn an_unasked_datagram_opens_no_way_back() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let guarded = as_identity(PUBLIC, || UdpSocket::bind("203.0.113.5:4000").unwrap());
        let stranger = UdpSocket::bind("203.0.113.5:5000").unwrap();
        stranger.send_to(b"hello", "203.0.113.5:4000").unwrap();
        assert_eq!(guarded.recv_from(&mut [0; 8]).unwrap().0, 5);
        assert_eq!(guarded.send_to(b"x", "203.0.113.5:5000").unwrap_err().raw_os_error(), Some(libc::EPERM));
    });
}

#[test]
fn denials_are_counted_by_reason_and_probes_are_not() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        world.check(&policy(), "public", PUBLIC).unwrap();
        let counters = || status(&Ruleset::from(&policy())).unwrap().counters.remove(0);
        assert!(counters().denied.values().all(|counter| counter.packets == 0), "{:?}", counters());
        assert!(is_refused("203.0.113.5:1", PUBLIC) && is_refused("203.0.113.9:1", PUBLIC));
        let denied: Vec<u64> = counters().denied.values().map(|counter| counter.packets).collect();
        assert_eq!(denied, [1, 0, 1, 0], "host, private, on-link, vpn");
    });
}

#[test]
fn the_battery_holds_under_the_rules_and_fails_without() {
    World::build(|world| {
        let battery = || {
            let listeners = battery::Listeners::open(7).unwrap();
            let host = battery::HostView {
                links: onlink::read().unwrap(),
                port: listeners.port,
                abstract_socket: listeners.abstract_socket.clone(),
                ..Default::default()
            };
            // Here it runs in the host's own namespaces: only the network is guarded.
            let mut attempts = battery::attempts(&host);
            attempts.retain(|attempt| ["host", "on-link"].contains(&attempt.class));
            attempts.retain(|attempt| !matches!(attempt.action, battery::Action::Echo(_)));
            let (reader, writer) = std::io::pipe().unwrap();
            let made = attempts.clone();
            as_identity(PUBLIC, move || battery::run_inside(&made, 7, writer.into())).unwrap();
            let text = std::io::read_to_string(reader).unwrap();
            let seen: Vec<battery::Seen> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let arrived = listeners.arrivals(std::time::Duration::from_millis(50)).unwrap();
            battery::judge(attempts, &seen, &arrived)
        };
        assert!(battery().rows.iter().any(|row| row.arrived && !row.holds));
        world.apply(&policy()).unwrap();
        let table = battery();
        let failed: Vec<_> = table.rows.iter().filter(|row| !row.holds).collect();
        assert!(table.holds(), "{failed:#?}");
    });
}
