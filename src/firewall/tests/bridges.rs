//! Bridges of container engines: sandboxes in networks of their own, judged by who listens elsewhere.

use super::{PUBLIC, WORK, World, eventually, policy};
use crate::denials::{self, Recorder};
use crate::firewall::State;
use crate::firewall::apply::{ApplyError, reset_in};
use crate::firewall::bridge_probe::{self, BridgeNotInForce, Question};
use crate::firewall::bridges::BridgeError;
use crate::policy::bridge::{Bridging, DEFAULT_V4, DEFAULT_V6};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, ProfileName};
use std::net::{SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

type Work = Box<dyn FnOnce() + Send>;

/// A thread with a network of its own.
struct Peer {
    id: i32,
    work: Sender<Work>,
}

impl Peer {
    fn new() -> Self {
        let (work, orders) = channel::<Work>();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            // SAFETY: CLONE_NEWNET moves this thread only, and no memory or descriptor with it.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            orders.into_iter().for_each(|work| work());
        });
        Self { id: told.recv().unwrap(), work }
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        self.work.send(Box::new(move || tell.send(work()).unwrap())).unwrap();
        told.recv().unwrap()
    }

    fn ip(&self, command: &str) {
        let command = command.to_owned();
        self.run(move || assert!(Command::new("ip").args(command.split(' ')).status().unwrap().success(), "{command}"));
    }

    /// Its socket stays in its network, whoever uses it.
    fn listen(&self) -> (TcpListener, UdpSocket) {
        self.run(listen)
    }

    fn connect(&self, to: &str) -> Result<TcpStream, std::io::Error> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(move || TcpStream::connect_timeout(&to, Duration::from_millis(700)))
    }

    fn probe(&self, policy: &Policy, world: &World, profile: &str) -> Result<(), BridgeNotInForce> {
        let on_link = world.surroundings().on_link;
        let question = Question::new(&Ruleset::from(policy), &ProfileName::new(profile).unwrap(), &on_link);
        self.run(move || bridge_probe::ask(&question))
    }
}

fn listen() -> (TcpListener, UdpSocket) {
    let (tcp, udp) = (TcpListener::bind("[::]:7000").unwrap(), UdpSocket::bind("[::]:7000").unwrap());
    tcp.set_nonblocking(true).unwrap();
    udp.set_nonblocking(true).unwrap();
    (tcp, udp)
}

fn bridged() -> Policy {
    let profiles = vec![ProfileName::public(), ProfileName::new("work").unwrap()];
    Policy { bridging: Some(Bridging { profiles, v4: DEFAULT_V4, v6: DEFAULT_V6 }), ..policy() }
}

/// Somebody in the place of this identity.
fn container(world: &World, name: &str, profile: &str, identity: u32) -> Peer {
    let bridge = bridged().bridge(&ProfileName::new(profile).unwrap()).unwrap();
    let place = bridge.place(identity).unwrap();
    let peer = Peer::new();
    world.ip(&format!("link add {name} type veth peer name eth0 address {} netns {}", place.mac, peer.id));
    world.ip(&format!("link set {name} master {} up", bridge.interface()));
    peer.ip("link set lo up");
    peer.ip("link set eth0 up");
    peer.ip(&format!("addr add {}/{} dev eth0", place.v4, bridge.v4.prefix_len()));
    peer.ip(&format!("-6 addr add {}/{} dev eth0 nodad", place.v6, bridge.v6.prefix_len()));
    peer.ip(&format!("route add default via {}", bridge.gateway_v4()));
    peer.ip(&format!("-6 route add default via {}", bridge.gateway_v6()));
    peer
}

/// The internet, and a private network behind the same router.
fn outside(world: &World) -> Peer {
    let peer = Peer::new();
    world.ip(&format!("link add wan type veth peer name eth0 netns {}", peer.id));
    world.ip("link set wan up");
    world.ip("addr add 198.51.100.1/24 dev wan");
    world.ip("-6 addr add 2001:db8:2::1/64 dev wan nodad");
    peer.ip("link set lo up");
    peer.ip("link set eth0 up");
    peer.ip("addr add 198.51.100.2/24 dev eth0");
    peer.ip("-6 addr add 2001:db8:2::2/64 dev eth0 nodad");
    for (v4, v6) in [("192.0.2.80", "2001:db8:80::1"), ("10.9.9.9", "fd99::9")] {
        peer.ip(&format!("addr add {v4}/32 dev lo"));
        peer.ip(&format!("-6 addr add {v6}/128 dev lo"));
        world.ip(&format!("route add {v4}/32 via 198.51.100.2"));
        world.ip(&format!("-6 route add {v6}/128 via 2001:db8:2::2"));
    }
    for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        // Of this thread's network.
        std::fs::write(format!("/proc/sys/net/{file}"), "1").unwrap();
    }
    peer
}

fn nobody_came(listener: &(TcpListener, UdpSocket)) -> bool {
    listener.0.accept().is_err() && listener.1.recv_from(&mut [0; 8]).is_err()
}

#[test]
fn a_bridge_reaches_the_public_internet_and_nothing_private() {
    World::build(|world| {
        let internet = outside(world);
        world.apply(&bridged()).unwrap();
        assert_eq!(world.state(&bridged()), State::InForce);
        let (one, other) = (container(world, "one", "public", PUBLIC), container(world, "other", "public", PUBLIC + 1));
        let (far, neighbour, host) = (internet.listen(), other.listen(), listen());
        for public in ["192.0.2.80:7000", "[2001:db8:80::1]:7000"] {
            one.connect(public).unwrap_or_else(|error| panic!("{public}: {error}"));
            assert!(far.0.accept().is_ok(), "{public}");
        }
        let denied = [
            "10.9.9.9:7000",
            "[fd99::9]:7000",
            "198.51.100.2:7000",
            "[2001:db8:2::2]:7000",
            "203.0.113.5:7000",
            "[2001:db8:1::5]:7000",
            "10.82.0.1:7000",
            "[fd72:6363:6272::1]:7000",
            "10.82.0.33:7000",
            "[fd72:6363:6272::21]:7000",
        ];
        for to in denied {
            assert!(one.connect(to).is_err(), "{to}");
            let to: SocketAddr = to.parse().unwrap();
            let _ =
                one.run(move || UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?.send_to(b"x", to));
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(nobody_came(&far) && nobody_came(&neighbour) && nobody_came(&host));
        assert!(TcpStream::connect_timeout(&"10.82.0.33:7000".parse().unwrap(), Duration::from_millis(300)).is_err());
        assert!(nobody_came(&neighbour), "the host asks nothing of a sandbox");
    });
}

#[test]
fn sandboxes_on_one_bridge_do_not_meet_and_link_local_addresses_change_nothing() {
    World::build(|world| {
        let _internet = outside(world);
        world.apply(&bridged()).unwrap();
        let (one, other) = (container(world, "one", "public", PUBLIC), container(world, "other", "public", PUBLIC + 1));
        let heard = other.listen();
        // Of this thread's network: what is bridged does not come to where packets are routed.
        let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0");
        let link_local = || {
            one.run(|| {
                // SAFETY: the name is a NUL-terminated string that outlives the call.
                let scope = unsafe { libc::if_nametoindex(c"eth0".as_ptr()) };
                let to = SocketAddrV6::new("fe80::72:63ff:fe00:21".parse().unwrap(), 7000, 0, scope);
                TcpStream::connect_timeout(&to.into(), Duration::from_millis(700)).is_ok()
            })
        };
        // Duplicate address detection takes its time.
        std::thread::sleep(Duration::from_secs(2));
        assert!(!link_local() && nobody_came(&heard));
        world.nft("delete table bridge rcc");
        assert!(link_local() && heard.0.accept().is_ok(), "control: without the rules for frames they meet");
        assert_eq!(one.probe(&bridged(), world, "public"), Err(BridgeNotInForce::Other));
    });
}

#[test]
fn whoever_borrows_an_address_is_not_heard() {
    World::build(|world| {
        let internet = outside(world);
        world.apply(&bridged()).unwrap();
        let one = container(world, "one", "public", PUBLIC);
        let far = internet.listen();
        one.ip("-6 addr add fd72:6363:6272::22/128 dev lo");
        one.ip("addr add 10.82.0.34/32 dev lo");
        let send = |from: &'static str, to: &'static str| {
            one.run(move || UdpSocket::bind(from).unwrap().send_to(b"x", to).unwrap());
            std::thread::sleep(Duration::from_millis(200));
            far.1.recv_from(&mut [0; 8]).is_ok()
        };
        assert!(send("[fd72:6363:6272::20]:0", "[2001:db8:80::1]:7000"), "control: its own");
        assert!(send("10.82.0.32:0", "192.0.2.80:7000"), "control: its own");
        assert!(!send("[fd72:6363:6272::22]:0", "[2001:db8:80::1]:7000"));
        assert!(!send("10.82.0.34:0", "192.0.2.80:7000"));
    });
}

#[test]
fn the_interface_decides_which_exceptions_hold() {
    World::build(|world| {
        let _internet = outside(world);
        world.apply(&bridged()).unwrap();
        let (public, work) = (container(world, "one", "public", PUBLIC), container(world, "other", "work", WORK));
        let host = TcpListener::bind("203.0.113.5:8080").unwrap();
        host.set_nonblocking(true).unwrap();
        assert!(public.connect("203.0.113.5:8080").is_err() && host.accept().is_err());
        assert!(work.connect("203.0.113.5:8080").is_ok() && host.accept().is_ok());
        assert!(work.connect("203.0.113.5:7000").is_err());
    });
}

#[test]
fn an_engines_own_rules_take_nothing_away_and_open_nothing() {
    World::build(|world| {
        let internet = outside(world);
        world.nft("add table ip filter");
        world.nft("add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
        world.nft("add rule ip filter FORWARD iifname rcc0 accept");
        world.nft("add rule ip filter FORWARD oifname rcc0 ct state established,related accept");
        world.apply(&bridged()).unwrap();
        let one = container(world, "one", "public", PUBLIC);
        let far = internet.listen();
        one.connect("192.0.2.80:7000").unwrap();
        assert!(far.0.accept().is_ok());
        assert!(one.connect("10.9.9.9:7000").is_err() && nobody_came(&far));
        one.probe(&bridged(), world, "public").unwrap();
    });
}

#[test]
fn a_container_tells_these_rules_from_others_and_from_none() {
    World::build(|world| {
        let _internet = outside(world);
        world.apply(&bridged()).unwrap();
        let (one, work) = (container(world, "one", "public", PUBLIC), container(world, "other", "work", WORK));
        one.probe(&bridged(), world, "public").unwrap();
        work.probe(&bridged(), world, "work").unwrap();
        assert_eq!(work.probe(&bridged(), world, "public"), Err(BridgeNotInForce::Other), "another profile's");
        let other = Policy { private: vec!["192.0.2.0/24".parse().unwrap()], ..bridged() };
        assert_eq!(one.probe(&other, world, "public"), Err(BridgeNotInForce::Other), "another version's");
        world.nft("insert rule inet rcc profile-public ip daddr 10.0.0.0/8 accept");
        assert!(matches!(one.probe(&bridged(), world, "public"), Err(BridgeNotInForce::Leaks(_))));
        world.apply(&bridged()).unwrap();
        world.nft("flush table inet rcc");
        assert_eq!(one.probe(&bridged(), world, "public"), Err(BridgeNotInForce::Other));
        world.nft("add rule inet rcc prerouting iifname rcc0 meta l4proto tcp reject with tcp reset");
        assert_eq!(one.probe(&bridged(), world, "public"), Err(BridgeNotInForce::Alike));
    });
}

#[test]
fn denials_are_the_sandboxs_that_caused_them() {
    World::build(|world| {
        let _internet = outside(world);
        std::fs::set_permissions(world.run(), std::fs::Permissions::from_mode(0o755)).unwrap();
        world.apply(&bridged()).unwrap();
        let _recorder = Recorder::start(world.run(), &bridged(), None).unwrap();
        let one = container(world, "one", "public", PUBLIC + 3);
        assert!(one.connect("10.9.9.9:7000").is_err());
        let recorded = || denials::read(world.run(), &bridged(), Some(1000)).unwrap();
        eventually("a line", || !recorded().is_empty());
        assert!(recorded().iter().all(|listed| listed.denial.identity == PUBLIC + 3));
    });
}

#[test]
fn bridges_come_and_go_with_their_rules_and_take_nobodys_place() {
    World::build(|world| {
        let is_there = |name: &str| Command::new("ip").args(["link", "show", name]).status().unwrap().success();
        for _ in 0..2 {
            world.apply(&bridged()).unwrap();
            assert!(is_there("rcc0") && is_there("rcc1"));
        }
        world.apply(&policy()).unwrap();
        assert!(!is_there("rcc0") && !is_there("rcc1"));
        world.apply(&bridged()).unwrap();
        reset_in(world.run()).unwrap();
        assert!(!is_there("rcc0"));
        world.ip("addr add 10.82.1.1/24 dev lan");
        assert!(matches!(world.apply(&bridged()), Err(ApplyError::Bridge(BridgeError::Overlap { .. }))));
        world.ip("addr del 10.82.1.1/24 dev lan");
        world.ip("link add rcc0 type bridge");
        assert!(matches!(world.apply(&bridged()), Err(ApplyError::Bridge(BridgeError::Taken(_)))));
        reset_in(world.run()).unwrap();
        assert!(is_there("rcc0"), "another's");
    });
}
