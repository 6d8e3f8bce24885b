//! Whether the rules of a bridge are in force, learned without privilege from inside: by a process in
//! the network of the container.
//!
//! Who knocks at the right ports of addresses in reserved space is answered by a reset, at the first
//! hook that a packet meets, so the host's routes make no difference; without these very rules nobody
//! has those addresses. Resets are crafted by the rules themselves: unlike ICMP errors, whose rate is
//! limited for the whole machine, one sandbox cannot use up another's. Should the rules be gone, a
//! packet's time to live ends at the first router.

use super::nft::{self, PROBE_PORT};
use crate::policy::ProfileName;
use crate::policy::ranges;
use crate::policy::ruleset::{
    BRIDGE_CANARY, BRIDGE_ON_LINK_CANARY, BRIDGE_PORTS_CANARY, Canary, ProfileRules, Ruleset,
};
use ipnet::IpNet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// For all answers: enough for a SYN that was lost and sent again a second later (RFC 6298).
const PATIENCE: Duration = Duration::from_millis(1500);
/// The host takes one, and whoever it would send the packet on to takes the other.
const TIME_TO_LIVE: u32 = 2;

/// What to try, and what should come of it. Made on the host, asked inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Must be answered by resets.
    knocks: Vec<SocketAddr>,
    /// Must not be answered: else somebody refuses everything alike.
    silent: Vec<SocketAddr>,
    /// Must be refused, at once or by the first router.
    denied: Vec<SocketAddr>,
}

/// Why nothing may run on the bridge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum BridgeNotInForce {
    /// Nobody answers, or not as these rules do.
    #[error(
        "the firewall rules for this bridge are absent or of another version, or the sandbox is not in its place on \
         it: run `sudo rcc firewall apply`"
    )]
    Other,
    /// Everything is refused, which proves nothing.
    #[error("another packet filter refuses what comes from this bridge, so that nothing tells whether the rules hold")]
    Alike,
    /// The rules are loaded and yet something private was not denied.
    #[error("the firewall rules do not deny {0}: run `sudo rcc firewall apply`, then `sudo rcc firewall status`")]
    Leaks(SocketAddr),
    /// The probe itself did not work.
    #[error("cannot {attempt} to verify the firewall: {reason}")]
    Probe {
        /// What was tried.
        attempt: String,
        /// The system's reason.
        reason: String,
    },
}

impl Question {
    /// For a sandbox of this profile, while exactly this ruleset is loaded and these are the host's
    /// on-link prefixes.
    pub fn new(ruleset: &Ruleset, profile: &ProfileName, on_link: &[IpNet]) -> Self {
        let version = nft::version(ruleset);
        let (rules, prefixes) = (version.canary(profile), version.on_link_canary(on_link));
        let at = |address: Ipv4Addr, canary: &Canary| canary.ports.map(|port| SocketAddr::from((address, port)));
        let knocks = [at(BRIDGE_CANARY, &rules), at(BRIDGE_ON_LINK_CANARY, &prefixes), at(BRIDGE_PORTS_CANARY, &rules)];
        let silent = [
            (BRIDGE_CANARY, rules.control),
            (BRIDGE_ON_LINK_CANARY, prefixes.control),
            (BRIDGE_PORTS_CANARY, rules.control),
        ];
        let profile = ruleset.profiles.iter().find(|rules| rules.name == *profile);
        let opens = |rules: &ProfileRules, address: &IpAddr| {
            let mut opened = rules.hosts.iter().chain(&rules.prefixes);
            opened.any(|opening| {
                opening.net.contains(address) && (opening.ports.first()..=opening.ports.last()).contains(&PROBE_PORT)
            })
        };
        // What a packet from here can be sent to at all: loopback and multicast never leave.
        let ranges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"];
        let wanted = |net: &IpNet| ranges.iter().any(|range| range.parse() == Ok(*net));
        let denied = ranges::denied().into_iter().filter(wanted).filter_map(|net| net.hosts().last());
        let denied = denied.filter(|address| !profile.is_some_and(|rules| opens(rules, address)));
        Self {
            knocks: knocks.concat(),
            silent: silent.map(SocketAddr::from).into(),
            denied: denied.map(|address| SocketAddr::new(address, PROBE_PORT)).collect(),
        }
    }
}

/// Asks. To be called in the container's network.
///
/// # Errors
/// Why nothing may run.
pub fn ask(question: &Question) -> Result<(), BridgeNotInForce> {
    // First, so that they have had their time when the others are answered.
    let silent = question.silent.iter().map(begin).collect::<Result<Vec<_>, _>>()?;
    let knocks = question.knocks.iter().map(begin).collect::<Result<Vec<_>, _>>()?;
    let denied = question.denied.iter().map(begin).collect::<Result<Vec<_>, _>>()?;
    let deadline = Instant::now() + PATIENCE;
    for attempt in knocks {
        if attempt.outcome(deadline)? != Outcome::Failed(Errno::CONNREFUSED) {
            return Err(BridgeNotInForce::Other);
        }
    }
    for attempt in silent {
        if attempt.outcome(Instant::now())? == Outcome::Failed(Errno::CONNREFUSED) {
            return Err(BridgeNotInForce::Alike);
        }
    }
    for (attempt, to) in denied.into_iter().zip(&question.denied) {
        if !matches!(attempt.outcome(deadline)?, Outcome::Failed(_)) {
            return Err(BridgeNotInForce::Leaks(*to));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Failed(Errno),
    Open,
    Pending,
}

/// A connection that is being tried.
enum Attempt {
    Under(OwnedFd),
    Done(Outcome),
}

fn failed(attempt: &str, errno: Errno) -> BridgeNotInForce {
    BridgeNotInForce::Probe { attempt: attempt.to_owned(), reason: errno.to_string() }
}

fn begin(to: &SocketAddr) -> Result<Attempt, BridgeNotInForce> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        socket_with(family, SocketType::STREAM, flags, None).map_err(|errno| failed("open a socket", errno))?;
    sockopt::set_ip_ttl(&socket, TIME_TO_LIVE).map_err(|errno| failed("set a time to live", errno))?;
    Ok(match connect(&socket, to) {
        Ok(()) => Attempt::Done(Outcome::Open),
        Err(Errno::INPROGRESS) => Attempt::Under(socket),
        Err(errno) => Attempt::Done(Outcome::Failed(errno)),
    })
}

impl Attempt {
    fn outcome(self, deadline: Instant) -> Result<Outcome, BridgeNotInForce> {
        let socket = match self {
            Self::Done(outcome) => return Ok(outcome),
            Self::Under(socket) => socket,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&timeout)) {
            Ok(0) => Ok(Outcome::Pending),
            Ok(_) => match sockopt::socket_error(&socket).map_err(|errno| failed("read a socket's state", errno))? {
                Ok(()) => Ok(Outcome::Open),
                Err(errno) => Ok(Outcome::Failed(errno)),
            },
            Err(errno) => Err(failed("wait for an answer", errno)),
        }
    }
}
