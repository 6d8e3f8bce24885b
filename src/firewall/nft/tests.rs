//! Rendering, and what nft makes of it.

use super::*;
use crate::firewall::golden::{self, assert_golden};
use crate::policy::bridge::{Bridging, DEFAULT_V4, DEFAULT_V6};
use crate::policy::identity::{BLOCK_START, PROFILES_MAX, RANGE_LENGTH, UserRange};
use crate::policy::ruleset::Transport;
use crate::policy::{
    Exception, Listed, NamePattern, Policy, PortRange, Ports, Profile, ProfileName, Protocol, Reach, Target,
};
use ipnet::IpNet;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{self, Stdio};
use std::time::Duration;

/// The golden policy of all backends, and what only this one renders so far.
fn policy() -> Policy {
    let ports = |text: &str| Ports::new(text.split(',').map(|range| range.parse().unwrap()).collect()).unwrap();
    let listed =
        |pattern: &str, list, protocol| Listed { pattern: pattern.parse().unwrap(), ports: ports(list), protocol };
    let all = "1024-65535";
    let exception =
        Exception { target: Target::Domain("*.lab.lan".parse().unwrap()), ports: ports(all), protocol: Protocol::Any };
    let locked = Profile {
        name: ProfileName::new("locked").unwrap(),
        exceptions: vec![exception],
        reach: Reach::Listed(vec![
            listed("example.com", "443", Protocol::Any),
            listed("*.example.com", "443", Protocol::Any),
            listed("deb.example.org", "80,443", Protocol::Tcp),
            listed("ftp.example.org", "21,30000-40000", Protocol::Tcp),
        ]),
    };
    let mut policy = golden::policy();
    policy.profiles.push(locked);
    policy
}

fn surroundings() -> Surroundings {
    Surroundings {
        on_link: vec!["203.0.113.0/24".parse().unwrap(), "2001:db8:1::/64".parse().unwrap()],
        own: vec!["203.0.113.9".parse().unwrap()],
        resolvers: vec!["127.0.0.53:53".parse().unwrap()],
    }
}

fn loading(ruleset: &Ruleset, surroundings: &Surroundings) -> Document {
    replace(ruleset, &version(ruleset), surroundings)
}

/// One object to a line, so that differences can be read.
fn lines(document: &Document) -> String {
    document.nftables.iter().map(|object| serde_json::to_string(object).unwrap() + "\n").collect()
}

#[test]
fn the_transaction_is_as_it_was() {
    assert_golden("nft.jsonl", &lines(&loading(&Ruleset::from(&policy()), &surroundings())));
}

fn bridged() -> Policy {
    let profiles = vec![ProfileName::public(), ProfileName::new("locked").unwrap()];
    Policy { bridging: Some(Bridging { profiles, v4: DEFAULT_V4, v6: DEFAULT_V6 }), ..policy() }
}

/// With the tag of the version and its ports gone, which differ in every line otherwise.
#[test]
fn what_bridges_add_to_the_transaction_is_as_it_was() {
    let document = |policy: &Policy| {
        let ruleset = Ruleset::from(policy);
        lines(&super::document(&ruleset, None, &Surroundings::default(), &[]))
    };
    let (without, with) = (document(&policy()), document(&bridged()));
    let before: std::collections::BTreeSet<&str> = without.lines().collect();
    let added: Vec<&str> = with.lines().filter(|line| !before.contains(line)).collect();
    assert_eq!(with.lines().count(), without.lines().count() + added.len(), "nothing else changes");
    // Every place is one element, all alike.
    let short = added.iter().map(|line| line.split_once("\"elem\":").map_or(*line, |(head, _)| head).to_owned() + "\n");
    assert_golden("nft-bridges.jsonl", &short.collect::<String>());
}

#[test]
fn nft_takes_bridges() {
    let mut policy = bridged();
    policy.bridging.as_mut().unwrap().profiles = policy.profiles.iter().map(|profile| profile.name.clone()).collect();
    nft_takes(&loading(&Ruleset::from(&policy), &surroundings())).unwrap();
    nft_takes(&loading(&Ruleset::from(&Policy { users: vec![], ..policy }), &surroundings())).unwrap();
    nft_takes(&remove_frames()).unwrap();
}

#[test]
fn the_rules_on_bridges_are_those_and_more() {
    let (ruleset, around) = (Ruleset::from(&policy()), surroundings());
    let version = version_on_bridges(&ruleset, -2);
    let resolvers = vec!["192.168.1.1:53".parse().unwrap(), "[2001:db8:1::53]:53".parse().unwrap()];
    let around = Surroundings { resolvers, ..around };
    let document = replace_on_bridges(&ruleset, &version, &around, -2);
    nft_takes(&document).unwrap();
    let sockets = replace(&ruleset, &version, &around).nftables.len();
    let more = Document { nftables: document.nftables[sockets..].to_vec() };
    assert_golden("nft-machine.jsonl", &lines(&more));
    assert_ne!(version, version_on_bridges(&ruleset, -10));
    assert_ne!(version, super::version(&ruleset));
}

#[test]
fn an_update_touches_only_dynamic_sets() {
    let ruleset = Ruleset::from(&policy());
    assert_golden("nft-update.jsonl", &lines(&update(&version(&ruleset), &surroundings())));
}

#[test]
fn the_version_follows_the_configuration_and_not_the_surroundings() {
    let base = policy();
    let of = |policy: &Policy| version(&Ruleset::from(policy));
    assert_eq!(of(&base), of(&policy()));
    let changes: [fn(&mut Policy); 8] = [
        |policy| policy.private.clear(),
        |policy| policy.vpn_interfaces.truncate(1),
        |policy| policy.users.push(UserRange::new(1001, BLOCK_START + RANGE_LENGTH, RANGE_LENGTH).unwrap()),
        |policy| policy.profiles[1].exceptions.truncate(3),
        |policy| policy.profiles.swap(0, 1),
        |policy| policy.profiles[2].reach = Reach::Public,
        |policy| policy.profiles[2].reach = Reach::Listed(vec![]),
        // The same ports, another name.
        |policy| match &mut policy.profiles[2].reach {
            Reach::Listed(list) => list[0].pattern = "example.net".parse().unwrap(),
            Reach::Public => unreachable!(),
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = base.clone();
        change(&mut changed);
        assert_ne!(of(&base), of(&changed), "change {number}");
    }
}

/// What nft says about a document without loading it, in a network namespace of its own. A
/// machine without nft or without namespaces fails the test.
fn nft_takes(document: &Document) -> Result<(), String> {
    let root = rustix::process::geteuid().is_root();
    let namespaces: &[&str] = if root { &["--net"] } else { &["--user", "--map-root-user", "--net"] };
    let mut nft = process::Command::new("unshare")
        .args(namespaces)
        .args(["nft", "-c", "-j", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare is part of util-linux");
    nft.stdin.take().unwrap().write_all(&json(document)).unwrap();
    let output = nft.wait_with_output().unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).chars().take(2000).collect())
    }
}

fn nets() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 1_u8..=32).prop_map(|(bits, length)| IpNet::new(Ipv4Addr::from(bits).into(), length));
    let v6 = (any::<u128>(), 1_u8..=128).prop_map(|(bits, length)| IpNet::new(Ipv6Addr::from(bits).into(), length));
    // Dense enough for prefixes to nest.
    let near = (0_u32..64, 20_u8..=32)
        .prop_map(|(bits, length)| IpNet::new(Ipv4Addr::from(0x0a00_0000 | bits << 4).into(), length));
    prop_oneof![v4, v6, near].prop_map(|net| net.unwrap().trunc())
}

fn ports() -> impl Strategy<Value = Ports> {
    let range = (1_u16.., any::<u16>()).prop_map(|(a, b)| PortRange::new(a.min(b.max(1)), a.max(b)).unwrap());
    let near = (1_u16..20, 0_u16..5).prop_map(|(first, more)| PortRange::new(first, first + more).unwrap());
    proptest::collection::vec(prop_oneof![range, near], 1..4).prop_map(|ranges| Ports::new(ranges).unwrap())
}

fn names() -> impl Strategy<Value = NamePattern> {
    "(\\*\\.)?[a-z]{1,3}\\.(lan|corp)".prop_map(|name| name.parse().unwrap())
}

fn exceptions() -> impl Strategy<Value = Exception> {
    let target = prop_oneof![4 => nets().prop_map(Target::Address), 1 => names().prop_map(Target::Domain)];
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Any)];
    (target, ports(), protocol).prop_map(|(target, ports, protocol)| Exception { target, ports, protocol })
}

fn reach() -> impl Strategy<Value = Reach> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Any)];
    let listed =
        (names(), ports(), protocol).prop_map(|(pattern, ports, protocol)| Listed { pattern, ports, protocol });
    prop_oneof![Just(Reach::Public), proptest::collection::vec(listed, 0..5).prop_map(Reach::Listed)]
}

/// Every policy that the types allow, of a size that nft can send without the host's own
/// CAP_NET_ADMIN (`net.core.wmem_max`): they are what stands between a configuration and a rule.
fn policies() -> impl Strategy<Value = Policy> {
    let profile_names = proptest::collection::btree_set("[a-z][a-z0-9-]{0,23}", 1..4);
    let profiles = profile_names.prop_flat_map(|names| {
        let profiles: Vec<_> =
            names
                .into_iter()
                .take(PROFILES_MAX)
                .map(|name| {
                    let name = ProfileName::new(&name).unwrap();
                    (proptest::collection::vec(exceptions(), 0..10), reach())
                        .prop_map(move |(exceptions, reach)| Profile { name: name.clone(), exceptions, reach })
                })
                .collect();
        profiles
    });
    let users = proptest::collection::btree_set(0_u32..1024, 0..4).prop_map(|slots| {
        let range = |slot| UserRange::new(1000 + slot, BLOCK_START + slot * RANGE_LENGTH, RANGE_LENGTH).unwrap();
        slots.into_iter().map(range).collect()
    });
    let private = proptest::collection::vec(nets(), 0..6);
    let vpns = proptest::collection::vec("[a-zA-Z0-9._-]{1,15}\\*?", 0..5)
        .prop_map(|patterns| patterns.iter().map(|pattern| pattern.parse().unwrap()).collect());
    (profiles, users, private, vpns).prop_map(|(profiles, users, private, vpn_interfaces)| Policy {
        profiles,
        users,
        private,
        vpn_interfaces,
        bridging: None,
    })
}

fn any_surroundings() -> impl Strategy<Value = Surroundings> {
    proptest::collection::vec(nets(), 0..6).prop_map(|on_link| Surroundings {
        on_link: crate::policy::ruleset::aggregated(on_link),
        ..Surroundings::default()
    })
}

/// What a kernel may hold when rules are loaded, under names of this ruleset's profiles.
fn any_held(ruleset: &Ruleset) -> impl Strategy<Value = Vec<Held>> + use<> {
    let contents = held::contents(ruleset);
    let address = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    let one = (0..contents.len(), address, any::<u32>(), 1_u16.., any::<bool>(), 1_u64..700).prop_map(
        move |(at, address, identity, port, tcp, seconds)| {
            let contents = contents[at].clone();
            let shape = contents.shape();
            let transport = if tcp { Transport::Tcp } else { Transport::Udp };
            let key = HeldKey::Address {
                identity: (shape == Shape::Session).then_some(identity),
                port: (shape != Shape::Address).then_some((transport, port)),
                contents,
                address,
            };
            Held { key, comment: "a.lan".to_owned(), remaining: Duration::from_secs(seconds) }
        },
    );
    let leased = "[a-z]{1,20}\\.lan tcp 443 public".prop_map(|comment| Held {
        key: HeldKey::LeasedName,
        comment,
        remaining: Duration::from_secs(60),
    });
    proptest::collection::vec(prop_oneof![4 => one, 1 => leased], 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nft_takes_every_policy_and_no_string_adds_a_rule(
        (policy, held) in policies().prop_flat_map(|policy| {
            let held = any_held(&Ruleset::from(&policy));
            (Just(policy), held)
        }),
        surroundings in any_surroundings(),
    ) {
        let ruleset = Ruleset::from(&policy);
        let version = version(&ruleset);
        let document = replace_keeping(&ruleset, &version, &surroundings, &held);
        prop_assert_eq!(nft_takes(&document), Ok(()));
        // 24 of its own, 4 of its canary, 3 of refusal; 3 for each reason; 1 into the chain of
        // each set of names, and 3 in it.
        let sets = |profile| NameKind::ALL.map(|kind| 2 * held::names(kind, profile).len()).iter().sum::<usize>();
        let each = |profile| 24 + 4 + 3 + ruleset.vpn_interfaces.len() + 3 * Class::of(profile).len() + 4 * sets(profile);
        let dispatch = usize::from(!policy.users.is_empty());
        let rules: usize = rules_by_chain(&document).values().sum();
        prop_assert_eq!(rules, 4 + dispatch + 2 + ruleset.profiles.iter().map(each).sum::<usize>());
    }
}

#[test]
fn a_thousand_names_with_ports_of_their_own_cost_a_packet_one_look() {
    let mut policy = policy();
    let name = |number: u16| Exception {
        target: Target::Domain(format!("n{number}.corp.lan").parse().unwrap()),
        ports: Ports::new(vec![PortRange::new(number, number).unwrap()]).unwrap(),
        protocol: Protocol::Any,
    };
    policy.profiles[0].exceptions = (1..=1000).map(name).collect();
    let document = loading(&Ruleset::from(&policy), &surroundings());
    assert!(rules_by_chain(&document)["profile-public"] < 40);
}

#[test]
fn the_name_of_a_set_says_what_it_holds_and_nothing_else_is_read_from_one() {
    let ruleset = Ruleset::from(&policy());
    for contents in held::contents(&ruleset) {
        for family in Family::BOTH {
            for version in [None, Some(&version(&ruleset))] {
                let set = contents.set(family, version);
                assert_eq!(Contents::parse(&set), Some((contents.clone(), family)), "{set}");
            }
        }
    }
    for other in [
        "denied4",
        "onlink6",
        "host4-public",
        "prefix4-public",
        "leasednames",
        "lease4",
        "lease5-public",
        "lease4-",
        "lease4-Public",
        "sessionlease4-public",
        "excepted4-public",
        "excepted4_-",
        "excepted4_0_x-public",
        "lease",
        "",
        "4",
        "-",
        "lease\u{e9}4-public",
    ] {
        assert_eq!(Contents::parse(other), None, "{other}");
    }
}
