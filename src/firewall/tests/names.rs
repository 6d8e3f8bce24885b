//! Names and leases in a kernel, judged by a neighbour in a network namespace of its own.

use super::*;
use crate::firewall::grants::{Grant, GrantError, GrantKind, Grants};
use crate::firewall::leases::{LeaseError, Leases};
use crate::firewall::netfilter::{Batch, Element, Netfilter};
use crate::firewall::nft::{self, ADDRESSES_MAX, LEASED_NAMES};
use crate::policy::ruleset::{ADDRESS_LIFETIME, RESOLVER, Version};
use crate::policy::{DomainName, Lease, Listed, Reach};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const LOCKED: u32 = BLOCK_START + 2 * SLOTS;

/// Where the neighbour answers: private and public, of both families, all on port 443.
const PRIVATE: &str = "10.60.0.1:443";
const PRIVATE_V6: &str = "[fd00:60::1]:443";
const FAR: &str = "198.51.100.1:443";
const FAR_V6: &str = "[2001:db8:60::1]:443";

fn ports(text: &str) -> Ports {
    Ports::new(text.split(',').map(|range| range.parse().unwrap()).collect()).unwrap()
}

fn by_name(pattern: &str, list: &str) -> Exception {
    let target = Target::Domain(pattern.parse().unwrap());
    Exception { target, ports: ports(list), protocol: Protocol::Tcp }
}

fn listed(pattern: &str, list: &str) -> Listed {
    Listed { pattern: pattern.parse().unwrap(), ports: ports(list), protocol: Protocol::Tcp }
}

/// The policy of the other tests, with names.
fn with_names() -> Policy {
    let mut policy = policy();
    policy.profiles[1].exceptions.push(by_name("git.corp.lan", "443"));
    policy.profiles[1].exceptions.push(by_name("*.lab.lan", "400-500"));
    policy.profiles.push(Profile {
        name: ProfileName::new("locked").unwrap(),
        exceptions: vec![by_name("git.corp.lan", "443")],
        reach: Reach::Listed(vec![listed("example.com", "443"), listed("*.example.org", "80,443")]),
    });
    policy
}

/// A neighbour behind the LAN that echoes on every address of its own.
fn with_neighbour(test: impl FnOnce(&World) + Send + 'static) {
    World::build(|world| {
        let (ready, started) = mpsc::channel();
        let (moved, arrived) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            // SAFETY: CLONE_NEWNET moves this thread only, and no memory or descriptor with it.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
            ready.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            arrived.recv().unwrap();
            for command in [
                "link set lo up",
                "link set neighbour up",
                "addr add 203.0.113.1/24 dev neighbour",
                "-6 addr add 2001:db8:1::1/64 dev neighbour nodad",
                "addr add 10.60.0.1/32 dev lo",
                "addr add 198.51.100.1/32 dev lo",
                "addr add 198.51.100.2/32 dev lo",
                "-6 addr add fd00:60::1/128 dev lo nodad",
                "-6 addr add 2001:db8:60::1/128 dev lo nodad",
            ] {
                assert!(Command::new("ip").args(command.split(' ')).status().unwrap().success(), "{command}");
            }
            let listener = TcpListener::bind("[::]:443").unwrap();
            ready.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            for stream in listener.incoming() {
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut reader = stream.try_clone().unwrap();
                    // Ends when the other side does, or is cut.
                    let _ = std::io::copy(&mut reader, &mut stream);
                });
            }
        });
        let neighbour = started.recv().unwrap();
        world.ip(&format!("link set neighbour netns {neighbour}"));
        moved.send(()).unwrap();
        started.recv().unwrap();
        // Neighbour discovery for the first packet would take a moment of each test.
        eventually("the neighbour", || TcpStream::connect(FAR).is_ok() && TcpStream::connect(FAR_V6).is_ok());
        test(world);
    });
}

fn connect(to: &'static str, identity: u32) -> std::io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    as_identity(identity, move || {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(stream)
    })
}

/// Denied at once, not lost on the way.
fn is_cut(to: &'static str, identity: u32) -> bool {
    let started = Instant::now();
    let refused = connect(to, identity).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    refused && started.elapsed() < Duration::from_millis(500)
}

/// Whether bytes go there and come back.
fn echoes(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])
}

struct Names {
    ruleset: Ruleset,
    version: Version,
    grants: Grants,
}

impl Names {
    fn of(world: &World, policy: &Policy) -> Self {
        let ruleset = Ruleset::from(policy);
        Self { version: nft::version(&ruleset), ruleset, grants: Grants::open_in(world.run()).unwrap() }
    }

    fn grant(&mut self, profile: usize, name: &str, to: &str, seconds: u64) -> Result<(), GrantError> {
        let name = DomainName::new(name).unwrap();
        let rules = &self.ruleset.profiles[profile];
        let listed = rules.listed.as_ref().map(|rules| rules.classes_of(&name)).unwrap_or_default();
        let kinds = rules.excepted.classes_of(&name).into_iter().map(GrantKind::Excepted);
        let grants: Vec<Grant> = kinds
            .chain(listed.into_iter().map(GrantKind::Listed))
            .map(|kind| self.to(profile, kind, name.as_str(), to, seconds))
            .collect();
        assert!(!grants.is_empty(), "{name} has no rule");
        self.add(&grants)
    }

    fn to(&self, profile: usize, kind: GrantKind, name: &str, to: &str, seconds: u64) -> Grant {
        let address = to.parse::<SocketAddr>().unwrap().ip();
        Grant { profile, kind, name: DomainName::new(name).unwrap(), address, lifetime: Duration::from_secs(seconds) }
    }

    fn add(&mut self, grants: &[Grant]) -> Result<(), GrantError> {
        self.grants.add(&self.ruleset, &self.version, grants)
    }
}

fn lease(text: &str) -> Lease {
    text.parse().unwrap()
}

#[test]
fn a_listed_profile_reaches_what_was_answered_and_nothing_else() {
    with_neighbour(|world| {
        world.apply(&with_names()).unwrap();
        world.check(&with_names(), "locked", LOCKED).unwrap();
        let mut names = Names::of(world, &with_names());
        for to in [FAR, FAR_V6, PRIVATE, PRIVATE_V6] {
            assert!(is_cut(to, LOCKED), "{to}");
        }
        names.grant(2, "example.com", FAR, 60).unwrap();
        names.grant(2, "a.b.example.org", FAR_V6, 60).unwrap();
        for to in [FAR, FAR_V6] {
            echoes(&mut connect(to, LOCKED).unwrap()).unwrap();
        }
        for to in ["198.51.100.2:443", "198.51.100.1:80", "198.51.100.1:8443"] {
            assert!(is_cut(to, LOCKED), "{to}");
        }
        assert!(is_refused("198.51.100.1:443", LOCKED), "the rule is for TCP");
        let status = status(&names.ruleset).unwrap();
        assert_eq!(status.state, State::InForce);
        let counted = &status.counters[2];
        assert!(counted.denied[&nft::Class::Unlisted].packets >= 6 && counted.allowed["listed"].packets >= 2);
        assert!(!status.counters[0].denied.contains_key(&nft::Class::Unlisted));
    });
}

#[test]
fn an_exception_by_name_opens_private_space_on_its_ports_in_its_profile() {
    with_neighbour(|world| {
        world.apply(&with_names()).unwrap();
        let mut names = Names::of(world, &with_names());
        assert!(is_cut(PRIVATE, WORK));
        names.grant(1, "git.corp.lan", PRIVATE, 60).unwrap();
        // A class of many ports.
        names.grant(1, "x.lab.lan", PRIVATE_V6, 60).unwrap();
        for to in [PRIVATE, PRIVATE_V6] {
            echoes(&mut connect(to, WORK).unwrap()).unwrap();
            assert!(is_cut(to, PUBLIC) && is_cut(to, LOCKED), "{to}");
        }
        assert!(is_cut("[fd00:60::1]:399", WORK) && is_cut("10.60.0.1:444", WORK));
        // A listed name that is answered with private space opens nothing there.
        names.grant(2, "example.com", PRIVATE, 60).unwrap();
        assert!(is_cut(PRIVATE, LOCKED));
    });
}

#[test]
fn an_address_ends_by_itself_and_a_live_flow_keeps_it() {
    with_neighbour(|world| {
        world.apply(&with_names()).unwrap();
        let mut names = Names::of(world, &with_names());
        let mut kernel = Netfilter::open().unwrap();
        let set = |names: &Names| format!("listed4_{}-locked", &names.version.to_string()[..12]);
        names.grant(2, "example.com", FAR, 2).unwrap();
        // Knocking at a port where nothing is keeps nothing.
        names.grant(2, "www.example.org", "198.51.100.2:80", 2).unwrap();
        assert!(connect("198.51.100.2:80", LOCKED).is_err());
        let mut flow = connect(FAR, LOCKED).unwrap();
        for _ in 0..6 {
            echoes(&mut flow).unwrap();
            std::thread::sleep(Duration::from_millis(500));
        }
        let elements = kernel.elements(&set(&names)).unwrap();
        assert_eq!(elements.len(), 1, "{elements:?}");
        assert_eq!(elements[0].comment.as_deref(), Some("example.com"));
        let left = elements[0].remaining.unwrap();
        assert!(left <= ADDRESS_LIFETIME && left > ADDRESS_LIFETIME - Duration::from_secs(60), "{left:?}");
        // A grant does not shorten what a flow has kept.
        names.grant(2, "example.com", FAR, 2).unwrap();
        assert!(kernel.elements(&set(&names)).unwrap()[0].remaining.unwrap() > Duration::from_secs(500));
    });
}

#[test]
fn a_lease_opens_at_once_and_its_revocation_cuts_the_flow() {
    with_neighbour(|world| {
        world.apply(&with_names()).unwrap();
        let ruleset = Ruleset::from(&with_names());
        let mut leases = Leases::open_in(world.run()).unwrap();
        let ours = lease("10.60.0.1 tcp 443 public");
        assert!(is_cut(PRIVATE, PUBLIC));
        leases.add(&ruleset, &ours, Duration::from_secs(60)).unwrap();
        let mut flow = connect(PRIVATE, PUBLIC).unwrap();
        echoes(&mut flow).unwrap();
        assert!(is_cut(PRIVATE, WORK), "another profile's");
        let listed = leases.list().unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].lease == ours && listed[0].time > Duration::from_secs(50));
        assert!(leases.revoke(&ours).unwrap() && !leases.revoke(&ours).unwrap());
        let error = echoes(&mut flow).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        assert!(is_cut(PRIVATE, PUBLIC) && leases.list().unwrap().is_empty());
    });
}

#[test]
fn the_end_of_a_lease_cuts_the_flow_with_nobody_there() {
    with_neighbour(|world| {
        world.apply(&with_names()).unwrap();
        let ruleset = Ruleset::from(&with_names());
        let mut leases = Leases::open_in(world.run()).unwrap();
        leases.add(&ruleset, &lease("fd00:60::1 tcp 440-445 @1919090753"), Duration::from_secs(2)).unwrap();
        assert!(is_cut(PRIVATE_V6, LOCKED), "another session of the same profile");
        drop(leases);
        let mut flow = connect(PRIVATE_V6, LOCKED + 1).unwrap();
        let started = Instant::now();
        let error = loop {
            if let Err(error) = echoes(&mut flow) {
                break error;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "it does not end");
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        assert!(started.elapsed() > Duration::from_millis(1500));
    });
}

#[test]
fn a_lease_by_name_is_granted_while_it_lasts_and_closes_with_it() {
    with_neighbour(|world| {
        world.apply(&with_names()).unwrap();
        let mut names = Names::of(world, &with_names());
        let mut leases = Leases::open_in(world.run()).unwrap();
        let ours = lease("*.tmp.lan tcp 443 public");
        let kind = || GrantKind::Lease(ours.clone());
        let name = DomainName::new("a.tmp.lan").unwrap();
        let grant = names.to(0, kind(), name.as_str(), PRIVATE, 300);
        assert!(matches!(names.add(std::slice::from_ref(&grant)), Err(GrantError::NoRule { .. })));
        leases.add(&names.ruleset, &ours, Duration::from_secs(30)).unwrap();
        let found = names.grants.leases(&names.ruleset, PUBLIC, &name).unwrap();
        assert!(matches!(&found[..], [(lease, left)] if *lease == ours && *left <= Duration::from_secs(30)));
        assert_eq!(names.grants.leases(&names.ruleset, WORK, &name).unwrap(), []);
        names.add(std::slice::from_ref(&grant)).unwrap();
        let left = Netfilter::open().unwrap().elements("leased4-public").unwrap()[0].remaining.unwrap();
        assert!(left <= Duration::from_secs(30), "a grant must not outlive its lease: {left:?}");
        for wrong in [
            names.to(1, kind(), "a.tmp.lan", PRIVATE, 9),
            names.to(0, kind(), "tmp.lan", PRIVATE, 9),
            names.to(0, kind(), "a.tmp.lan", "169.254.169.254:443", 9),
            names.to(0, GrantKind::Lease(lease("*.lan tcp 443 public")), "a.tmp.lan", PRIVATE, 9),
        ] {
            assert!(matches!(names.add(std::slice::from_ref(&wrong)), Err(GrantError::NoRule { .. })), "{wrong:?}");
        }
        let mut flow = connect(PRIVATE, PUBLIC).unwrap();
        echoes(&mut flow).unwrap();
        assert!(leases.revoke(&ours).unwrap());
        assert!(echoes(&mut flow).is_err());
        assert!(matches!(names.add(&[grant]), Err(GrantError::NoRule { .. })), "decided before, granted after");
        assert!(is_cut(PRIVATE, PUBLIC));
    });
}

#[test]
fn no_lease_opens_the_host_or_what_gives_credentials_away() {
    with_neighbour(|world| {
        world.apply(&with_names()).unwrap();
        let ruleset = Ruleset::from(&with_names());
        let mut leases = Leases::open_in(world.run()).unwrap();
        let mut add = |text: &str, seconds| leases.add(&ruleset, &lease(text), Duration::from_secs(seconds));
        for reserved in
            ["127.0.0.1", "169.254.169.254", "100.100.100.200", "::1", "fe80::1", "fd00:ec2::254", "0.0.0.0"]
        {
            let refused = add(&format!("{reserved} tcp 443 public"), 9);
            assert!(matches!(refused, Err(LeaseError::Never { .. })), "{reserved}: {refused:?}");
        }
        for own in ["203.0.113.5", "2001:db8:1::5", "64:ff9b::cb00:7105"] {
            let refused = add(&format!("{own} tcp 443 public"), 9);
            assert!(matches!(refused, Err(LeaseError::Host { .. })), "{own}: {refused:?}");
        }
        assert!(matches!(add("10.60.0.1 tcp 443 nobody", 9), Err(LeaseError::NoHolder(_))));
        assert!(matches!(add("10.60.0.1 tcp 443 @1000", 9), Err(LeaseError::NoHolder(_))));
        for seconds in [0, 8 * 24 * 3600] {
            assert!(matches!(add("10.60.0.1 tcp 443 public", seconds), Err(LeaseError::Duration)));
        }
        // Whoever writes past the checks meets the rules.
        let _open = TcpListener::bind("203.0.113.5:443").unwrap();
        for (set, address) in [
            ("lease4", "203.0.113.5"),
            ("lease4", "169.254.169.254"),
            ("leased4", "127.0.0.1"),
            ("lease6", "fd00:ec2::1"),
        ] {
            world.nft(&format!("add element inet rcc {set}-public {{ {address} . udp . 443 timeout 60s }}"));
            world.nft(&format!("add element inet rcc {set}-public {{ {address} . tcp . 443 timeout 60s }}"));
        }
        for to in ["203.0.113.5:443", "169.254.169.254:443", "127.0.0.1:443", "[fd00:ec2::1]:443"] {
            assert!(is_cut(to, PUBLIC), "{to}");
        }
    });
}

#[test]
fn an_apply_keeps_what_the_new_policy_allows_and_cuts_no_flow_of_that() {
    with_neighbour(|world| {
        let before = with_names();
        world.apply(&before).unwrap();
        let mut names = Names::of(world, &before);
        let mut leases = Leases::open_in(world.run()).unwrap();
        names.grant(2, "example.com", FAR, 60).unwrap();
        names.grant(2, "www.example.org", FAR_V6, 60).unwrap();
        names.grant(1, "x.lab.lan", PRIVATE_V6, 60).unwrap();
        leases.add(&names.ruleset, &lease("10.60.0.1 tcp 443 @1919090752"), Duration::from_secs(60)).unwrap();
        leases.add(&names.ruleset, &lease("a.tmp.lan tcp 443 public"), Duration::from_secs(3600)).unwrap();
        let mut flows = [FAR, FAR_V6, PRIVATE].map(|to| connect(to, LOCKED).unwrap());
        let mut lab = connect(PRIVATE_V6, WORK).unwrap();
        let mut after = before.clone();
        let Reach::Listed(list) = &mut after.profiles[2].reach else { unreachable!() };
        // One name goes, one stays with another list of ports, one is new.
        list.remove(0);
        list[0] = listed("*.example.org", "443,8000-9000");
        list.push(listed("new.example.net", "443"));
        for _ in 0..2 {
            world.apply(&after).unwrap();
        }
        let [gone, stays, leased] = &mut flows;
        echoes(stays).unwrap();
        echoes(leased).unwrap();
        echoes(&mut lab).unwrap();
        assert!(echoes(gone).is_err() && is_cut(FAR, LOCKED));
        assert_eq!(world.state(&after), State::InForce);
        let left = leases.list().unwrap();
        assert_eq!(
            left.iter().map(|it| it.lease.to_string()).collect::<Vec<_>>(),
            ["10.60.0.1 tcp 443 @1919090752", "a.tmp.lan tcp 443 public",]
        );
        assert!(left[1].time < Duration::from_secs(3600) && left[1].time > Duration::from_secs(3580), "{left:?}");
        assert!(matches!(names.grant(2, "example.com", FAR, 60), Err(GrantError::NotLoaded)), "an answer of before");
        assert!(is_cut(FAR, LOCKED));
    });
}

#[test]
fn without_rules_nothing_is_granted_and_nothing_breaks() {
    World::build(|world| {
        let mut names = Names::of(world, &with_names());
        let mut leases = Leases::open_in(world.run()).unwrap();
        assert!(matches!(names.grant(2, "example.com", FAR, 60), Err(GrantError::NotLoaded)));
        let name = DomainName::new("a.lan").unwrap();
        assert!(matches!(names.grants.leases(&names.ruleset, PUBLIC, &name), Err(GrantError::NotLoaded)));
        let added = leases.add(&names.ruleset, &lease("10.1.2.3 tcp 443 public"), Duration::from_secs(9));
        assert!(matches!(added, Err(LeaseError::NotLoaded)));
        assert!(leases.list().unwrap().is_empty() && !leases.revoke(&lease("10.1.2.3 tcp 443 public")).unwrap());
        world.apply(&with_names()).unwrap();
        names.grant(2, "example.com", FAR, 60).unwrap();
        world.nft("delete table inet rcc");
        assert!(matches!(names.grant(2, "example.com", FAR, 60), Err(GrantError::NotLoaded)));
    });
}

#[test]
fn a_full_set_grants_nothing_more_until_the_oldest_have_ended() {
    World::build(|world| {
        world.apply(&with_names()).unwrap();
        let mut names = Names::of(world, &with_names());
        let flood = |from: u32, count: u32, seconds| -> Vec<Grant> {
            let class =
                names.ruleset.profiles[2].listed.as_ref().unwrap().classes_of(&"example.com".parse().unwrap())[0];
            let address = |number: u32| std::net::Ipv4Addr::from(0xc633_0000 + number).into();
            let grant = |number| Grant {
                address: address(number),
                ..names.to(2, GrantKind::Listed(class), "example.com", FAR, seconds)
            };
            (from..from + count).map(grant).collect()
        };
        let (first, rest) = (flood(0, 256, 3), flood(256, ADDRESSES_MAX - 256, 300));
        let (more, far_more) = (flood(100_000, 1, 60), flood(200_000, 513, 60));
        names.add(&first).unwrap();
        for grants in rest.chunks(256) {
            names.add(grants).unwrap();
        }
        assert!(matches!(names.add(&more), Err(GrantError::Full)));
        assert!(matches!(names.add(&far_more), Err(GrantError::Full)), "one answer is bounded, too");
        names.add(&rest[..256]).expect("what is open stays so");
        eventually("room", || Names::of(world, &with_names()).add(&more).is_ok());
        // Even so many survive an apply; unoptimised and on a busy machine it takes seconds.
        let started = Instant::now();
        let after = Policy { vpn_interfaces: vec![], ..with_names() };
        world.apply(&after).unwrap();
        let set = format!("listed4_{}-locked", &Names::of(world, &after).version.to_string()[..12]);
        assert!(Netfilter::open().unwrap().elements(&set).unwrap().len() > 16_000);
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    });
}

#[test]
fn only_sandboxes_reach_the_resolver_and_nothing_else_beside_it() {
    World::build(|world| {
        world.apply(&with_names()).unwrap();
        let udp_socket = UdpSocket::bind((RESOLVER, 53)).unwrap();
        let tcp = TcpListener::bind((RESOLVER, 53)).unwrap();
        udp_socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let _other = TcpListener::bind((RESOLVER, 54)).unwrap();
        for identity in [PUBLIC, WORK, LOCKED + 3] {
            assert!(!is_refused("127.82.67.53:53", identity));
            let (_, from) = udp_socket.recv_from(&mut [0; 8]).unwrap();
            udp_socket.send_to(b"answer", from).unwrap();
            let mut client = connect("127.82.67.53:53", identity).unwrap();
            let (mut server, _) = tcp.accept().unwrap();
            server.write_all(b"answer").unwrap();
            client.read_exact(&mut [0; 6]).unwrap();
            assert!(is_cut("127.82.67.53:54", identity) && is_refused("127.82.67.53:5353", identity));
        }
        for stranger in [0, 1000, BLOCK_START - 1] {
            assert!(is_refused("127.82.67.53:53", stranger) && is_cut("127.82.67.53:53", stranger), "{stranger}");
        }
    });
}

#[test]
fn the_leases_of_a_session_end_with_it() {
    World::build(|world| {
        let range = UserRange::new(0, BLOCK_START, RANGE_LENGTH).unwrap();
        let policy = Policy { users: vec![range], ..with_names() };
        world.apply(&policy).unwrap();
        let slots = world.run().join("0/slots");
        std::fs::create_dir_all(&slots).unwrap();
        let slot = std::fs::File::create(slots.join(PUBLIC.to_string())).unwrap();
        slot.lock().unwrap();
        let mut leases = Leases::open_in(world.run()).unwrap();
        let ruleset = Ruleset::from(&policy);
        for text in ["10.1.1.1 tcp 1 @1919090688", "a.lan tcp 1 @1919090689", "10.1.1.1 tcp 1 public"] {
            leases.add(&ruleset, &lease(text), Duration::from_secs(600)).unwrap();
        }
        let mut texts = || -> Vec<String> { leases.list().unwrap().iter().map(|it| it.lease.to_string()).collect() };
        assert_eq!(texts().len(), 3);
        assert!(Leases::open_in(world.run()).unwrap().revoke_ended(&policy).unwrap());
        assert_eq!(texts(), ["10.1.1.1 tcp 1 public", "10.1.1.1 tcp 1 @1919090688"]);
        slot.unlock().unwrap();
        assert!(Leases::open_in(world.run()).unwrap().revoke_ended(&policy).unwrap());
        assert_eq!(texts(), ["10.1.1.1 tcp 1 public"]);
        assert!(!Leases::open_in(world.run()).unwrap().revoke_ended(&policy).unwrap());
    });
}

#[test]
fn foreign_elements_and_comments_are_neither_believed_nor_in_the_way() {
    World::build(|world| {
        world.apply(&with_names()).unwrap();
        let element = |set: &str, key: &str, comment: &str| {
            world.nft(&format!("add element inet rcc {set} {{ {key} timeout 600s comment \"{comment}\" }}"));
        };
        element("leasednames", "1 . 2", "evil.lan tcp 443 public");
        element("lease4-public", "10.9.9.9 . tcp . 22", "10.1.1.1 tcp 443 work");
        element("lease4-public", "10.9.9.8 . tcp . 22", "; flush ruleset");
        element("leased4-public", "10.9.9.7 . tcp . 22", "gone.lan tcp 22 public");
        let mut batch = Batch::default();
        let hostile = Element {
            key: vec![1; 8],
            remaining: Some(Duration::from_secs(600)),
            comment: Some("\u{1b}[2J\n".repeat(20)),
        };
        batch.add(LEASED_NAMES, &[hostile]);
        Netfilter::open().unwrap().execute(&batch).unwrap();
        let mut leases = Leases::open_in(world.run()).unwrap();
        let texts = |leases: &mut Leases| -> Vec<String> {
            leases.list().unwrap().iter().map(|it| it.lease.to_string()).filter(|it| !it.is_empty()).collect()
        };
        assert_eq!(texts(&mut leases), ["10.9.9.8 tcp 22 public", "10.9.9.9 tcp 22 public"], "by their keys");
        world.apply(&with_names()).unwrap();
        assert_eq!(texts(&mut leases), ["10.9.9.8 tcp 22 public", "10.9.9.9 tcp 22 public"]);
        assert!(leases.revoke(&lease("10.9.9.9 tcp 22 public")).unwrap());
        assert_eq!(texts(&mut leases), ["10.9.9.8 tcp 22 public"]);
        assert_eq!(world.state(&with_names()), State::InForce);
        assert!(Netfilter::open().unwrap().elements("leased4-public").unwrap().is_empty());
    });
}

#[test]
fn ten_thousand_exceptions_and_a_thousand_names_hold_together() {
    World::build(|world| {
        let mut policy = with_names();
        let address = |number: u32| exception(&format!("10.{}.{}.7/32", number / 250, number % 250), "443");
        policy.profiles[1].exceptions.extend((0..10_000).map(address));
        let name = |number: u16| by_name(&format!("n{number}.corp.lan"), &number.to_string());
        policy.profiles[1].exceptions.extend((1..=500).map(name));
        let Reach::Listed(list) = &mut policy.profiles[2].reach else { unreachable!() };
        list.extend((1..=500).map(|number| listed(&format!("n{number}.example.net"), "443")));
        world.apply(&policy).unwrap();
        let mut names = Names::of(world, &policy);
        names.grant(2, "n500.example.net", "198.51.100.9:443", 60).unwrap();
        world.apply(&policy).unwrap();
        assert_eq!(world.state(&policy), State::InForce);
    });
}
