//! Rendering, and what nft makes of it.

use super::*;
use crate::firewall::golden::{assert_golden, policy};
use crate::policy::identity::{BLOCK_START, PROFILES_MAX, RANGE_LENGTH, UserRange};
use crate::policy::{Exception, NamePattern, Policy, PortRange, Ports, Profile, ProfileName, Protocol, Reach, Target};
use ipnet::IpNet;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

fn surroundings() -> Surroundings {
    Surroundings {
        on_link: vec!["203.0.113.0/24".parse().unwrap(), "2001:db8:1::/64".parse().unwrap()],
        resolvers: vec!["127.0.0.53".parse().unwrap()],
    }
}

fn loading(ruleset: &Ruleset, surroundings: &Surroundings) -> Nftables<'static> {
    replace(ruleset, &version(ruleset), surroundings)
}

/// One object to a line, so that differences can be read.
fn lines(document: &Nftables<'_>) -> String {
    document.objects.iter().map(|object| serde_json::to_string(object).unwrap() + "\n").collect()
}

#[test]
fn the_transaction_is_as_it_was() {
    assert_golden("nft.jsonl", &lines(&loading(&Ruleset::from(&policy()), &surroundings())));
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
    let changes: [fn(&mut Policy); 5] = [
        |policy| policy.private.clear(),
        |policy| policy.vpn_interfaces.truncate(1),
        |policy| policy.users.push(UserRange::new(1001, BLOCK_START + RANGE_LENGTH, RANGE_LENGTH).unwrap()),
        |policy| policy.profiles[1].exceptions.truncate(3),
        |policy| policy.profiles.swap(0, 1),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = base.clone();
        change(&mut changed);
        assert_ne!(of(&base), of(&changed), "change {number}");
    }
}

/// What nft says about a document without loading it, in a network namespace of its own. A
/// machine without nft or without namespaces fails the test.
fn nft_takes(document: &Nftables<'_>) -> Result<(), String> {
    let mut nft = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "nft", "-c", "-j", "-f", "-"])
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

/// Every policy that the types allow: they are what stands between a configuration and a rule.
fn policies() -> impl Strategy<Value = Policy> {
    let profile_names = proptest::collection::btree_set("[a-z][a-z0-9-]{0,23}", 1..6);
    let profiles = profile_names.prop_flat_map(|names| {
        let profiles: Vec<_> = names
            .into_iter()
            .take(PROFILES_MAX)
            .map(|name| {
                let name = ProfileName::new(&name).unwrap();
                proptest::collection::vec(exceptions(), 0..12).prop_map(move |exceptions| Profile {
                    name: name.clone(),
                    exceptions,
                    reach: Reach::Public,
                })
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
    })
}

fn any_surroundings() -> impl Strategy<Value = Surroundings> {
    proptest::collection::vec(nets(), 0..6).prop_map(|on_link| Surroundings {
        on_link: crate::policy::ruleset::aggregated(on_link),
        ..Surroundings::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nft_takes_every_policy_and_no_string_adds_a_rule(policy in policies(), surroundings in any_surroundings()) {
        let ruleset = Ruleset::from(&policy);
        let document = loading(&ruleset, &surroundings);
        prop_assert_eq!(nft_takes(&document), Ok(()));
        // 13 rules of its own, 4 of its canary, 3 for each of 4 reasons, 3 of refusal.
        let each = 13 + 4 + 12 + 3 + ruleset.vpn_interfaces.len();
        let dispatch = usize::from(!policy.users.is_empty());
        let rules: usize = rules_by_chain(&document).values().sum();
        prop_assert_eq!(rules, 4 + dispatch + each * policy.profiles.len());
        let chains = document.objects.iter().filter(|object| {
            matches!(object, NfObject::CmdObject(NfCmd::Add(NfListObject::Chain(_))))
        });
        prop_assert_eq!(chains.count(), 2 + 7 * policy.profiles.len());
    }
}
