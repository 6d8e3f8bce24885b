//! What names were answered with is open, for their rules and as long as they say.

use super::*;

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
