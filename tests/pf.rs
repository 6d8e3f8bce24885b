//! The rules in the pf of a Mac. Changes the main ruleset of the machine, if only by references to
//! anchors of its own, and adds addresses to loopback: so it runs only when asked to, as root, by
//! `cargo test --test pf -- --ignored --test-threads 1`.
#![cfg(target_os = "macos")]

use pfctl::{AnchorKind, PfCtl};
use rcc::firewall::macos;
use rcc::firewall::pf::loaded::Reference;
use rcc::firewall::pf::{Anchor, InterfaceName, Network, Surroundings};
use rcc::firewall::{State, pf};
use rcc::policy::ruleset::Ruleset;
use rcc::policy::{Policy, Profile, ProfileName, Reach};
use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

/// Nobody's: an interface that does not exist, and benchmarking addresses (RFC 2544).
const BRIDGE: &str = "bridge4095";
const SANDBOX: &str = "198.18.231.2";
const STRANGER: &str = "198.18.232.2";
const SERVER: &str = "198.18.233.1";
/// The anchor of somebody else.
const OTHER: &str = "rcc-test-other";

fn ruleset() -> Ruleset {
    let profiles = vec![Profile { name: ProfileName::public(), exceptions: vec![], reach: Reach::Public }];
    Ruleset::from(&Policy { profiles, users: vec![], private: vec![], vpn_interfaces: vec![], bridging: None })
}

fn anchor(subnet: &str) -> Anchor {
    let network = Network {
        profile: ProfileName::public(),
        interface: InterfaceName::new(BRIDGE).unwrap(),
        subnets: vec![subnet.parse().unwrap()],
    };
    Anchor::new(&ruleset(), &Surroundings { networks: vec![network], ..Surroundings::default() })
}

fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn pfctl(arguments: &[&str]) -> String {
    run("/sbin/pfctl", arguments, "")
}

/// A machine with another program's anchor, and flows that it allowed. Dropping it cleans up.
struct World {
    run: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { run: tempfile::tempdir().unwrap() };
        for address in [SANDBOX, STRANGER, SERVER] {
            run("/sbin/ifconfig", &["lo0", "alias", &format!("{address}/32")], "");
        }
        PfCtl::new().unwrap().try_add_anchor(OTHER, AnchorKind::Filter).unwrap();
        let rule = |from| format!("pass out quick on lo0 inet proto udp from {from} to {SERVER} keep state\n");
        run("/sbin/pfctl", &["-a", OTHER, "-f", "-"], &(rule(SANDBOX) + &rule(STRANGER)));
        world
    }

    fn apply(&self, anchor: &Anchor) {
        macos::apply_in(self.run.path(), anchor).unwrap();
    }

    fn token(&self) -> Option<String> {
        Some(std::fs::read_to_string(self.run.path().join("pf.token")).ok()?.trim().to_owned())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = macos::reset_in(self.run.path());
        let _ = Command::new("/sbin/pfctl").args(["-a", OTHER, "-F", "rules"]).status();
        for address in [SANDBOX, STRANGER, SERVER] {
            let _ = Command::new("/sbin/ifconfig").args(["lo0", "-alias", address]).status();
        }
    }
}

fn states_of(address: &str) -> usize {
    pfctl(&["-s", "states"]).lines().filter(|line| line.contains(&format!("{address}:"))).count()
}

/// A state in pf's table.
fn begin_flow(from: &str) {
    UdpSocket::bind((from, 0)).unwrap().send_to(b"x", (SERVER, 9)).unwrap();
    assert!(states_of(from) > 0, "pf keeps no state for {from}:\n{}", pfctl(&["-s", "states"]));
}

#[test]
#[ignore = "changes this machine's pf, needs root"]
fn the_anchor_that_is_tested_is_the_one_that_pf_lists() {
    let world = World::new();
    let anchor = anchor("198.18.231.0/24");
    world.apply(&anchor);
    let listed = pfctl(&["-a", "rcc", "-s", "rules"]);
    assert_eq!(listed.lines().count(), anchor.rules.len(), "{listed}");
    // The same text through pf's own parser is the same list.
    run("/sbin/pfctl", &["-a", OTHER, "-f", "-"], &anchor.text());
    assert_eq!(pfctl(&["-a", OTHER, "-s", "rules"]), listed);
    let inspection = macos::inspect().unwrap();
    assert_eq!(inspection.state(&ruleset()), State::InForce);
    assert_ne!(inspection.reference, Reference::Absent);
    assert!(inspection.loaded.label().is_some_and(|label| label.is_version(&pf::version(&ruleset()))));
}

#[test]
#[ignore = "changes this machine's pf, needs root"]
fn applying_twice_changes_nothing_and_a_change_replaces_the_whole() {
    let world = World::new();
    let others = || [pfctl(&["-a", OTHER, "-s", "rules"]), pfctl(&["-a", "com.apple", "-s", "Anchors"])];
    let before = others();
    world.apply(&anchor("198.18.231.0/24"));
    let (listed, token) = (pfctl(&["-a", "rcc", "-s", "rules"]), world.token());
    world.apply(&anchor("198.18.231.0/24"));
    assert_eq!((pfctl(&["-a", "rcc", "-s", "rules"]), world.token()), (listed, token));
    world.apply(&anchor("198.18.240.0/24"));
    let listed = pfctl(&["-a", "rcc", "-s", "rules"]);
    assert!(listed.contains("198.18.240.0/24") && !listed.contains("from 198.18.231.0/24"), "{listed}");
    assert_eq!(others(), before);
}

#[test]
#[ignore = "changes this machine's pf, needs root"]
fn a_change_ends_the_flows_of_sandboxes_and_of_nobody_else() {
    let world = World::new();
    world.apply(&anchor("198.18.240.0/24"));
    begin_flow(SANDBOX);
    begin_flow(STRANGER);
    world.apply(&anchor("198.18.231.0/24"));
    assert_eq!(states_of(SANDBOX), 0);
    assert!(states_of(STRANGER) > 0);
    begin_flow(SANDBOX);
    world.apply(&anchor("198.18.231.0/24"));
    assert!(states_of(SANDBOX) > 0, "nothing changed, so no flow ends");
}

#[test]
#[ignore = "changes this machine's pf, needs root"]
fn what_somebody_flushed_or_added_is_noticed_and_restored() {
    let world = World::new();
    let anchor = anchor("198.18.231.0/24");
    world.apply(&anchor);
    pfctl(&["-a", "rcc", "-F", "rules"]);
    assert_eq!(macos::inspect().unwrap().state(&ruleset()), State::Absent);
    world.apply(&anchor);
    assert_eq!(macos::inspect().unwrap().state(&ruleset()), State::InForce);
    let open = format!("pass in quick on {BRIDGE} all\n");
    run("/sbin/pfctl", &["-a", "rcc", "-f", "-"], &(open + &anchor.text()));
    assert_eq!(macos::inspect().unwrap().state(&ruleset()), State::Drifted);
    world.apply(&anchor);
    assert_eq!(macos::inspect().unwrap().state(&ruleset()), State::InForce);
}

#[test]
#[ignore = "changes this machine's pf, needs root"]
fn pf_is_held_by_one_token_which_is_given_back() {
    let world = World::new();
    world.apply(&anchor("198.18.231.0/24"));
    let token = world.token().unwrap();
    assert_eq!(pfctl(&["-s", "References"]).matches(&token).count(), 1);
    macos::reset_in(world.run.path()).unwrap();
    assert!(!pfctl(&["-s", "References"]).contains(&token));
    assert!(world.token().is_none() && macos::inspect().unwrap().loaded.is_empty());
    macos::reset_in(world.run.path()).unwrap();
}
