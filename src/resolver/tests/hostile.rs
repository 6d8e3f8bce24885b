//! Upstreams that lie, stammer or are silent, and sandboxes that send rubbish.

use super::world::*;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Record, RecordType};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn public(upstreams: &[SocketAddr]) -> World {
    World::start(ruleset(&[], None), upstreams)
}

/// A port of loopback where nobody is: datagrams to it come back as errors.
fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn good(query: &Message) -> Vec<u8> {
    let mut record = at(".", "203.0.113.1", 60);
    record.name = query.queries[0].name.clone();
    answer(query, &[record])
}

fn bad(query: &Message) -> Vec<u8> {
    answer(query, &[at(&query.queries[0].name.to_ascii(), "203.0.113.66", 60)])
}

const GOOD: [&str; 1] = ["203.0.113.1"];

#[test]
fn what_answers_another_question_is_ignored() {
    let upstream = Upstream::start(|query, _| {
        let mut wrong_id = query.clone();
        wrong_id.metadata.id ^= 1;
        let mut wrong_name = query.clone();
        wrong_name.queries[0].name = name("bank.example.");
        let mut wrong_type = query.clone();
        wrong_type.queries[0].query_type = RecordType::AAAA;
        let mut no_response = reply(query, &[]);
        no_response.metadata.message_type = hickory_proto::op::MessageType::Query;
        let mut no_question = reply(query, &[at("a.example.", "203.0.113.66", 60)]);
        no_question.queries.clear();
        let bare = |message: Message| message.to_vec().unwrap();
        vec![
            bad(&wrong_id),
            bad(&wrong_name),
            bad(&wrong_type),
            bare(no_response),
            bare(no_question),
            vec![],
            b"rubbish".to_vec(),
            good(query),
        ]
    });
    assert_eq!(public(&[upstream.address]).addresses("a.example.", RecordType::A), GOOD);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn who_guesses_makes_us_use_tcp() {
    let upstream = Upstream::start(|query, tcp| {
        if tcp {
            return vec![good(query)];
        }
        let guess = |step: u16| {
            let mut guess = query.clone();
            guess.metadata.id = guess.metadata.id.wrapping_add(step);
            bad(&guess)
        };
        // The right one among them comes too late.
        (1..50).map(guess).chain([bad(query)]).collect()
    });
    assert_eq!(public(&[upstream.address]).addresses("a.example.", RecordType::A), GOOD);
}

#[test]
fn a_datagram_from_elsewhere_is_no_answer() {
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        let (length, peer) = upstream.recv_from(&mut buffer).unwrap();
        let query = Message::from_vec(&buffer[..length]).unwrap();
        stranger.send_to(&bad(&query), peer).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        upstream.send_to(&good(&query), peer).unwrap();
    });
    assert_eq!(public(&[address]).addresses("a.example.", RecordType::A), GOOD);
}

#[test]
fn ids_and_ports_are_drawn_anew_for_each_question() {
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let count = 40;
    let watcher = std::thread::spawn(move || {
        let mut seen = Vec::new();
        let mut buffer = [0; 512];
        while seen.len() < count {
            let (length, peer) = upstream.recv_from(&mut buffer).unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            seen.push((query.metadata.id, peer.port()));
            upstream.send_to(&good(&query), peer).unwrap();
        }
        seen
    });
    let world = public(&[address]);
    for number in 0..count {
        world.ask(&format!("{number}.example."), RecordType::A);
    }
    let seen = watcher.join().unwrap();
    let distinct = |pick: fn(&(u16, u16)) -> u16| seen.iter().map(pick).collect::<std::collections::HashSet<_>>().len();
    assert!(distinct(|one| one.0) > count - 5 && distinct(|one| one.1) > count - 5, "{seen:?}");
    let steps = seen.windows(2).filter(|pair| pair[1].0.wrapping_sub(pair[0].0) < 4).count();
    assert!(steps < 5, "{seen:?}");
}

#[test]
fn wire_that_loops_or_lies_about_its_length_ends_in_a_failure() {
    let question = |query: &Message| {
        let mut bytes = reply(query, &[]).to_vec().unwrap();
        bytes[7] = 1;
        bytes
    };
    type Broken = fn(Vec<u8>) -> Vec<u8>;
    let broken: [(&str, Broken); 6] = [
        ("a name that points at itself", |mut bytes| {
            let at = bytes.len() as u8;
            bytes.extend([0xc0, at, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 66]);
            bytes
        }),
        ("two names that point at each other", |mut bytes| {
            let at = bytes.len() as u8;
            bytes.extend([0xc0, at + 2, 0xc0, at, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 66]);
            bytes
        }),
        ("an address of 200 octets", |mut bytes| {
            bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 200, 203, 0, 113, 66]);
            bytes
        }),
        ("an address of 3 octets", |mut bytes| {
            bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 3, 203, 0, 113]);
            bytes
        }),
        ("65,535 records that are not there", |mut bytes| {
            bytes[6..8].fill(0xff);
            bytes
        }),
        ("two EDNS records", |mut bytes| {
            (bytes[7], bytes[11]) = (0, 2);
            for _ in 0..2 {
                bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
            }
            bytes
        }),
    ];
    for (what, make) in broken {
        let upstream = Upstream::start(move |query, _| vec![make(question(query)); 10]);
        let start = Instant::now();
        let answer = public(&[upstream.address]).ask("a.example.", RecordType::A);
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::ServFail, 0), "{what}");
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
    }
}

#[test]
fn the_longest_answer_over_tcp_is_read_and_kept_small() {
    let records: Vec<Record> =
        (0..1000).map(|number| at("a.example.", &format!("203.{}.{}.1", number / 250, number % 250), 60)).collect();
    let padding = records.clone();
    let upstream = Upstream::start(move |query, tcp| {
        if !tcp {
            return vec![reply(query, &[]).truncate().to_vec().unwrap()];
        }
        let mut message = reply(query, &records);
        message.additionals = padding.iter().cycle().take(3080).cloned().collect();
        let bytes = message.to_vec().unwrap();
        assert!(bytes.len() > 65_000 && bytes.len() <= 65_535, "{}", bytes.len());
        vec![bytes]
    });
    let world = public(&[upstream.address]);
    assert_eq!(world.ask_tcp(&query("a.example.", RecordType::A)).answers.len(), 32);
}

#[test]
fn an_answer_that_stops_half_way_is_none() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let udp = UdpSocket::bind(address).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let _ = udp.send_to(&reply(&query, &[]).truncate().to_vec().unwrap(), peer);
        }
    });
    std::thread::spawn(move || {
        for stream in upstream.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 512];
            let length = stream.read(&mut buffer).unwrap();
            let bytes = good(&Message::from_vec(&buffer[2..length]).unwrap());
            // Promises everything, gives half, and waits.
            let _ = stream.write_all(&[0xff, 0xff]);
            let _ = stream.write_all(&bytes[..bytes.len() / 2]);
            std::thread::sleep(Duration::from_secs(8));
        }
    });
    let start = Instant::now();
    let answer = public(&[address]).ask("a.example.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn when_nobody_is_there_the_failure_comes_at_once() {
    for upstreams in [vec![], vec![nobody()], vec![nobody(), nobody()]] {
        let start = Instant::now();
        let answer = public(&upstreams).send(&with_edns(query("a.example.", RecordType::A), 1232)).unwrap();
        assert_eq!((answer.metadata.response_code, extended_error(&answer)), (ResponseCode::ServFail, Some(22)));
        assert!(start.elapsed() < Duration::from_secs(1), "{upstreams:?}");
    }
}

#[test]
fn when_everybody_is_silent_the_failure_comes_in_time_and_the_next_at_once() {
    let silent = Upstream::start(|_, _| vec![]);
    let world = public(&[silent.address]);
    let start = Instant::now();
    assert_eq!(world.ask("a.example.", RecordType::A).metadata.response_code, ResponseCode::ServFail);
    let took = start.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(5), "{took:?}");
    assert!(silent.count() >= 3);
    let again = Instant::now();
    assert_eq!(world.ask("a.example.", RecordType::A).metadata.response_code, ResponseCode::ServFail);
    assert!(again.elapsed() < Duration::from_millis(500));
}

#[test]
fn a_silent_upstream_costs_a_moment_once() {
    let silent = Upstream::start(|_, _| vec![]);
    let well = Upstream::start(|query, _| vec![good(query)]);
    let world = public(&[silent.address, well.address]);
    let took = |name: &str| {
        let start = Instant::now();
        assert_eq!(world.addresses(name, RecordType::A), GOOD);
        start.elapsed()
    };
    let first = took("a.example.");
    assert!(first < Duration::from_secs(2), "{first:?}");
    let second = took("b.example.");
    assert!(second < Duration::from_millis(400), "{second:?}");
    assert_eq!(silent.count(), 1);
}

#[test]
fn an_upstream_that_cannot_is_passed_over_at_once() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp, ResponseCode::FormErr] {
        let unable = Upstream::start(move |query, _| {
            let mut reply = reply(query, &[]);
            reply.metadata.response_code = code;
            vec![reply.to_vec().unwrap()]
        });
        let well = Upstream::start(|query, _| vec![good(query)]);
        let start = Instant::now();
        assert_eq!(public(&[unable.address, well.address]).addresses("a.example.", RecordType::A), GOOD);
        assert!(start.elapsed() < Duration::from_millis(600), "{code}");
    }
}

#[test]
fn other_upstreams_are_asked_from_now_on_and_what_the_old_ones_said_is_forgotten() {
    let old = Upstream::start(|query, _| vec![bad(query)]);
    let new = Upstream::start(|query, _| vec![good(query)]);
    let world = public(&[old.address]);
    assert_eq!(world.addresses("a.example.", RecordType::A), ["203.0.113.66"]);
    // Ourselves among them would be a loop.
    world.resolver.upstreams(vec![world.resolver.address(), new.address]);
    assert_eq!(world.addresses("a.example.", RecordType::A), GOOD);
    assert_eq!((old.count(), new.count()), (1, 1));
}

#[test]
fn an_answer_with_ttl_0_is_for_those_who_wait_for_it() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |query, _| {
        let address = format!("203.0.113.{}", count.fetch_add(1, Ordering::SeqCst));
        vec![answer(query, &[at("a.example.", &address, 0)])]
    });
    let world = public(&[upstream.address]);
    let first = world.ask("a.example.", RecordType::A);
    assert_eq!((addresses(&first), first.answers[0].ttl), (vec!["203.0.113.0".into()], 1));
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(world.addresses("a.example.", RecordType::A), ["203.0.113.1"]);
}

#[test]
fn rubbish_over_tcp_and_udp_ends_nothing() {
    let upstream = Upstream::start(|query, _| vec![good(query)]);
    let world = public(&[upstream.address]);
    let address = world.resolver.address();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ordinary = query("a.example.", RecordType::A).to_vec().unwrap();
    for length in 0..ordinary.len() {
        socket.send_to(&ordinary[..length], address).unwrap();
        let mut bytes = ordinary.clone();
        bytes[length] ^= 0xff;
        socket.send_to(&bytes, address).unwrap();
    }
    socket.send_to(&[0; 60_000], address).unwrap();
    for start in [&[0, 0][..], &[0, 5, 1, 2, 3, 4, 5], &[0x10, 1], &[0xff]] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(start).unwrap();
    }
    assert_eq!(world.addresses("z.example.", RecordType::A), GOOD);
    let mut stream = TcpStream::connect(address).unwrap();
    assert_eq!(addresses(&exchange_tcp(&mut stream, &query("z.example.", RecordType::A))), GOOD);
}
