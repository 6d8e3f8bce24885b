use super::*;
use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use crate::policy::{Exception, Listed, NamePattern, Policy, PortRange, Ports, Profile, Protocol, Reach, Target};
use proptest::prelude::*;

fn ports(first: u16, last: u16) -> Ports {
    Ports::new(vec![PortRange::new(first, last).unwrap()]).unwrap()
}

/// Few names, ports and profiles, so that old and new rules often meet.
fn patterns() -> impl Strategy<Value = NamePattern> {
    "(\\*\\.)?(a|b|a\\.b|b\\.a)".prop_map(|text| text.parse().unwrap())
}

fn rulesets() -> impl Strategy<Value = Ruleset> {
    let rules = || {
        let rule = (patterns(), 1_u16..4, prop_oneof![0_u16..3, Just(100)])
            .prop_map(|(pattern, first, more)| (pattern, ports(first, first + more)));
        proptest::collection::vec(rule, 0..5)
    };
    let profile = (rules(), proptest::option::of(rules()));
    proptest::collection::vec(profile, 1..4).prop_map(|profiles| {
        let profiles = profiles.into_iter().enumerate().map(|(number, (excepted, list))| Profile {
            name: ProfileName::new(&format!("p{number}")).unwrap(),
            exceptions: excepted
                .into_iter()
                .map(|(pattern, ports)| Exception { target: Target::Domain(pattern), ports, protocol: Protocol::Any })
                .collect(),
            reach: list.map_or(Reach::Public, |list| {
                let listed = |(pattern, ports)| Listed { pattern, ports, protocol: Protocol::Tcp };
                Reach::Listed(list.into_iter().map(listed).collect())
            }),
        });
        Ruleset::from(&Policy {
            profiles: profiles.collect(),
            users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).unwrap()],
            private: vec![],
            vpn_interfaces: vec![],
            bridging: None,
        })
    })
}

fn any_held() -> impl Strategy<Value = Vec<Held>> {
    let profile = || (0..4_u32).prop_map(|number| ProfileName::new(&format!("p{number}")).unwrap());
    let address = || {
        prop_oneof![
            Just("10.0.0.1"),
            Just("198.51.100.1"),
            Just("fd00::1"),
            Just("169.254.169.254"),
            Just("64:ff9b::7f00:1")
        ]
        .prop_map(|text| text.parse::<IpAddr>().unwrap())
    };
    let port =
        || (any::<bool>(), 1_u16..6).prop_map(|(tcp, port)| (if tcp { Transport::Tcp } else { Transport::Udp }, port));
    let kind = prop_oneof![Just(NameKind::Excepted), Just(NameKind::Listed)];
    let comment = prop_oneof![
        4 => "(a|b|x)(\\.(a|b)){0,2}",
        1 => "(a|b)\\.",
        1 => "(10\\.0\\.0\\.1|a\\.b) (tcp|udp) [1-5] (p[0-3]|@1919090688|@5)",
        1 => any::<String>(),
    ];
    let contents = (kind, profile(), 0..5_u8).prop_map(|(kind, profile, which)| match which {
        0 => Contents::Names { kind, profile, class: None },
        1 => Contents::Names { kind, profile, class: Some(7) },
        2 => Contents::Leases(Some(profile)),
        3 => Contents::Leased(Some(profile)),
        _ => Contents::Leases(None),
    });
    let identity = prop_oneof![Just(BLOCK_START), Just(5)];
    let placed = (contents, address(), port(), identity, comment, 0_u64..4000).prop_map(
        |(contents, address, port, identity, comment, milliseconds)| {
            let session = matches!(contents, Contents::Leases(None));
            let wide = matches!(contents, Contents::Names { class: Some(_), .. });
            let identity = session.then_some(identity);
            let key = HeldKey::Address { contents, identity, address, port: (!wide).then_some(port) };
            Held { key, comment, remaining: Duration::from_millis(milliseconds) }
        },
    );
    let named = ("(a\\.b|\\*\\.a) (tcp|udp) [1-5] (p[0-3]|@1919090688|@5)", 0_u64..9000)
        .prop_map(|(comment, left)| Held { key: HeldKey::LeasedName, comment, remaining: Duration::from_millis(left) });
    proptest::collection::vec(prop_oneof![5 => placed, 1 => named], 0..30)
}

/// Whether the new rules, asked on their own, let this element be.
fn is_allowed(held: &Held, ruleset: &Ruleset) -> bool {
    let profile = |name: &ProfileName| ruleset.profiles.iter().find(|profile| profile.name == *name);
    match &held.key {
        HeldKey::LeasedName => has_holder(&held.comment.parse().unwrap(), ruleset),
        HeldKey::Address { contents: Contents::Names { kind, profile: name, class }, port, address, .. } => {
            let Some(rules) = profile(name).and_then(|profile| kind.rules(profile)) else { return false };
            let name = DomainName::new(&held.comment).unwrap();
            let covering = rules.patterns.iter().filter(|(pattern, _)| pattern.covers(&name)).map(|(_, class)| *class);
            let open = |of: usize| match (class, port) {
                (Some(class), None) => *class == of,
                (None, Some((transport, port))) => rules.classes[of]
                    .iter()
                    .any(|(own, ports)| own == transport && (ports.first()..=ports.last()).contains(port)),
                _ => false,
            };
            covering.into_iter().any(open) && (*kind == NameKind::Listed || !is_never(address))
        }
        HeldKey::Address { address, .. } => {
            lease_of(&held.key, &held.comment).is_some_and(|lease| has_holder(&lease, ruleset)) && !is_never(address)
        }
    }
}

/// The longest time that something had before which could have become this.
fn before(held: &Held, old: &[Held]) -> Option<Duration> {
    let same = |before: &&Held| match (&before.key, &held.key) {
        (
            HeldKey::Address { contents: Contents::Names { kind: k, profile: p, .. }, address: a, .. },
            HeldKey::Address { contents: Contents::Names { kind, profile, .. }, address, .. },
        ) => (k, p, a, &before.comment) == (kind, profile, address, &held.comment),
        (HeldKey::LeasedName, HeldKey::LeasedName) => before.comment == held.comment,
        (before, held) => before == held,
    };
    old.iter().filter(same).map(|before| before.remaining).max()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_new_rules_decide_and_nothing_appears_or_lasts_longer(ruleset in rulesets(), old in any_held()) {
        let kept = carried(&old, &ruleset);
        let mut keys = BTreeSet::new();
        for held in &kept {
            prop_assert!(is_allowed(held, &ruleset), "{held:?}");
            let before = before(held, &old);
            prop_assert!(before.is_some_and(|before| held.remaining < before), "{held:?} of {before:?}");
            prop_assert!(held.remaining >= Duration::from_secs(1) && held.remaining.subsec_nanos() == 0);
            let lease = if held.key == HeldKey::LeasedName { held.comment.as_str() } else { "" };
            prop_assert!(keys.insert((held.key.clone(), lease.to_owned())), "twice: {held:?}");
        }
    }

    #[test]
    fn under_the_same_rules_everything_that_they_granted_stays(ruleset in rulesets(), old in any_held()) {
        let granted = carried(&old, &ruleset);
        let longer: Vec<Held> =
            granted.iter().map(|held| Held { remaining: held.remaining + MARGIN, ..held.clone() }).collect();
        let mut again = carried(&longer, &ruleset);
        let mut granted = granted;
        let order = |held: &Held| (held.key.clone(), held.comment.clone());
        again.sort_by_key(order);
        granted.sort_by_key(order);
        prop_assert_eq!(again, granted);
    }
}

#[test]
fn of_too_many_the_first_to_end_go() {
    let profile = ProfileName::public();
    let held = |number: u32| Held {
        key: HeldKey::Address {
            contents: Contents::Leases(Some(profile.clone())),
            identity: None,
            address: std::net::Ipv4Addr::from(0x0a00_0000 + number).into(),
            port: Some((Transport::Tcp, 443)),
        },
        comment: String::new(),
        remaining: Duration::from_secs(100 + u64::from(number)),
    };
    let ruleset = Ruleset::from(&Policy {
        profiles: vec![Profile { name: profile.clone(), exceptions: vec![], reach: Reach::Public }],
        users: vec![],
        private: vec![],
        vpn_interfaces: vec![],
        bridging: None,
    });
    let kept = carried(&(0..2 * LEASES_MAX).map(held).collect::<Vec<_>>(), &ruleset);
    assert_eq!(kept.len(), LEASES_MAX as usize);
    assert!(kept.iter().all(|held| held.remaining >= Duration::from_secs(99 + u64::from(LEASES_MAX))));
}
