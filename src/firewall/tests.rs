//! The rules in a kernel: every test has a network namespace of its own. They need root and nft,
//! and fail without.

use super::apply::{ApplyError, apply_in, reset_in, update_in};

use super::probe::{self, Expectation, NotInForce};
use super::refresh::watch_in;
use super::reload::{ReloadError, reload_in};
use super::status::status;
use super::{State, battery, nft, onlink};
use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, SLOTS, UserRange};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Exception, Policy, Ports, Profile, ProfileName, Protocol, Reach, Surroundings, Target};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

mod denials;

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
        world.nft("insert rule inet rcc output ip daddr 127.82.67.0/24 drop");
        assert!(matches!(world.check(&policy(), "public", PUBLIC), Err(NotInForce::OtherVersion)));
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

#[test]
fn drift_and_staleness_are_told_apart() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let other = Policy { vpn_interfaces: vec![], ..policy() };
        assert_eq!(world.state(&other), State::Stale);
        for tampering in [
            "add element inet rcc host4-work { 10.0.0.1 . tcp . 22 }",
            "insert rule inet rcc profile-public accept",
            "delete element inet rcc denied4 { 10.0.0.0/8 }",
            "add chain inet rcc extra",
        ] {
            world.apply(&policy()).unwrap();
            assert_eq!(world.state(&policy()), State::InForce);
            world.nft(tampering);
            assert_eq!(world.state(&policy()), State::Drifted, "{tampering}");
        }
        world.nft("flush table inet rcc");
        assert_eq!(world.state(&policy()), State::Stale);
    });
}

#[test]
fn denials_are_counted_by_reason_and_probes_are_not() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        world.check(&policy(), "public", PUBLIC).unwrap();
        let counters = || status(&Ruleset::from(&policy())).unwrap().counters.remove(0);
        assert!(counters().denied.values().all(|counter| counter.packets == 0), "{:?}", counters());
        assert!(is_refused("203.0.113.5:1", PUBLIC) && is_refused("203.0.113.9:1", PUBLIC));
        let denied: Vec<u64> = counters().denied.values().map(|counter| counter.packets).collect();
        assert_eq!(denied, [1, 0, 1, 0], "host, private, on-link, vpn");
    });
}

#[test]
fn an_identity_in_use_keeps_its_profile() {
    World::build(|world| {
        let range = UserRange::new(0, BLOCK_START, RANGE_LENGTH).unwrap();
        let before = Policy { users: vec![range], ..policy() };
        world.apply(&before).unwrap();
        let slots = world.run().join("0/slots");
        std::fs::create_dir_all(&slots).unwrap();
        let slot = std::fs::File::create(slots.join(WORK.to_string())).unwrap();
        let mut after = before.clone();
        after
            .profiles
            .insert(1, Profile { name: ProfileName::new("new").unwrap(), exceptions: vec![], reach: Reach::Public });
        slot.lock().unwrap();
        let refused = world.apply(&after);
        assert!(matches!(refused, Err(ApplyError::InUse { uid: 0, identity: WORK, .. })), "{refused:?}");
        assert_eq!(world.state(&before), State::InForce);
        world.apply(&before).unwrap();
        slot.unlock().unwrap();
        world.apply(&after).unwrap();
        assert_eq!(world.state(&after), State::InForce);
    });
}

#[test]
fn a_link_in_a_users_directory_leads_nowhere() {
    World::build(|world| {
        let range = UserRange::new(0, BLOCK_START, RANGE_LENGTH).unwrap();
        let before = Policy { users: vec![range], ..policy() };
        world.apply(&before).unwrap();
        std::os::unix::fs::symlink("/proc/self", world.run().join("0/slots")).unwrap();
        let after = Policy { profiles: before.profiles[..1].to_vec(), ..before };
        world.apply(&after).unwrap();
        assert_eq!(world.state(&after), State::InForce);
    });
}

#[test]
fn rules_that_nft_refuses_leave_the_old_ones() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let overlapping = Surroundings {
            on_link: vec!["10.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap()],
            ..Surroundings::default()
        };
        let refused = apply_in(world.run(), &policy(), &overlapping);
        assert!(
            matches!(&refused, Err(ApplyError::Nft(error)) if error.to_string().contains("unchanged")),
            "{refused:?}"
        );
        assert_eq!(world.state(&policy()), State::InForce);
        world.check(&policy(), "public", PUBLIC).unwrap();
    });
}

#[test]
fn only_root_applies() {
    World::build(|world| {
        let run = world.run().to_owned();
        let refused = as_identity(1000, move || apply_in(&run, &policy(), &Surroundings::default()));
        assert!(matches!(refused, Err(ApplyError::NotRoot)));
    });
}

#[test]
fn killed_at_any_moment_nft_leaves_the_old_rules_or_the_new() {
    World::build(|world| {
        let many = (0..1000_u32).map(|n| exception(&format!("10.{}.{}.7/32", n / 250, n % 250), "443")).collect();
        let large = |port: &str| {
            let mut policy = policy();
            policy.profiles[1].exceptions = Vec::clone(&many);
            policy.profiles[1].exceptions.push(exception("10.200.0.0/16", port));
            policy
        };
        let (old, new) = (large("1"), large("2"));
        let rendered = |policy: &Policy| {
            let ruleset = Ruleset::from(policy);
            nft::json(&nft::replace(&ruleset, &nft::version(&ruleset), &Surroundings::default()))
        };
        let (old_text, new_text) = (rendered(&old), rendered(&new));
        let started = std::time::Instant::now();
        load_and_kill(&old_text, None);
        let usual = started.elapsed();
        let mut survived = [false; 2];
        for round in 0..30 {
            load_and_kill(&old_text, None);
            load_and_kill(&new_text, Some(usual * round / 24));
            let states = [&old, &new].map(|policy| world.state(policy) == State::InForce);
            assert!(states[0] != states[1], "round {round}: {states:?}");
            survived[usize::from(states[1])] = true;
        }
        assert_eq!(survived, [true, true], "the kills must have come both before and after the commit");
    });
}

/// What a kill of `apply` and of everything that it started does.
fn load_and_kill(rules: &[u8], after: Option<std::time::Duration>) {
    use std::io::Write;
    let mut nft = Command::new("nft")
        .args(["-j", "-f", "-"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = nft.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The pipe breaks when the reader is killed.
        scope.spawn(move || stdin.write_all(rules).unwrap_or_default());
        if let Some(after) = after {
            std::thread::sleep(after);
            nft.kill().unwrap();
        }
        assert!(nft.wait().unwrap().success() || after.is_some());
    });
}

#[test]
fn the_service_follows_the_host_and_restores_what_vanishes() {
    World::build(|world| {
        let resolv_conf = world.run().join("resolv.conf");
        std::fs::write(&resolv_conf, "nameserver 10.9.9.9\n").unwrap();
        let mut watcher = Watcher::fork(world, &resolv_conf);
        let ruleset = Ruleset::from(&policy());
        let holds = || world.check(&policy(), "public", PUBLIC).is_ok();
        eventually("the first load", holds);
        assert!(!is_refused("10.9.9.9:53", PUBLIC));
        assert!(matches!(reset_in(world.run()), Err(ApplyError::Watched)));

        world.ip("addr add 198.51.100.1/24 dev lan");
        eventually("a new address", holds);
        assert!(is_refused("198.51.100.2:1", PUBLIC));

        std::fs::write(&resolv_conf, "nameserver 10.8.8.8\n").unwrap();
        eventually("a new resolver", || !is_refused("10.8.8.8:53", PUBLIC));
        assert!(is_refused("10.9.9.9:53", PUBLIC));

        for harm in ["delete table inet rcc", "flush ruleset", "flush table inet rcc"] {
            world.nft(harm);
            eventually(harm, holds);
            assert_eq!(status(&ruleset).unwrap().state, State::InForce);
        }
        watcher.end();
        assert!(holds(), "the rules outlive the service");
        reset_in(world.run()).unwrap();
    });
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

/// The service blocks them for its whole process, but in a test the harness has started a thread
/// before it.
fn block_signals() -> std::io::Result<()> {
    // SAFETY: sigemptyset makes the set valid before anything reads it.
    let blocked = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGHUP);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut())
    };
    if blocked == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The service as a process of its own: it takes over the signals of its whole process.
struct Watcher(std::process::Child);

impl Watcher {
    fn fork(world: &World, resolv_conf: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command
            .args(["--exact", "firewall::tests::the_service_itself", "--nocapture"])
            .env("RCC_TEST_RUN", world.run())
            .env("RCC_TEST_RESOLV_CONF", resolv_conf);
        // SAFETY: sigprocmask(2) alone, in a process of one thread.
        unsafe { command.pre_exec(block_signals) };
        Self(command.spawn().unwrap())
    }

    fn end(&mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM)
            .unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.0.kill();
    }
}

/// Not a test by itself: what [`Watcher`] runs. Without its environment it must refuse to run.
#[test]
fn the_service_itself() {
    let (Ok(run), Ok(resolv_conf)) = (std::env::var("RCC_TEST_RUN"), std::env::var("RCC_TEST_RESOLV_CONF")) else {
        return;
    };
    let configured = || match Path::new(&run).join("wider").exists() {
        true => wider(),
        false => policy(),
    };
    watch_in(Path::new(&run), Path::new(&resolv_conf), &|| Ok(configured()), &mut |_| Ok(())).unwrap();
}

/// What the service is asked for once the file `wider` exists.
fn wider() -> Policy {
    Policy { private: vec!["192.0.2.0/24".parse().unwrap()], ..policy() }
}

#[test]
fn a_reload_returns_when_the_configured_rules_are_in_force() {
    World::build(|world| {
        let second = std::time::Duration::from_secs(1);
        assert!(matches!(reload_in(world.run(), &policy(), second), Err(ReloadError::NotRunning)));
        let mut watcher = Watcher::fork(world, &world.run().join("resolv.conf"));
        eventually("the first load", || world.check(&policy(), "public", PUBLIC).is_ok());
        reload_in(world.run(), &policy(), second).unwrap();

        std::fs::write(world.run().join("wider"), "").unwrap();
        assert_eq!(world.state(&wider()), State::Stale, "nobody has told the service yet");
        reload_in(world.run(), &wider(), 20 * second).unwrap();
        assert_eq!(world.state(&wider()), State::InForce);

        // The service reads another policy than the caller.
        assert!(matches!(reload_in(world.run(), &policy(), second), Err(ReloadError::TimedOut(_))));
        assert_eq!(world.state(&wider()), State::InForce);
        watcher.end();
        assert!(matches!(reload_in(world.run(), &wider(), second), Err(ReloadError::NotRunning)));
    });
}

#[test]
fn the_battery_holds_under_the_rules_and_fails_without() {
    World::build(|world| {
        let battery = || {
            let listeners = battery::Listeners::open(7).unwrap();
            let host = battery::HostView {
                links: onlink::read().unwrap(),
                port: listeners.port,
                abstract_socket: listeners.abstract_socket.clone(),
                ..Default::default()
            };
            // Here it runs in the host's own namespaces: only the network is guarded.
            let mut attempts = battery::attempts(&host);
            attempts.retain(|attempt| ["host", "on-link"].contains(&attempt.class));
            attempts.retain(|attempt| !matches!(attempt.action, battery::Action::Echo(_)));
            let (reader, writer) = std::io::pipe().unwrap();
            let made = attempts.clone();
            as_identity(PUBLIC, move || battery::run_inside(&made, 7, writer.into())).unwrap();
            let text = std::io::read_to_string(reader).unwrap();
            let seen: Vec<battery::Seen> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let arrived = listeners.arrivals(std::time::Duration::from_millis(50)).unwrap();
            battery::judge(attempts, &seen, &arrived)
        };
        assert!(battery().rows.iter().any(|row| row.arrived && !row.holds));
        world.apply(&policy()).unwrap();
        let table = battery();
        let failed: Vec<_> = table.rows.iter().filter(|row| !row.holds).collect();
        assert!(table.holds(), "{failed:#?}");
    });
}

#[test]
fn a_flood_of_denials_does_not_silence_the_canary() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let expect = Expectation::new(&Ruleset::from(&policy()), &ProfileName::public());
        // The kernel sends at most 50 ICMP messages at once and 1000 a second.
        assert!(as_identity(WORK, || (0..5000).all(|_| udp("10.0.0.1:1").is_err())));
        as_identity(PUBLIC, move || (0..50).for_each(|_| probe::check(&expect).unwrap()));
    });
}
