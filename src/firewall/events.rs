//! What the service waits for: changes of the network, of nft tables and of resolv.conf, and
//! signals. Which event it was matters little: whoever is woken looks at the whole again.

use super::{netfilter, nft};
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Addresses and routes of both families (linux/rtnetlink.h, `RTNLGRP_*`).
const ROUTE_GROUPS: [u32; 4] = [
    5,  // RTNLGRP_IPV4_IFADDR
    7,  // RTNLGRP_IPV4_ROUTE
    9,  // RTNLGRP_IPV6_IFADDR
    11, // RTNLGRP_IPV6_ROUTE
];
/// Changes of nft tables (`NFNLGRP_NFTABLES`, linux/netfilter/nfnetlink.h).
const NFTABLES_GROUP: u32 = 7;
/// Changes come in bursts: a moment of quiet is waited for.
const BURST: Duration = Duration::from_millis(100);
/// Bursts that do not end are cut here.
const BURSTS_MAX: u32 = 10;

/// What woke the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Woken {
    /// Addresses, routes or resolvers may have changed.
    pub(super) surroundings: bool,
    /// Tables may have changed.
    pub(super) tables: bool,
    /// There are more leases, or fewer.
    pub(super) leases: bool,
    /// What goes with the rules has ended.
    pub(super) ended: bool,
    /// SIGHUP.
    pub(super) reload: bool,
    /// SIGTERM or SIGINT.
    pub(super) stop: bool,
}

impl Woken {
    /// Whether the rules, what is opened in them or what they follow may have changed.
    pub(super) fn any_change(self) -> bool {
        self.surroundings || self.tables || self.leases || self.reload || self.ended
    }

    /// A change that comes alone, and whose rest is not waited for.
    fn is_alone(self) -> bool {
        self == Self { leases: true, ..Self::default() } || self.ended || self.reload
    }
}

/// The sources of events.
pub(super) struct Events {
    routes: Socket,
    tables: Socket,
    files: OwnedFd,
    signals: OwnedFd,
    resolv_conf: PathBuf,
}

impl Events {
    /// Blocks the signals for the whole process, so call it before any thread is started.
    pub(super) fn open(resolv_conf: &Path) -> io::Result<Self> {
        let signals = signals()?;
        let routes = subscribe(NETLINK_ROUTE, &ROUTE_GROUPS)?;
        let tables = subscribe(NETLINK_NETFILTER, &[NFTABLES_GROUP])?;
        let files = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let events = Self { routes, tables, files, signals, resolv_conf: resolv_conf.to_owned() };
        events.watch_files()?;
        Ok(events)
    }

    /// Watches the directories that matter now; those that are watched already go on.
    fn watch_files(&self) -> io::Result<()> {
        let changes = inotify::WatchFlags::CLOSE_WRITE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE;
        for directory in watched_directories(&self.resolv_conf) {
            match inotify::add_watch(&self.files, &directory, changes) {
                // It has just gone; the timeout finds what comes in its place.
                Ok(_) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Waits for an event and for the end of its burst, or until `companion` is readable; nothing
    /// has changed if there is none.
    pub(super) fn wait(&self, timeout: Duration, companion: Option<BorrowedFd<'_>>) -> io::Result<Woken> {
        let deadline = Instant::now() + timeout;
        let mut woken = Woken::default();
        while woken == Woken::default() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(woken);
            }
            woken = self.poll(left, companion)?;
        }
        if woken.is_alone() {
            return Ok(woken);
        }
        for _ in 0..BURSTS_MAX {
            let more = self.poll(BURST, None)?;
            if more == Woken::default() {
                break;
            }
            woken.surroundings |= more.surroundings;
            woken.tables |= more.tables;
            woken.leases |= more.leases;
            woken.reload |= more.reload;
            woken.stop |= more.stop;
            if woken.leases {
                break;
            }
        }
        Ok(woken)
    }

    fn poll(&self, timeout: Duration, companion: Option<BorrowedFd<'_>>) -> io::Result<Woken> {
        // SAFETY: the sockets outlive the borrow, which ends with this function.
        let [routes, tables] =
            [&self.routes, &self.tables].map(|socket| unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) });
        let sources = [Some(routes), Some(tables), Some(self.files.as_fd()), Some(self.signals.as_fd()), companion];
        let mut fds: Vec<PollFd<'_>> =
            sources.into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: timeout.as_secs() as _, tv_nsec: timeout.subsec_nanos().into() };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let [routed, tabled, filed, signalled, ended] = [(); 5].map(|()| ready.next().unwrap_or(false));
        for (ready, fd) in [(routed, routes), (filed, self.files.as_fd())] {
            if ready {
                drain(fd, |_| {});
            }
        }
        if filed {
            self.watch_files()?;
        }
        let (mut changed, mut leased) = (false, false);
        if tabled {
            // The resolver adds addresses all day, and nobody needs to look at tables for that.
            let lost = drain(tables, |datagram| {
                for message in netfilter::messages(datagram) {
                    changed |= !message.is_of_elements();
                    leased |= message.set().is_some_and(|set| nft::is_of_leases(&set));
                }
            });
            changed |= lost;
        }
        let signal = if signalled { read_signal(&self.signals)? } else { None };
        let stop = matches!(signal, Some(libc::SIGTERM | libc::SIGINT));
        Ok(Woken {
            surroundings: routed || filed,
            tables: changed,
            leases: leased,
            ended,
            reload: signal == Some(libc::SIGHUP),
            stop,
        })
    }
}

/// resolv.conf is often a link to a file that is replaced: the directories of both matter. At boot
/// that of the file is not there yet, and the one above it sees it come.
fn watched_directories(resolv_conf: &Path) -> Vec<PathBuf> {
    let link = std::fs::read_link(resolv_conf).ok();
    let target = link.zip(resolv_conf.parent()).map(|(link, directory)| directory.join(link));
    let files = [Some(resolv_conf.to_owned()), target, std::fs::canonicalize(resolv_conf).ok()];
    let present = |path: PathBuf| path.ancestors().skip(1).find(|directory| directory.is_dir()).map(Path::to_owned);
    files.into_iter().flatten().filter_map(present).collect()
}

fn subscribe(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    groups.iter().try_for_each(|group| socket.add_membership(*group))?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// Reads until there is nothing more. Tells whether something was lost: an overrun (ENOBUFS), or a
/// message that is longer than any that is looked into.
fn drain(fd: impl AsFd, mut each: impl FnMut(&[u8])) -> bool {
    let mut buffer = [0_u8; 16 * 1024];
    let mut lost = false;
    loop {
        match rustix::io::read(&fd, &mut buffer) {
            Ok(length @ 1..) => {
                lost |= length == buffer.len();
                each(&buffer[..length]);
            }
            Err(Errno::NOBUFS) => lost = true,
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return lost,
        }
    }
}

fn signals() -> io::Result<OwnedFd> {
    // SAFETY: sigemptyset makes the set valid before anything reads it; signalfd returns a
    // descriptor that nobody else owns.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT] {
            libc::sigaddset(&mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

fn read_signal(fd: &OwnedFd) -> io::Result<Option<i32>> {
    let mut record = [0_u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(fd, &mut record) {
        // ssi_signo is the first field (signalfd(2)).
        Ok(length) if length == record.len() => {
            Ok(Some(i32::from_ne_bytes([record[0], record[1], record[2], record[3]])))
        }
        Ok(_) | Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
