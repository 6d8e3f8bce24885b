//! What a machine's nft lists, and what becomes of it. A machine without nft or without namespaces fails these.

use super::*;
use crate::firewall::golden;
use std::io::Write;
use std::process::{Command, Stdio};

/// Those of the golden policy.
pub(crate) fn rules() -> Rules {
    let policy = golden::policy();
    let surroundings = Surroundings { on_link: vec!["203.0.113.0/24".parse().unwrap()], ..Surroundings::default() };
    Rules::new(Ruleset::from(&policy), &surroundings, &["198.18.0.0/15".parse().unwrap()])
}

/// The listing of a network namespace in which these rules were loaded and then something was done.
pub(crate) fn listed(rules: &Rules, then: &str) -> Vec<u8> {
    let root = rustix::process::geteuid().is_root();
    let namespaces: &[&str] = if root { &["--net"] } else { &["--user", "--map-root-user", "--net"] };
    let script = format!("set -e; {}; {then}; {}", LOAD.join(" "), LIST.join(" "));
    let mut shell = Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare is part of util-linux");
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(&rules.text()).unwrap();
    drop(stdin);
    let output = shell.wait_with_output().unwrap();
    assert!(output.status.success(), "{then}");
    output.stdout
}

#[test]
fn rules_that_were_loaded_are_in_force_and_a_restart_takes_them_away() {
    let rules = rules();
    let alone = listed(&rules, ":");
    assert_eq!(rules.judge(&alone, &alone).unwrap(), State::InForce);
    let others = "nft add table inet docker; nft add chain inet docker c";
    assert_eq!(rules.judge(&listed(&rules, others), &alone).unwrap(), State::InForce);
    for nothing in [&b""[..], b"\n", br#"{"nftables": []}"#, br#"{"nftables": [{"metainfo": {"version": "1.1.3"}}]}"#] {
        assert_eq!(rules.judge(nothing, &alone).unwrap(), State::Absent);
    }
    assert_eq!(rules.judge(&listed(&rules, "nft delete table inet rcc"), &alone).unwrap(), State::Absent);
}

#[test]
fn every_change_by_hand_is_drift() {
    let rules = rules();
    let alone = listed(&rules, ":");
    for change in [
        "nft insert rule inet rcc profile-public accept",
        "nft flush chain inet rcc deny-public",
        "nft add element inet rcc prefix4-public '{ 10.0.0.0/8 . tcp . 1-65535 }'",
        "nft delete element inet rcc denied4 '{ 10.0.0.0/8 }'",
        "nft flush set inet rcc onlink4",
        "nft add chain inet rcc first '{ type filter hook output priority -300; }'",
        "nft flush chain inet rcc output",
        "nft add set inet rcc more '{ type ipv4_addr; }'",
    ] {
        assert_eq!(rules.judge(&listed(&rules, change), &alone).unwrap(), State::Drifted, "{change}");
    }
}

#[test]
fn rules_of_another_configuration_or_without_their_canary_are_stale() {
    let rules = rules();
    let alone = listed(&rules, ":");
    let mut policy = golden::policy();
    policy.private.clear();
    let other = Rules::new(Ruleset::from(&policy), &Surroundings::default(), &[]);
    assert_eq!(rules.judge(&listed(&other, ":"), &alone).unwrap(), State::Stale);
    assert_eq!(rules.judge(&listed(&rules, "nft flush table inet rcc"), &alone).unwrap(), State::Stale);
}

#[test]
fn what_is_no_listing_of_ours_says_nothing() {
    let rules = rules();
    let alone = listed(&rules, ":");
    for listing in [&b"{"[..], b"[]", br#"{"nftables": {}}"#, b"Error: syntax error", &[0xff, 0xfe]] {
        assert!(matches!(rules.judge(listing, &alone), Err(ListingError::Shape(_))));
    }
    let deep = format!("{{\"nftables\": {}", "[".repeat(1 << 16));
    assert!(matches!(rules.judge(deep.as_bytes(), &alone), Err(ListingError::Shape(_))));
    assert!(matches!(rules.judge(&vec![b' '; LISTING_MAX + 1], &alone), Err(ListingError::TooLong)));
    // The rules themselves are no listing of them, and a table of another family is not ours.
    assert_eq!(rules.judge(&rules.text(), &alone).unwrap(), State::Absent);
    let family = String::from_utf8(alone.clone()).unwrap().replace("\"inet\"", "\"bridge\"");
    assert_eq!(rules.judge(family.as_bytes(), &alone).unwrap(), State::Absent);
}

#[test]
fn a_comparison_that_is_not_of_these_rules_says_nothing() {
    let rules = rules();
    let alone = listed(&rules, ":");
    let flushed = listed(&rules, "nft flush chain inet rcc deny-public");
    for bad in [&b""[..], &flushed, &listed(&rules, "nft delete table inet rcc")] {
        assert!(matches!(rules.judge(&alone, bad), Err(ListingError::NoComparison)));
        assert!(matches!(rules.judge(bad, bad), Err(ListingError::NoComparison)));
    }
}
