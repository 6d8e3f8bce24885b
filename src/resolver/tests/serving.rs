//! What a sandbox gets from a resolver that is well.

use super::world::*;
use crate::firewall::grants::{Grant, GrantError};
use crate::policy::ruleset::{Ruleset, Version};
use crate::resolver::seen::Denied;
use crate::resolver::{Denial, Resolver, Rules};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record, RecordType};
use std::io::Write;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn public(records: Vec<Record>) -> (World, Upstream) {
    let upstream = Upstream::fixed(records);
    (World::start(ruleset(&["git.corp.lan:443"], None), &[upstream.address]), upstream)
}

#[test]
fn a_question_is_asked_once_and_answered_as_it_was_written() {
    let (world, upstream) = public(vec![at("example.com.", "203.0.113.1", 60)]);
    for asked in ["Example.com.", "example.com.", "EXAMPLE.COM."] {
        let answer = world.ask(asked, RecordType::A);
        assert_eq!(addresses(&answer), ["203.0.113.1"]);
        assert_eq!(answer.queries[0].name.to_ascii(), asked);
        assert_eq!(answer.answers[0].name.to_ascii(), asked);
        assert!(answer.metadata.recursion_available && answer.metadata.recursion_desired);
        assert!(!answer.metadata.authentic_data && answer.edns.is_none());
    }
    assert_eq!(upstream.count(), 1);
    let (query, _) = upstream.asked.lock().unwrap()[0].clone();
    let edns = query.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1232, false));
}

#[test]
fn a_name_that_is_not_listed_does_not_exist_and_nobody_hears_of_it() {
    let upstream = Upstream::fixed(vec![]);
    let world = World::start(ruleset(&[], Some(&["example.com:443"])), &[upstream.address]);
    for kind in [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::HTTPS, RecordType::ANY] {
        let answer = world.send(&with_edns(query("secret-data.evil.example.", kind), 1232)).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(extended_error(&answer), Some(18));
        assert!(answer.answers.is_empty() && answer.authorities.is_empty());
    }
    assert_eq!(upstream.count(), 0);
    let denials = world.resolver.take_denials();
    let counted: Vec<(&str, u64)> = denials.iter().map(|denial| (denial.name.as_str(), denial.count)).collect();
    assert_eq!(counted, [("secret-data.evil.example", 5)]);
    assert_eq!((denials[0].identity, denials[0].denial), (me(), Denied::Name(Denial::NotListed)));
}

#[test]
fn an_answer_into_denied_space_is_stripped_and_said_to_be() {
    let (world, _upstream) = public(vec![at("evil.example.", "10.0.0.1", 60), at("half.example.", "10.0.0.1", 60)]);
    let answer = world.send(&with_edns(query("evil.example.", RecordType::A), 1232)).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert_eq!((answer.answers.len(), extended_error(&answer)), (0, Some(15)));
    assert_eq!(world.resolver.take_denials()[0].denial, Denied::Addresses);
}

#[test]
fn one_answer_is_filtered_for_whoever_asks() {
    let upstream = Upstream::start(|query, _| {
        let owner = query.queries[0].name.to_ascii();
        vec![answer(query, &[at(&owner, "10.1.2.8", 60), at(&owner, "203.0.113.1", 60)])]
    });
    let mut world = World::start(ruleset(&[], None), &[upstream.address]);
    assert_eq!(world.addresses("git.corp.lan.", RecordType::A), ["203.0.113.1"]);
    world.resolver.policy(rules(ruleset(&["git.corp.lan:443"], None)));
    assert_eq!(world.addresses("git.corp.lan.", RecordType::A), ["10.1.2.8", "203.0.113.1"]);
    assert_eq!(world.granted(), ["Excepted(0) 10.1.2.8", "Excepted(0) 203.0.113.1"]);
    world.resolver.policy(rules(ruleset(&[], Some(&[]))));
    assert_eq!(world.ask("git.corp.lan.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn the_kernel_has_the_addresses_before_the_answer_leaves() {
    let upstream = Upstream::fixed(vec![at("example.com.", "203.0.113.1", 60)]);
    let granted = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&granted);
    let slow = move |_: &Ruleset, _: &Version, _: &[Grant]| {
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::SeqCst);
        Ok(())
    };
    let resolver = start(ruleset(&[], Some(&["example.com:443"])), &[upstream.address], slow);
    let world = World { resolver, granted: Arc::default() };
    let waiting = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let addresses = world.addresses("example.com.", RecordType::A);
            (addresses, granted.load(Ordering::SeqCst))
        });
        // While the kernel takes its time, others are answered.
        std::thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        world.ask("other.example.", RecordType::A);
        assert!(start.elapsed() < Duration::from_millis(150), "{:?}", start.elapsed());
        asker.join().unwrap()
    });
    assert_eq!(waiting, (vec!["203.0.113.1".to_owned()], true));
}

#[test]
fn what_was_granted_is_granted_again_when_the_kernel_may_have_lost_it() {
    let upstream = Upstream::fixed(vec![at("example.com.", "203.0.113.1", 60)]);
    let mut world = World::start(ruleset(&[], Some(&["example.com:443"])), &[upstream.address]);
    let asked = |world: &World| {
        world.ask("example.com.", RecordType::A);
        world.granted().len()
    };
    assert_eq!((asked(&world), asked(&world)), (1, 1));
    world.resolver.grants_lost();
    assert_eq!((asked(&world), asked(&world)), (2, 2));
    world.resolver.policy(rules(ruleset(&[], Some(&["example.com:443"]))));
    assert_eq!((asked(&world), asked(&world)), (3, 3));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn without_a_grant_there_is_no_answer() {
    let upstream = Upstream::fixed(vec![at("example.com.", "203.0.113.1", 60)]);
    let full = |_: &Ruleset, _: &Version, _: &[Grant]| Err(GrantError::Full);
    let resolver = start(ruleset(&[], Some(&["example.com:443"])), &[upstream.address], full);
    let world = World { resolver, granted: Arc::default() };
    let answer = world.ask("example.com.", RecordType::A);
    assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::ServFail, 0));
}

#[test]
fn rules_that_are_being_replaced_are_waited_for() {
    let upstream = Upstream::fixed(vec![at("example.com.", "203.0.113.1", 60)]);
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    let absent = move |_: &Ruleset, _: &Version, _: &[Grant]| match count.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Err(GrantError::NotLoaded),
        _ => Ok(()),
    };
    let resolver = start(ruleset(&[], Some(&["example.com:443"])), &[upstream.address], absent);
    let world = World { resolver, granted: Arc::default() };
    assert_eq!(world.addresses("example.com.", RecordType::A), ["203.0.113.1"]);
    assert_eq!((tried.load(Ordering::SeqCst), upstream.count()), (3, 1));
}

#[test]
fn a_lease_by_name_opens_at_once_and_closes_at_once() {
    let upstream = Upstream::fixed(vec![at("git.corp.lan.", "10.1.2.8", 60)]);
    let mut world = World::start(ruleset(&[], Some(&[])), &[upstream.address]);
    let code = |world: &World| world.ask("git.corp.lan.", RecordType::A).metadata.response_code;
    assert_eq!(code(&world), ResponseCode::NXDomain);
    let lease = format!("git.corp.lan tcp 443 @{}", me()).parse().unwrap();
    world.resolver.leases(vec![(lease, Duration::from_secs(30))]);
    assert_eq!(world.addresses("git.corp.lan.", RecordType::A), ["10.1.2.8"]);
    assert_eq!(world.granted.lock().unwrap().len(), 1);
    world.resolver.leases(vec![]);
    assert_eq!(code(&world), ResponseCode::NXDomain);
}

#[test]
fn the_same_question_of_many_is_one_question() {
    let upstream = Upstream::start(|query, _| {
        std::thread::sleep(Duration::from_millis(100));
        vec![answer(query, &[at("example.com.", "203.0.113.1", 60)])]
    });
    let world = World::start(ruleset(&[], None), &[upstream.address]);
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..20).map(|_| scope.spawn(|| world.addresses("example.com.", RecordType::A))).collect();
        for asker in askers {
            assert_eq!(asker.join().unwrap(), ["203.0.113.1"]);
        }
    });
    assert_eq!(upstream.count(), 1);
}

#[test]
fn what_does_not_fit_is_cut_or_comes_over_tcp() {
    let text = TXT::new(vec!["x".repeat(200); 10]);
    let mut records = vec![Record::from_rdata(name("big.example."), 60, RData::TXT(text))];
    records.extend((0..60).map(|host| at("many.example.", &format!("203.0.113.{host}"), 60)));
    let upstream = Upstream::start(move |query, tcp| {
        let reply = reply(query, &records);
        vec![if tcp { reply } else { reply.truncate() }.to_vec().unwrap()]
    });
    let world = World::start(ruleset(&[], None), &[upstream.address]);
    let small = world.ask("big.example.", RecordType::TXT);
    assert!(small.metadata.truncation && small.answers.is_empty());
    let large = world.send(&with_edns(query("big.example.", RecordType::TXT), 4096)).unwrap();
    assert!(!large.metadata.truncation && large.answers.len() == 1);
    let tcp = world.ask_tcp(&query("big.example.", RecordType::TXT));
    assert!(!tcp.metadata.truncation && tcp.answers.len() == 1);
    // Of addresses, some are as good as all.
    let some = world.ask("many.example.", RecordType::A);
    assert!(!some.metadata.truncation && some.to_vec().unwrap().len() <= 512);
    assert_eq!(some.answers.len(), (512 - 12 - 18) / 16);
    assert_eq!(world.ask_tcp(&query("many.example.", RecordType::A)).answers.len(), 32);
}

#[test]
fn a_connection_carries_many_questions() {
    let (world, _upstream) = public(vec![at("example.com.", "203.0.113.1", 60)]);
    let mut stream = TcpStream::connect(world.resolver.address()).unwrap();
    for _ in 0..3 {
        let answer = exchange_tcp(&mut stream, &query("example.com.", RecordType::A));
        assert_eq!(addresses(&answer), ["203.0.113.1"]);
    }
}

#[test]
fn connections_are_few_and_what_is_no_query_ends_one() {
    let (world, _upstream) = public(vec![at("example.com.", "203.0.113.1", 60)]);
    let address = world.resolver.address();
    let mut held: Vec<TcpStream> = (0..crate::resolver::limits::CONNECTIONS_MAX)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            exchange_tcp(&mut stream, &query("example.com.", RecordType::A));
            stream
        })
        .collect();
    let is_closed = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        matches!(std::io::Read::read(stream, &mut [0; 64]), Ok(0) | Err(_))
            && {
                let mut again = [0; 1];
                !matches!(std::io::Read::read(stream, &mut again), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
            }
    };
    assert!(is_closed(&mut TcpStream::connect(address).unwrap()));
    let mut last = held.pop().unwrap();
    last.write_all(&[0xff, 0xff]).unwrap();
    last.write_all(&[0; 100]).unwrap();
    assert!(is_closed(&mut last));
    drop(last);
    std::thread::sleep(Duration::from_millis(100));
    let mut stream = TcpStream::connect(address).unwrap();
    exchange_tcp(&mut stream, &query("example.com.", RecordType::A));
}

#[test]
fn loopback_is_the_sandboxs_own_and_any_gets_little() {
    let (world, upstream) = public(vec![]);
    assert_eq!(world.addresses("localhost.", RecordType::A), ["127.0.0.1"]);
    assert_eq!(world.addresses("x.localhost.", RecordType::AAAA), ["::1"]);
    let none = world.ask("localhost.", RecordType::TXT);
    assert_eq!((none.metadata.response_code, none.answers.len()), (ResponseCode::NoError, 0));
    crate::resolver::alive::ask_at(world.resolver.address(), Duration::ZERO).unwrap();
    let any = world.ask("example.com.", RecordType::ANY);
    assert_eq!(any.answers[0].record_type(), RecordType::HINFO);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_address_is_known_by_the_names_that_led_to_it() {
    let (world, _upstream) =
        public(vec![alias("www.example.com.", "cdn.example.", 60), at("cdn.example.", "203.0.113.1", 60)]);
    world.ask("WWW.example.com.", RecordType::A);
    let address: IpAddr = "203.0.113.1".parse().unwrap();
    assert_eq!(world.resolver.names(me(), address), ["www.example.com"]);
    assert!(world.resolver.names(me() + 1, address).is_empty());
}

#[test]
fn who_is_no_identity_is_nobody() {
    let upstream = Upstream::fixed(vec![at("example.com.", "203.0.113.1", 60)]);
    let mut ruleset = ruleset(&[], None);
    for profile in &mut ruleset.profiles {
        profile.identities.retain(|range| range.first != me());
    }
    let world = World::start(ruleset, &[upstream.address]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let query = query("example.com.", RecordType::A).to_vec().unwrap();
    socket.send_to(&query, world.resolver.address()).unwrap();
    assert!(socket.recv(&mut [0; 512]).is_err());
    let mut stream = TcpStream::connect(world.resolver.address()).unwrap();
    let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
    let _ = stream.write_all(&framed);
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert!(matches!(std::io::Read::read(&mut stream, &mut [0; 64]), Ok(0) | Err(_)));
    assert_eq!(upstream.count(), 0);
}

#[test]
fn its_end_is_noticed() {
    let (world, _upstream) = public(vec![]);
    let mut resolver: Resolver = world.resolver;
    let is_readable = |resolver: &Resolver, millis: i64| {
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(resolver.as_fd(), rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&timeout)).unwrap() == 1
    };
    assert!(!is_readable(&resolver, 50) && resolver.ended().is_none());
    resolver.stop();
    assert!(is_readable(&resolver, 900));
    std::thread::sleep(Duration::from_millis(50));
    assert!(resolver.ended().unwrap().to_string().contains("told to"));
}

#[test]
fn the_answer_tells_how_long_it_is_good_for_still() {
    let (world, _upstream) = public(vec![at("example.com.", "203.0.113.1", 60)]);
    let ttl = |message: Message| message.answers[0].ttl;
    assert_eq!(ttl(world.ask("example.com.", RecordType::A)), 60);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(ttl(world.ask("example.com.", RecordType::A)), 59);
}

#[test]
fn names_that_do_not_exist_say_so_at_once() {
    let upstream = Upstream::start(|query, _| {
        let mut reply = reply(query, &[]);
        reply.metadata.response_code = ResponseCode::NXDomain;
        vec![reply.to_vec().unwrap()]
    });
    let world = World::start(ruleset(&[], None), &[upstream.address]);
    let seen = [(); 3].map(|()| world.ask("nowhere.example.", RecordType::A).metadata.response_code);
    assert_eq!(seen, [ResponseCode::NXDomain; 3]);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn names_that_only_the_host_knows_are_for_exceptions_alone() {
    let upstream = Upstream::fixed(vec![]);
    let mut world = World::start(ruleset(&["git.corp.lan:443"], None), &[upstream.address]);
    let hosts = "10.1.2.8 git.corp.lan secret.corp.lan\n169.254.169.254 git.corp.lan\nfd00::8 git.corp.lan\n";
    world.resolver.hosts(crate::resolver::hosts::parse(hosts));
    assert_eq!(world.addresses("Git.corp.lan.", RecordType::A), ["10.1.2.8"]);
    assert_eq!(world.addresses("git.corp.lan.", RecordType::AAAA), ["fd00::8"]);
    assert_eq!(world.granted(), ["Excepted(0) 10.1.2.8", "Excepted(0) fd00::8"]);
    assert_eq!(upstream.count(), 0);
    assert_eq!(world.ask("secret.corp.lan.", RecordType::A).answers.len(), 0);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn what_is_asked_again_within_the_second_follows_every_change() {
    let upstream = Upstream::start(|query, _| {
        let owner = query.queries[0].name.to_ascii();
        vec![answer(query, &[at(&owner, "203.0.113.1", 60), at(&owner, "198.51.100.1", 60)])]
    });
    let mut world = World::start(ruleset(&[], Some(&["example.com:443"])), &[upstream.address]);
    world.resolver.policy(Rules { on_link: vec![], ..rules(ruleset(&[], Some(&["example.com:443"]))) });
    for _ in 0..4 {
        let answer = world.ask("example.com.", RecordType::A);
        assert_eq!((addresses(&answer).len(), answer.answers[0].ttl), (2, 60));
    }
    assert_eq!(world.granted().len(), 2);
    world.resolver.grants_lost();
    assert_eq!(world.addresses("example.com.", RecordType::A).len(), 2);
    assert_eq!(world.granted().len(), 4);
    // A link came up.
    world.resolver.policy(rules(ruleset(&[], Some(&["example.com:443"]))));
    assert_eq!(world.addresses("example.com.", RecordType::A), ["203.0.113.1"]);
    // Another size, other octets: another query.
    let edns = world.send(&with_edns(query("example.com.", RecordType::A), 1232)).unwrap();
    assert!(edns.edns.is_some());
    world.resolver.policy(rules(ruleset(&[], Some(&[]))));
    assert_eq!(world.ask("example.com.", RecordType::A).metadata.response_code, ResponseCode::NXDomain);
}
