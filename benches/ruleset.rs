//! What root waits for when rules are applied, and each run when it asks for their version.

use divan::{Bencher, black_box};
use rcc::firewall::nft;
use rcc::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use rcc::policy::ruleset::Ruleset;
use rcc::policy::{Exception, Policy, PortRange, Ports, Profile, ProfileName, Protocol, Surroundings, Target};
use std::net::Ipv4Addr;

const SIZES: [u32; 2] = [0, 10_000];

fn main() {
    divan::main();
}

/// A profile with this many exceptions, each another address.
fn policy(exceptions: u32) -> Policy {
    let https = PortRange::new(443, 443).expect("443 is a port");
    let ports = Ports::new(vec![https]).expect("it is one range");
    let address = |number| Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 1)) + 3 * number);
    let exception = |number| Exception {
        target: Target::Address(std::net::IpAddr::from(address(number)).into()),
        ports: ports.clone(),
        protocol: Protocol::Tcp,
    };
    Policy {
        profiles: vec![Profile { name: ProfileName::public(), exceptions: (0..exceptions).map(exception).collect() }],
        users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).expect("the block is aligned")],
        private: vec![],
        vpn_interfaces: vec![],
    }
}

/// From the domain's words to sets and chains.
#[divan::bench(args = SIZES)]
fn ruleset(bencher: Bencher<'_, '_>, exceptions: u32) {
    let policy = policy(exceptions);
    bencher.bench(|| Ruleset::from(black_box(&policy)));
}

/// From there to the text that nft reads.
#[divan::bench(args = SIZES)]
fn render(bencher: Bencher<'_, '_>, exceptions: u32) {
    let (ruleset, surroundings) = (Ruleset::from(&policy(exceptions)), Surroundings::default());
    bencher.bench(|| nft::json(&nft::replace(black_box(&ruleset), &surroundings)));
}

/// The hash by which a run recognises the rules in the kernel.
#[divan::bench(args = SIZES)]
fn version(bencher: Bencher<'_, '_>, exceptions: u32) {
    let ruleset = Ruleset::from(&policy(exceptions));
    bencher.bench(|| nft::version(black_box(&ruleset)));
}
