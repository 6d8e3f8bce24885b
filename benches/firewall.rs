//! How long rules take to render, and a guard to look. `checks/bench` measures what needs root.

use rcc::firewall::{nft, pf};
use rcc::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use rcc::policy::ruleset::Ruleset;
use rcc::policy::{Exception, Listed, Policy, Ports, Profile, ProfileName, Protocol, Reach, Surroundings, Target};
use std::net::Ipv4Addr;

fn main() {
    divan::main();
}

/// Exceptions of all kinds: two thirds single addresses, one third prefixes, some nested.
fn policy(count: u32) -> Policy {
    let exceptions = (0..count).map(|number| {
        let length = if number % 3 == 0 { 28 } else { 32 };
        let address = Ipv4Addr::from(0x0a00_0000 + number * 8);
        let net = ipnet::IpNet::new(address.into(), length).expect("a valid length").trunc();
        Exception { target: Target::Address(net), ports: one_port(number), protocol: Protocol::Tcp }
    });
    // One name for ten exceptions, each with ports of its own, as exception or listed.
    let names = move |stem: &'static str| {
        (0..count / 10).map(move |number| (format!("n{number}.{stem}.lan").parse().expect("a name"), one_port(number)))
    };
    let by_name = names("x").map(|(pattern, ports)| Exception {
        target: Target::Domain(pattern),
        ports,
        protocol: Protocol::Tcp,
    });
    let listed = names("y").map(|(pattern, ports)| Listed { pattern, ports, protocol: Protocol::Tcp });
    Policy {
        profiles: vec![
            Profile {
                name: ProfileName::public(),
                exceptions: exceptions.chain(by_name).collect(),
                reach: Reach::Public,
            },
            Profile {
                name: ProfileName::new("locked").expect("a name"),
                exceptions: vec![],
                reach: Reach::Listed(listed.collect()),
            },
        ],
        users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).expect("one of ours")],
        private: vec![],
        vpn_interfaces: vec![],
        bridging: None,
    }
}

fn one_port(number: u32) -> Ports {
    let port = (number % 60_000 + 1).to_string().parse().expect("a port");
    Ports::new(vec![port]).expect("not empty")
}

const EXCEPTIONS: [u32; 3] = [0, 10_000, 100_000];

#[divan::bench(args = EXCEPTIONS)]
fn ruleset(bencher: divan::Bencher, exceptions: u32) {
    let policy = policy(exceptions);
    bencher.bench(|| Ruleset::from(divan::black_box(&policy)));
}

/// What every launch pays.
#[divan::bench(args = EXCEPTIONS)]
fn version(bencher: divan::Bencher, exceptions: u32) {
    let ruleset = Ruleset::from(&policy(exceptions));
    bencher.bench(|| nft::version(divan::black_box(&ruleset)));
}

#[divan::bench(args = EXCEPTIONS)]
fn render_nft(bencher: divan::Bencher, exceptions: u32) {
    let ruleset = Ruleset::from(&policy(exceptions));
    let version = nft::version(&ruleset);
    bencher.bench(|| nft::json(&nft::replace(divan::black_box(&ruleset), &version, &Surroundings::default())));
}

#[divan::bench(args = EXCEPTIONS)]
fn render_pf(bencher: divan::Bencher, exceptions: u32) {
    let ruleset = Ruleset::from(&policy(exceptions));
    let surroundings = pf::Surroundings::example(&ruleset);
    bencher.bench(|| pf::Anchor::new(divan::black_box(&ruleset), &surroundings).text());
}
