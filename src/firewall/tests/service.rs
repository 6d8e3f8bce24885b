//! The service that keeps the rules, and its reload.

use super::{PUBLIC, World, eventually, is_refused, policy};
use crate::firewall::State;
use crate::firewall::apply::{ApplyError, reset_in};
use crate::firewall::leases::Leases;
use crate::firewall::refresh::{Companion, InForce, watch_in};
use crate::firewall::reload::{ReloadError, reload_in};
use crate::firewall::status::status;
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, Surroundings};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_service_follows_the_host_and_restores_what_vanishes() {
    World::build(|world| {
        let resolv_conf = world.run().join("resolv.conf");
        std::fs::write(&resolv_conf, "nameserver 10.9.9.9\n").unwrap();
        let mut watcher = Watcher::fork(world, &resolv_conf);
        let ruleset = Ruleset::from(&policy());
        let holds = || world.check(&policy(), "public", PUBLIC).is_ok();
        eventually("the first load", holds);
        assert!(is_refused("10.9.9.9:53", PUBLIC), "queries go to our resolver only");
        assert!(matches!(reset_in(world.run()), Err(ApplyError::Watched)));

        world.ip("addr add 198.51.100.1/24 dev lan");
        eventually("a new address", holds);
        assert!(is_refused("198.51.100.2:1", PUBLIC));

        let told = || std::fs::read_to_string(world.run().join("told")).unwrap_or_default();
        eventually("word of it", || told() == "10.9.9.9 198.51.100.0/24 203.0.113.0/24");
        std::fs::write(&resolv_conf, "nameserver 10.8.8.8\n").unwrap();
        eventually("a new resolver", || told().starts_with("10.8.8.8 "));

        let mut leases = Leases::open_in(world.run()).unwrap();
        let of_nobody = "10.1.1.1 tcp 1 @1919090688".parse().unwrap();
        leases.add(&ruleset, &of_nobody, std::time::Duration::from_secs(600)).unwrap();
        let of_all = "10.1.1.1 tcp 1 public".parse().unwrap();
        leases.add(&ruleset, &of_all, std::time::Duration::from_secs(600)).unwrap();
        eventually("the end of a lease without a session", || {
            let left = Leases::open_in(world.run()).unwrap().list().unwrap();
            left.len() == 1 && left[0].lease == of_all
        });

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
            .args(["--exact", "firewall::tests::service::the_service_itself", "--nocapture"])
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
    let told = &mut Told(Path::new(&run).join("told"));
    watch_in(Path::new(&run), Path::new(&resolv_conf), &|| Ok(configured()), told).unwrap();
}

/// Writes down what it hears.
struct Told(PathBuf);

impl Companion for Told {
    fn follow(&mut self, now: InForce<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Surroundings { on_link, resolvers, .. } = now.surroundings;
        let v4 = on_link.iter().filter(|net| net.addr().is_ipv4()).map(ToString::to_string);
        let words: Vec<String> = resolvers.iter().map(|resolver| resolver.ip().to_string()).chain(v4).collect();
        Ok(std::fs::write(&self.0, words.join(" "))?)
    }

    fn ended(&self) -> Option<BorrowedFd<'_>> {
        None
    }
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
