//! The rules in a kernel: every test has a network namespace of its own. They need root and nft,
//! and fail without.

mod bridged;
mod bridges;
mod denials;
mod loading;
mod names;
mod proof;
mod refusals;
mod service;

use super::apply::{ApplyError, apply_in};
use super::probe::{Expectation, NotInForce};
use super::status::status;
use super::{State, onlink, probe};
use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, SLOTS, UserRange};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Exception, Policy, Ports, Profile, ProfileName, Protocol, Reach, Surroundings, Target};
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::process::Command;

/// A host with `lo` and a LAN, and nothing else.
struct World {
    run: tempfile::TempDir,
}

impl World {
    /// Runs in a thread whose network namespace is new.
    fn build(test: impl FnOnce(&Self) + Send + 'static) {
        let thread = std::thread::spawn(|| {
            // SAFETY: CLONE_NEWNET moves this thread only, and no memory or descriptor with it.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
                .expect("these tests need root");
            let world = Self { run: tempfile::tempdir().unwrap() };
            world.ip("link set lo up");
            world.ip("link add lan type veth peer name neighbour");
            world.ip("link set neighbour up");
            world.ip("link set lan up");
            world.ip("addr add 203.0.113.5/24 dev lan");
            world.ip("-6 addr add 2001:db8:1::5/64 dev lan nodad");
            world.ip("route add default via 203.0.113.1");
            world.ip("-6 route add default via 2001:db8:1::1");
            test(&world);
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    fn ip(&self, command: &str) {
        let status = Command::new("ip").args(command.split(' ')).status().unwrap();
        assert!(status.success(), "ip {command}");
    }

    fn nft(&self, command: &str) {
        let status = Command::new("nft").arg(command).status().unwrap();
        assert!(status.success(), "nft {command}");
    }

    fn run(&self) -> &Path {
        self.run.path()
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings { on_link: onlink::read().unwrap().on_link, ..Surroundings::default() }
    }

    fn apply(&self, policy: &Policy) -> Result<(), ApplyError> {
        apply_in(self.run(), policy, &self.surroundings())
    }

    fn state(&self, policy: &Policy) -> State {
        status(&Ruleset::from(policy)).unwrap().state
    }

    fn check(&self, policy: &Policy, profile: &str, identity: u32) -> Result<(), NotInForce> {
        let expect = Expectation::new(&Ruleset::from(policy), &ProfileName::new(profile).unwrap());
        as_identity(identity, move || probe::check(&expect))
    }
}

/// Credentials belong to threads; only this one changes.
fn as_identity<T: Send + 'static>(identity: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        let uid = rustix::process::Uid::from_raw(identity);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        work()
    });
    thread.join().unwrap()
}

const PUBLIC: u32 = BLOCK_START;
const WORK: u32 = BLOCK_START + SLOTS;

fn policy() -> Policy {
    let work = Profile {
        name: ProfileName::new("work").unwrap(),
        exceptions: vec![
            exception("203.0.113.7/32", "443"),
            exception("203.0.113.5/32", "8080"),
            exception("203.0.113.0/24", "9000"),
        ],
        reach: Reach::Public,
    };
    Policy {
        profiles: vec![Profile { name: ProfileName::public(), exceptions: vec![], reach: Reach::Public }, work],
        users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).unwrap()],
        private: vec![],
        vpn_interfaces: vec!["wg*".parse().unwrap()],
        bridging: None,
    }
}

fn exception(net: &str, ports: &str) -> Exception {
    let ports = Ports::new(vec![ports.parse().unwrap()]).unwrap();
    Exception { target: Target::Address(net.parse().unwrap()), ports, protocol: Protocol::Tcp }
}

/// Denied as the sandbox sees it: refused at once, nothing arrives.
fn udp(to: &str) -> Result<usize, std::io::Error> {
    let to: std::net::SocketAddr = to.parse().unwrap();
    let local: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((local, 0)).unwrap();
    socket.set_broadcast(true).unwrap();
    socket.send_to(b"x", to)
}

fn is_refused(to: &'static str, identity: u32) -> bool {
    as_identity(identity, move || udp(to)).is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..100 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{what}: not within 5 s");
}
