//! What passes from and to a sandbox behind a bridge: an engine's machine with a sandbox on its bridge and the world on
//! the other side, each in a network namespace.

use crate::firewall::State;
use crate::firewall::machine::{LIST, LOAD, Rules};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Exception, Policy, Ports, Profile, ProfileName, Protocol, Reach, Surroundings, Target};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::time::Duration;

/// One machine's network.
struct Namespace(File);

impl Namespace {
    fn new() -> Self {
        let thread = std::thread::spawn(|| {
            // SAFETY: CLONE_NEWNET moves this thread only, and no memory or descriptor with it.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.expect("these tests need root");
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        });
        let new = thread.join().unwrap();
        new.ip(&["link set lo up"]);
        new
    }

    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn ip(&self, commands: &[&str]) {
        self.within(|| {
            for command in commands {
                let status = Command::new("ip").args(command.split(' ')).status().unwrap();
                assert!(status.success(), "ip {command}");
            }
        });
    }

    /// A cable to another one: the names of its ends.
    fn cable(&self, here: &str, other: &Self) {
        let there = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&[&format!("link add {here} type veth peer name eth0 netns {there}"), &format!("link set {here} up")]);
        other.ip(&["link set eth0 up"]);
    }

    /// Whether somebody who listens at this address is reached: a lost packet is sent again after a second.
    fn reaches(&self, to: &str) -> bool {
        let to: SocketAddr = to.parse().unwrap();
        self.within(|| TcpStream::connect_timeout(&to, Duration::from_millis(2500)).is_ok())
    }

    fn listens(&self, at: &str) -> TcpListener {
        self.within(|| TcpListener::bind(at).unwrap_or_else(|error| panic!("{at}: {error}")))
    }

    fn nft(&self, command: &[&str], input: &[u8]) -> Vec<u8> {
        self.within(|| {
            let mut command = Command::new(command[0])
                .args(&command[1..])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = command.stdin.take().unwrap();
            stdin.write_all(input).unwrap();
            drop(stdin);
            let output = command.wait_with_output().unwrap();
            assert!(output.status.success());
            output.stdout
        })
    }
}

/// The machine, the sandbox, a sandbox of another profile, the world.
fn world() -> [Namespace; 4] {
    let [machine, sandbox, other, outside] = [(); 4].map(|()| Namespace::new());
    machine.ip(&["link add rcc0 type bridge", "link set rcc0 up", "link add rcc1 type bridge", "link set rcc1 up"]);
    machine.cable("port0", &sandbox);
    machine.cable("port1", &other);
    machine.cable("wan", &outside);
    machine.ip(&[
        "link set port0 master rcc0",
        "link set port1 master rcc1",
        "addr add 172.30.0.1/24 dev rcc0",
        "addr add 172.30.1.1/24 dev rcc1",
        "addr add 9.9.9.1/24 dev wan",
        "-6 addr add fd30::1/64 dev rcc0 nodad",
        "-6 addr add 2a00:9::1/64 dev wan nodad",
        "route add 10.9.9.9 via 9.9.9.9",
    ]);
    machine.within(|| {
        for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{file}"), "1").unwrap();
        }
    });
    sandbox.ip(&[
        "addr add 172.30.0.2/24 dev eth0",
        "route add default via 172.30.0.1",
        "-6 addr add fd30::2/64 dev eth0 nodad",
        "-6 route add default via fd30::1",
    ]);
    other.ip(&["addr add 172.30.1.2/24 dev eth0", "route add default via 172.30.1.1"]);
    outside.ip(&[
        "addr add 9.9.9.9/24 dev eth0",
        "addr add 10.9.9.9/32 dev lo",
        "route add default via 9.9.9.1",
        "-6 addr add 2a00:9::9/64 dev eth0 nodad",
        "-6 route add default via 2a00:9::1",
    ]);
    [machine, sandbox, other, outside]
}

fn rules() -> Rules {
    let public = Profile { name: ProfileName::public(), exceptions: vec![], reach: Reach::Public };
    let ports = Ports::new(vec!["80".parse().unwrap()]).unwrap();
    let target = Target::Address("10.9.9.9/32".parse().unwrap());
    let exceptions = vec![Exception { target, ports, protocol: Protocol::Tcp }];
    let work = Profile { name: ProfileName::new("work").unwrap(), exceptions, reach: Reach::Public };
    let policy =
        Policy { profiles: vec![public, work], users: vec![], private: vec![], vpn_interfaces: vec![], bridging: None };
    Rules::new(Ruleset::from(&policy), &Surroundings::default(), &["9.9.9.128/25".parse().unwrap()])
}

#[test]
fn a_sandbox_behind_a_bridge_reaches_what_its_profile_allows_and_is_reached_by_nobody() {
    let [machine, sandbox, other, outside] = world();
    outside.ip(&["addr add 9.9.9.200/24 dev eth0"]);
    let places = ["9.9.9.9:80", "9.9.9.200:80", "10.9.9.9:80", "[2a00:9::9]:80"].map(|place| outside.listens(place));
    let hosts = ["172.30.0.1:80", "9.9.9.1:80", "[fd30::1]:80"].map(|place| machine.listens(place));
    let inside = [(&sandbox, "172.30.0.2:80"), (&other, "172.30.1.2:80")].map(|(who, place)| who.listens(place));
    let denied = [
        "9.9.9.200:80",
        "10.9.9.9:80",
        "172.30.0.1:80",
        "9.9.9.1:80",
        "[fd30::1]:80",
        "172.30.1.2:80",
        "172.30.1.1:80",
    ];
    // Else nothing below would tell of the rules.
    for place in denied.iter().take(6).chain(&["9.9.9.9:80", "[2a00:9::9]:80"]) {
        assert!(sandbox.reaches(place), "{place} without rules");
    }
    assert!(outside.reaches("172.30.0.2:80") && other.reaches("172.30.0.2:80"));

    let rules = rules();
    machine.nft(&LOAD, &rules.text());
    let alone = Namespace::new();
    alone.nft(&LOAD, &rules.text());
    assert_eq!(rules.judge(&machine.nft(&LIST, b""), &alone.nft(&LIST, b"")).unwrap(), State::InForce);

    assert!(sandbox.reaches("9.9.9.9:80") && sandbox.reaches("[2a00:9::9]:80"));
    for place in denied {
        assert!(!sandbox.reaches(place), "{place}");
    }
    // The exception is the other profile's.
    assert!(other.reaches("10.9.9.9:80") && !other.reaches("9.9.9.200:80"));
    assert!(!outside.reaches("172.30.0.2:80") && !other.reaches("172.30.0.2:80"));
    // Neighbours are found again.
    sandbox.ip(&["-6 neigh flush all"]);
    machine.ip(&["-6 neigh flush all"]);
    assert!(sandbox.reaches("[2a00:9::9]:80"));
    drop((places, hosts, inside));
}
