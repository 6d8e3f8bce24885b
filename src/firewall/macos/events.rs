//! What the daemon waits for: changes of addresses and routes, and signals. pf tells nobody when
//! its rules change, so it is asked again and again.

use rustix::event::kqueue::{Event, EventFilter, EventFlags, kevent, kqueue};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Signal;
use std::io;
use std::os::fd::FromRawFd;
use std::time::Duration;

/// Changes come in bursts: a moment of quiet is waited for.
const BURST: Duration = Duration::from_millis(100);
/// Bursts that do not end are cut here.
const BURSTS_MAX: u32 = 10;
/// As many as one look takes at once.
const EVENTS_MAX: usize = 8;
const SIGNALS: [Signal; 3] = [Signal::HUP, Signal::TERM, Signal::INT];

/// What woke the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Woken {
    /// Addresses or routes changed.
    pub(super) surroundings: bool,
    /// SIGHUP.
    pub(super) reload: bool,
    /// SIGTERM or SIGINT.
    pub(super) stop: bool,
}

/// The sources of events.
pub(super) struct Events {
    queue: OwnedFd,
    routes: OwnedFd,
}

impl Events {
    /// Ignores the signals for the whole process, and those that it starts: the queue gets them.
    pub(super) fn open() -> io::Result<Self> {
        let (queue, routes) = (kqueue()?, route_socket()?);
        let add = |filter| Event::new(filter, EventFlags::ADD, std::ptr::null_mut());
        let mut changes = vec![add(EventFilter::Read(routes.as_raw_fd()))];
        changes.extend(SIGNALS.map(|signal| add(EventFilter::Signal { signal, times: 0 })));
        // SAFETY: the socket outlives the queue, which is dropped with it.
        unsafe { kevent(&queue, &changes, &mut [] as &mut [Event], Some(Duration::ZERO)) }?;
        for signal in SIGNALS {
            // SAFETY: no handler runs; children that are started ignore it as well.
            if unsafe { libc::signal(signal.as_raw(), libc::SIG_IGN) } == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self { queue, routes })
    }

    /// Waits for an event and for the end of its burst, or for the time to look again.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<Woken> {
        let mut woken = self.look(timeout)?;
        if woken == Woken::default() {
            return Ok(woken);
        }
        for _ in 0..BURSTS_MAX {
            let more = self.look(BURST)?;
            if more == Woken::default() {
                break;
            }
            woken.surroundings |= more.surroundings;
            woken.reload |= more.reload;
            woken.stop |= more.stop;
        }
        Ok(woken)
    }

    fn look(&self, timeout: Duration) -> io::Result<Woken> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        // SAFETY: changes nothing about the queue.
        match unsafe { kevent(&self.queue, &[], rustix::buffer::spare_capacity(&mut events), Some(timeout)) } {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut woken = Woken::default();
        for event in events {
            match event.filter() {
                EventFilter::Read(_) => {
                    drain(&self.routes);
                    woken.surroundings = true;
                }
                EventFilter::Signal { signal, .. } if signal == Signal::HUP => woken.reload = true,
                EventFilter::Signal { .. } => woken.stop = true,
                _ => {}
            }
        }
        Ok(woken)
    }
}

/// route(4). What it says does not matter; whoever is woken looks at the whole again.
fn route_socket() -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor that nobody else owns.
    let socket = unsafe {
        match libc::socket(libc::PF_ROUTE, libc::SOCK_RAW, 0) {
            -1 => return Err(io::Error::last_os_error()),
            fd => OwnedFd::from_raw_fd(fd),
        }
    };
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Reads until there is nothing more. An overrun (ENOBUFS) is an event like any other.
fn drain(socket: &OwnedFd) {
    let mut buffer = [0_u8; 4096];
    while matches!(rustix::io::read(socket, &mut buffer), Ok(1..) | Err(Errno::NOBUFS | Errno::INTR)) {}
}
