//! Leases: opened at once, ended by time, by hand and with their sandbox.

use super::*;
use crate::firewall::leases::Sessions;
use crate::network::slot::Slot;
use std::os::fd::AsRawFd;

/// Loads a policy whose only user is root.
fn of_one_user(world: &World) -> Policy {
    let range = UserRange::new(0, BLOCK_START, RANGE_LENGTH).unwrap();
    let policy = Policy { users: vec![range], ..with_names() };
    world.apply(&policy).unwrap();
    policy
}

/// The file of that user's first slot, which a session holds locked.
fn slot_file(world: &World) -> std::fs::File {
    let slots = world.run().join("0/slots");
    std::fs::create_dir_all(&slots).unwrap();
    std::fs::File::create(slots.join(PUBLIC.to_string())).unwrap()
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
fn the_leases_of_a_session_end_with_it() {
    World::build(|world| {
        let policy = of_one_user(world);
        let slot = slot_file(world);
        slot.lock().unwrap();
        let mut leases = Leases::open_in(world.run()).unwrap();
        let ruleset = Ruleset::from(&policy);
        for text in ["10.1.1.1 tcp 1 @1919090688", "a.lan tcp 1 @1919090689", "10.1.1.1 tcp 1 public"] {
            leases.add(&ruleset, &lease(text), Duration::from_secs(600)).unwrap();
        }
        let mut texts = || -> Vec<String> { leases.list().unwrap().iter().map(|it| it.lease.to_string()).collect() };
        assert_eq!(texts().len(), 3);
        let (mut others, mut sessions) = (Leases::open_in(world.run()).unwrap(), Sessions::default());
        let mut revoked = || others.revoke_ended(&policy, &mut sessions).unwrap();
        assert!(revoked());
        assert_eq!(texts(), ["10.1.1.1 tcp 1 public", "10.1.1.1 tcp 1 @1919090688"]);
        slot.unlock().unwrap();
        assert!(revoked());
        assert_eq!(texts(), ["10.1.1.1 tcp 1 public"]);
        assert!(!revoked());
    });
}

#[test]
fn the_next_session_of_an_identity_inherits_nothing_however_soon_it_comes() {
    World::build(|world| {
        let policy = of_one_user(world);
        let user = world.run().join("0");
        let slot = || Slot::acquire(&user, PUBLIC..PUBLIC + 1).unwrap();
        let first = slot();
        let (mut leases, mut sessions) = (Leases::open_in(world.run()).unwrap(), Sessions::default());
        let lease = lease("10.1.1.1 tcp 1 @1919090688");
        leases.add(&Ruleset::from(&policy), &lease, Duration::from_secs(600)).unwrap();
        for _ in 0..2 {
            assert!(!leases.revoke_ended(&policy, &mut sessions).unwrap());
        }
        drop(first);
        // The clock that files are dated by ticks every 10 ms at most (CONFIG_HZ_100).
        std::thread::sleep(Duration::from_millis(20));
        let _next = slot();
        assert!(leases.revoke_ended(&policy, &mut sessions).unwrap());
        assert_eq!(leases.list().unwrap(), []);
        leases.add(&Ruleset::from(&policy), &lease, Duration::from_secs(600)).unwrap();
        assert!(!leases.revoke_ended(&policy, &mut sessions).unwrap(), "its own");
    });
}

#[test]
fn no_user_keeps_root_from_loading_rules_by_a_lease_on_a_slots_file() {
    World::build(|world| {
        let policy = of_one_user(world);
        let slot = slot_file(world);
        // SAFETY: F_SETLEASE takes a number. The notice of the break (SIGIO) goes to nobody.
        let leased = unsafe {
            libc::signal(libc::SIGIO, libc::SIG_IGN);
            libc::fcntl(slot.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)
        };
        assert_eq!(leased, 0, "{}", std::io::Error::last_os_error());
        world.apply(&policy).unwrap();
        let mut leases = Leases::open_in(world.run()).unwrap();
        leases.revoke_ended(&policy, &mut Sessions::default()).unwrap();
    });
}
