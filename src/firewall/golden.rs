//! The policy that the golden tests of all backends render.

use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use crate::policy::{Exception, Policy, Ports, Profile, ProfileName, Protocol, Reach, Target};

pub(super) fn policy() -> Policy {
    let name = |text| Target::Domain(crate::policy::NamePattern::new(text).unwrap());
    let net = |text: &str| Target::Address(text.parse().unwrap());
    let work = vec![
        exception(net("10.0.0.5/32"), &["443"], Protocol::Tcp),
        exception(net("fd00::5/128"), &["22", "8000-8100"], Protocol::Any),
        exception(net("192.168.10.0/24"), &["9000"], Protocol::Udp),
        exception(name("git.corp.lan"), &["22", "443"], Protocol::Tcp),
    ];
    Policy {
        profiles: vec![
            Profile { name: ProfileName::public(), exceptions: vec![], reach: Reach::Public },
            Profile { name: ProfileName::new("my-work").unwrap(), exceptions: work, reach: Reach::Public },
        ],
        users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).unwrap()],
        private: vec!["198.51.100.0/24".parse().unwrap()],
        vpn_interfaces: vec!["wg*".parse().unwrap(), "abcdefghijklmno*".parse().unwrap()],
        bridging: None,
    }
}

fn exception(target: Target, ports: &[&str], protocol: Protocol) -> Exception {
    let ports = Ports::new(ports.iter().map(|text| text.parse().unwrap()).collect()).unwrap();
    Exception { target, ports, protocol }
}

/// [`crate::golden::assert_golden`] for the files beside this one.
pub(super) fn assert_golden(file: &str, text: &str) {
    crate::golden::assert_golden(&format!("src/firewall/golden/{file}"), text);
}
