//! Names and leases in a kernel, judged by a neighbour in a network namespace of its own.

mod answers;
mod leases;
mod loading;

use super::*;
use crate::firewall::grants::{Grant, GrantError, GrantKind, Grants};
use crate::firewall::leases::{LeaseError, Leases};
use crate::firewall::netfilter::{Batch, Element, Netfilter};
use crate::firewall::nft::{self, ADDRESSES_MAX, LEASED_NAMES};
use crate::policy::ruleset::{ADDRESS_LIFETIME, RESOLVER, Version};
use crate::policy::{DomainName, Lease, Listed, Reach};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const LOCKED: u32 = BLOCK_START + 2 * SLOTS;

/// Where the neighbour answers: private and public, of both families, all on port 443.
const PRIVATE: &str = "10.60.0.1:443";
const PRIVATE_V6: &str = "[fd00:60::1]:443";
const FAR: &str = "198.51.100.1:443";
const FAR_V6: &str = "[2001:db8:60::1]:443";

fn ports(text: &str) -> Ports {
    Ports::new(text.split(',').map(|range| range.parse().unwrap()).collect()).unwrap()
}

fn by_name(pattern: &str, list: &str) -> Exception {
    let target = Target::Domain(pattern.parse().unwrap());
    Exception { target, ports: ports(list), protocol: Protocol::Tcp }
}

fn listed(pattern: &str, list: &str) -> Listed {
    Listed { pattern: pattern.parse().unwrap(), ports: ports(list), protocol: Protocol::Tcp }
}

/// The policy of the other tests, with names.
fn with_names() -> Policy {
    let mut policy = policy();
    policy.profiles[1].exceptions.push(by_name("git.corp.lan", "443"));
    policy.profiles[1].exceptions.push(by_name("*.lab.lan", "400-500"));
    policy.profiles.push(Profile {
        name: ProfileName::new("locked").unwrap(),
        exceptions: vec![by_name("git.corp.lan", "443")],
        reach: Reach::Listed(vec![listed("example.com", "443"), listed("*.example.org", "80,443")]),
    });
    policy
}

/// A neighbour behind the LAN that echoes on every address of its own.
fn with_neighbour(test: impl FnOnce(&World) + Send + 'static) {
    World::build(|world| {
        let (ready, started) = mpsc::channel();
        let (moved, arrived) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            // SAFETY: CLONE_NEWNET moves this thread only, and no memory or descriptor with it.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
            ready.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            arrived.recv().unwrap();
            for command in [
                "link set lo up",
                "link set neighbour up",
                "addr add 203.0.113.1/24 dev neighbour",
                "-6 addr add 2001:db8:1::1/64 dev neighbour nodad",
                "addr add 10.60.0.1/32 dev lo",
                "addr add 198.51.100.1/32 dev lo",
                "addr add 198.51.100.2/32 dev lo",
                "-6 addr add fd00:60::1/128 dev lo nodad",
                "-6 addr add 2001:db8:60::1/128 dev lo nodad",
            ] {
                assert!(Command::new("ip").args(command.split(' ')).status().unwrap().success(), "{command}");
            }
            let listener = TcpListener::bind("[::]:443").unwrap();
            ready.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            for stream in listener.incoming() {
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut reader = stream.try_clone().unwrap();
                    // Ends when the other side does, or is cut.
                    let _ = std::io::copy(&mut reader, &mut stream);
                });
            }
        });
        let neighbour = started.recv().unwrap();
        world.ip(&format!("link set neighbour netns {neighbour}"));
        moved.send(()).unwrap();
        started.recv().unwrap();
        // Neighbour discovery for the first packet would take a moment of each test.
        eventually("the neighbour", || TcpStream::connect(FAR).is_ok() && TcpStream::connect(FAR_V6).is_ok());
        test(world);
    });
}

fn connect(to: &'static str, identity: u32) -> std::io::Result<TcpStream> {
    let to: SocketAddr = to.parse().unwrap();
    as_identity(identity, move || {
        let stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(stream)
    })
}

/// Denied by a reset, not lost on the way.
fn is_cut(to: &'static str, identity: u32) -> bool {
    connect(to, identity).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Whether bytes go there and come back.
fn echoes(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])
}

struct Names {
    ruleset: Ruleset,
    version: Version,
    grants: Grants,
}

impl Names {
    fn of(world: &World, policy: &Policy) -> Self {
        let ruleset = Ruleset::from(policy);
        Self { version: nft::version(&ruleset), ruleset, grants: Grants::open_in(world.run()).unwrap() }
    }

    fn grant(&mut self, profile: usize, name: &str, to: &str, seconds: u64) -> Result<(), GrantError> {
        let name = DomainName::new(name).unwrap();
        let rules = &self.ruleset.profiles[profile];
        let listed = rules.listed.as_ref().map(|rules| rules.classes_of(&name)).unwrap_or_default();
        let kinds = rules.excepted.classes_of(&name).into_iter().map(GrantKind::Excepted);
        let grants: Vec<Grant> = kinds
            .chain(listed.into_iter().map(GrantKind::Listed))
            .map(|kind| self.to(profile, kind, name.as_str(), to, seconds))
            .collect();
        assert!(!grants.is_empty(), "{name} has no rule");
        self.add(&grants)
    }

    fn to(&self, profile: usize, kind: GrantKind, name: &str, to: &str, seconds: u64) -> Grant {
        let address = to.parse::<SocketAddr>().unwrap().ip();
        Grant { profile, kind, name: DomainName::new(name).unwrap(), address, lifetime: Duration::from_secs(seconds) }
    }

    fn add(&mut self, grants: &[Grant]) -> Result<(), GrantError> {
        self.grants.add(&self.ruleset, &self.version, grants)
    }
}

fn lease(text: &str) -> Lease {
    text.parse().unwrap()
}
