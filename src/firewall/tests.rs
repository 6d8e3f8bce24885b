//! The rules in a kernel: every test has a network namespace of its own. They need root and nft,
//! and fail without.

use super::apply::{ApplyError, apply_in, reset_in, update_in};

use super::onlink;
use super::probe::{self, Expectation, NotInForce};
use super::status::{State, status};
use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, SLOTS, UserRange};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Exception, Policy, Ports, Profile, ProfileName, Protocol, Surroundings, Target};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
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
    };
    Policy {
        profiles: vec![Profile { name: ProfileName::public(), exceptions: vec![] }, work],
        users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).unwrap()],
        private: vec![],
        vpn_interfaces: vec!["wg*".parse().unwrap()],
    }
}

fn exception(net: &str, ports: &str) -> Exception {
    let ports = Ports::new(vec![ports.parse().unwrap()]).unwrap();
    Exception { target: Target::Address(net.parse().unwrap()), ports, protocol: Protocol::Tcp }
}

#[test]
fn applying_twice_is_applying_once() {
    World::build(|world| {
        assert_eq!(world.state(&policy()), State::Absent);
        for _ in 0..2 {
            world.apply(&policy()).unwrap();
            assert_eq!(world.state(&policy()), State::InForce);
            world.check(&policy(), "public", PUBLIC).unwrap();
            world.check(&policy(), "work", WORK + SLOTS - 1).unwrap();
        }
        for _ in 0..2 {
            reset_in(world.run()).unwrap();
            assert_eq!(world.state(&policy()), State::Absent);
        }
    });
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

#[test]
fn what_is_private_is_refused_and_what_is_public_is_not() {
    World::build(|world| {
        world.ip("route add default via 203.0.113.1");
        world.ip("-6 route add default via 2001:db8:1::1");
        world.apply(&policy()).unwrap();
        for private in [
            "10.0.0.1:1",
            "192.168.1.1:1",
            "169.254.169.254:80",
            "127.0.0.1:1",
            "127.0.0.53:53",
            "127.82.67.69:1",
            "203.0.113.5:1",
            "203.0.113.9:1",
            "203.0.113.255:1",
            "224.0.0.251:5353",
            "[::1]:1",
            "[::ffff:10.0.0.1]:1",
            "[2001:db8:1::5]:1",
            "[2001:db8:1::9]:1",
            "[fd00::1]:1",
            "[64:ff9b::a00:1]:1",
            "[2002:a00:1::]:1",
        ] {
            assert!(is_refused(private, PUBLIC), "{private}");
            assert!(!is_refused(private, 1000), "{private} for the user's own processes");
        }
        for public in ["198.51.100.1:1", "[2001:db8:2::1]:1", "[64:ff9b::c633:6401]:1"] {
            assert!(!is_refused(public, PUBLIC), "{public}");
        }
    });
}

#[test]
fn a_prefix_exception_opens_neighbours_and_not_the_host_but_an_address_may() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let connect = |to: &'static str| as_identity(WORK, move || TcpStream::connect(to)).map(drop);
        let refused = |to| connect(to).unwrap_err().kind() == std::io::ErrorKind::ConnectionRefused;
        let _open = TcpListener::bind("203.0.113.5:8080").unwrap();
        let _shut = TcpListener::bind("203.0.113.5:9000").unwrap();
        connect("203.0.113.5:8080").unwrap();
        assert!(refused("203.0.113.5:9000"));
        assert!(is_refused("203.0.113.7:443", WORK), "the exception is for TCP");
        assert!(as_identity(PUBLIC, || TcpStream::connect("203.0.113.5:8080")).is_err());
    });
}

#[test]
fn an_unasked_datagram_opens_no_way_back() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let guarded = as_identity(PUBLIC, || UdpSocket::bind("203.0.113.5:4000").unwrap());
        let stranger = UdpSocket::bind("203.0.113.5:5000").unwrap();
        stranger.send_to(b"hello", "203.0.113.5:4000").unwrap();
        assert_eq!(guarded.recv_from(&mut [0; 8]).unwrap().0, 5);
        assert_eq!(guarded.send_to(b"x", "203.0.113.5:5000").unwrap_err().raw_os_error(), Some(libc::EPERM));
    });
}

#[test]
fn the_probe_tells_absent_from_other_and_from_leaking() {
    World::build(|world| {
        assert!(matches!(world.check(&policy(), "public", PUBLIC), Err(NotInForce::Absent)));
        world.apply(&policy()).unwrap();
        let other = Policy { private: vec!["198.51.100.0/24".parse().unwrap()], ..policy() };
        assert!(matches!(world.check(&other, "public", PUBLIC), Err(NotInForce::OtherVersion)));
        assert!(matches!(world.check(&policy(), "public", WORK), Err(NotInForce::OtherVersion)), "another profile's");
        assert!(matches!(world.check(&policy(), "public", 1000), Err(NotInForce::Absent)), "a uid without rules");
        world.nft("insert rule inet rcc profile-public ip daddr 192.168.0.0/16 accept");
        assert!(matches!(
            world.check(&policy(), "public", PUBLIC),
            Err(NotInForce::Leaks { address: IpAddr::V4(address) }) if address.octets()[0] == 192
        ));
        world.nft("insert rule inet rcc output meta l4proto tcp reject with icmp type prot-unreachable");
        assert!(matches!(world.check(&policy(), "public", PUBLIC), Err(NotInForce::Imitated)));
    });
}

#[test]
fn the_probe_and_the_sets_follow_the_interfaces() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        world.ip("addr add 198.51.100.1/24 dev lan");
        assert!(matches!(world.check(&policy(), "public", PUBLIC), Err(NotInForce::OnLink)));
        assert!(!is_refused("198.51.100.2:1", PUBLIC));
        update_in(world.run(), &Ruleset::from(&policy()), &world.surroundings()).unwrap();
        world.check(&policy(), "public", PUBLIC).unwrap();
        assert!(is_refused("198.51.100.2:1", PUBLIC));
        assert_eq!(world.state(&policy()), State::InForce, "the dynamic sets are no drift");
    });
}
