//! Whether the rules are in force, learned without privilege by a process of the guarded
//! identity in the host's network namespace. Nothing that it sends can leave the machine, with
//! or without rules: it is addressed to loopback, or to the host itself, or bound to `lo`.
//!
//! The canary tells that exactly this ruleset is loaded and that this uid is in this profile's
//! chain; a second canary tells that the on-link prefixes denied are those that the host has
//! now; the sends tell that the kernel acts accordingly.

use super::nft::{self, PROBE_PORT};
use super::onlink::{self, OnLinkError};
use crate::policy::ProfileName;
use crate::policy::ruleset::{Canary, Ruleset, Version};
use ipnet::IpNet;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use std::ffi::CStr;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// What a guarded process should see. Plain data.
#[derive(Clone, Debug)]
pub struct Expectation {
    version: Version,
    canary: Canary,
    /// One address of each denied IPv4 range that no exception opens.
    denied: Vec<IpAddr>,
    /// Single addresses that exceptions open at the probes' port.
    excepted: Vec<IpAddr>,
}

/// Why nothing may run.
#[derive(Debug, thiserror::Error)]
pub enum NotInForce {
    /// No rules of ours answer.
    #[error("the firewall rules are absent: run `sudo rcc firewall apply`")]
    Absent,
    /// Rules of ours answer, but not these, or not to this identity; or another packet filter
    /// denies everything alike, which proves nothing.
    #[error(
        "the firewall rules are of another version of the configuration or of rcc, or do not know \
         this identity: run `sudo rcc firewall apply`, or after an update of rcc the new one's \
         `setup` (if that does not help, another packet filter denies 127.82.67.67)"
    )]
    OtherVersion,
    /// The host's directly connected prefixes are not those that are denied.
    #[error(
        "the network of this host has changed and the firewall rules have not followed: run `sudo \
         rcc firewall apply` (the service rcc-firewall does this by itself)"
    )]
    OnLink,
    /// The rules are loaded and yet a private address was not denied.
    #[error("the firewall rules do not deny {address}: run `sudo rcc firewall apply`, then `sudo rcc firewall status`")]
    Leaks {
        /// The address.
        address: IpAddr,
    },
    /// The list of on-link prefixes.
    #[error(transparent)]
    Surroundings(#[from] OnLinkError),
    /// The probe itself did not work.
    #[error("cannot {attempt} to verify the firewall: {errno}")]
    Probe {
        /// What was tried.
        attempt: &'static str,
        /// The system's reason.
        errno: Errno,
    },
}

impl NotInForce {
    /// How long a running sandbox may keep its network while this is the answer: the service
    /// needs a moment to follow a change of the host's interfaces. Nothing else is excused.
    pub fn grace(&self) -> Duration {
        if matches!(self, Self::OnLink) { Duration::from_millis(700) } else { Duration::ZERO }
    }
}

impl Expectation {
    /// What identities of this profile see while exactly this ruleset is loaded.
    pub fn new(ruleset: &Ruleset, profile: &ProfileName) -> Self {
        let version = nft::version(ruleset);
        let profile_rules = ruleset.profiles.iter().find(|rules| rules.name == *profile);
        let opened: Vec<IpNet> = profile_rules
            .iter()
            .flat_map(|rules| rules.hosts.iter().chain(&rules.prefixes))
            .filter(|opening| (opening.ports.first()..=opening.ports.last()).contains(&PROBE_PORT))
            .map(|opening| opening.net)
            .collect();
        let is_open = |address: &IpAddr| opened.iter().any(|net| net.contains(address));
        // The kernel sends IPv6 only where a route leads, so an IPv6 range cannot be probed
        // without sending something on its way; its presence follows from the version.
        let v4 = crate::policy::ranges::denied().into_iter().filter(|net| net.addr().is_ipv4());
        let denied = v4.filter_map(|net| net.hosts().take(4).last()).filter(|address| !is_open(address));
        let excepted = opened.iter().filter(|net| net.prefix_len() == net.max_prefix_len()).map(IpNet::addr);
        Self { version, canary: version.canary(profile), denied: denied.collect(), excepted: excepted.collect() }
    }
}

/// Runs all probes, cheapest and most telling first.
pub fn check(expect: &Expectation) -> Result<(), NotInForce> {
    match knock(&expect.canary)? {
        Answer::Ours => {}
        Answer::Alike => return Err(NotInForce::OtherVersion),
        Answer::Other => return Err(without_version(expect)?),
    }
    let links = onlink::read()?;
    if knock(&expect.version.on_link_canary(&links.on_link))? != Answer::Ours {
        return Err(NotInForce::OnLink);
    }
    let own = links.own.iter().filter(|address| !expect.excepted.contains(address) && !is_link_local(address));
    for address in expect.denied.iter().chain(own) {
        if !is_denied(*address)? {
            return Err(NotInForce::Leaks { address: *address });
        }
    }
    Ok(())
}

/// Absent rules let a datagram pass to an address that no ruleset opens.
fn without_version(expect: &Expectation) -> Result<NotInForce, NotInForce> {
    let mut denied = expect.denied.iter();
    let all_open = denied.try_fold(true, |open, address| is_denied(*address).map(|denied| open && !denied))?;
    Ok(if all_open { NotInForce::Absent } else { NotInForce::OtherVersion })
}

/// An IPv6 link-local address means nothing without its interface.
fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// As our rules answer.
    Ours,
    /// As our rules, but on the control port too.
    Alike,
    /// Anything else.
    Other,
}

fn knock(canary: &Canary) -> Result<Answer, NotInForce> {
    for port in canary.ports {
        if refusal((canary.address, port).into())? != Some(Errno::PERM) {
            return Ok(Answer::Other);
        }
    }
    let control = refusal((canary.address, canary.control).into())?;
    Ok(if control.is_none() { Answer::Ours } else { Answer::Alike })
}

/// Whether an address is denied or, which is as good, nowhere.
fn is_denied(address: IpAddr) -> Result<bool, NotInForce> {
    Ok(refusal(SocketAddr::new(address, PROBE_PORT))?.is_some())
}

/// Why the kernel refuses an empty datagram, if it does. The socket is bound to `lo`, save for the host's
/// own IPv6 addresses, which `lo` has no route to but which never leave the host either.
fn refusal(to: SocketAddr) -> Result<Option<Errno>, NotInForce> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)
        .map_err(|errno| NotInForce::Probe { attempt: "open a socket", errno })?;
    if to.is_ipv4() || to.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST) {
        bind_to_loopback(&socket)?;
    }
    match rustix::net::sendto(&socket, &[], SendFlags::NOSIGNAL, &to) {
        Ok(_) => Ok(None),
        // Denied; or no route or no such address any more, so there is nothing to reach.
        Err(errno @ (Errno::PERM | Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::ADDRNOTAVAIL)) => Ok(Some(errno)),
        Err(errno) => Err(NotInForce::Probe { attempt: "send a datagram", errno }),
    }
}

/// Needs no privilege for a socket that is not bound to a device yet (Linux 5.7,
/// `sock_bindtoindex_locked` in net/core/sock.c).
fn bind_to_loopback(socket: &OwnedFd) -> Result<(), NotInForce> {
    const LO: &CStr = c"lo";
    let length = LO.to_bytes().len() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes from a string that is longer than that.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, LO.as_ptr().cast(), length)
    };
    if result == 0 {
        return Ok(());
    }
    let errno = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
    Err(NotInForce::Probe { attempt: "bind a socket to lo", errno })
}
