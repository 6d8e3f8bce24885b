//! What a service and its service manager say to each other: sd_notify(3), sd_listen_fds(3).

use std::os::fd::{FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The first inherited socket (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;
/// Sockets that one unit passes; rcc's pass one.
const SOCKETS_MAX: i32 = 16;

/// Tells that the service is ready. A service manager that does not listen is none of our concern.
pub fn ready() {
    tell("READY=1\nSTATUS=\n");
}

/// Tells that it ends.
pub fn stopping() {
    tell("STOPPING=1\n");
}

/// Tells what it does, and that this may take as long again as `time` from now, whatever the unit allows for a start.
pub fn busy(what: &str, time: Duration) {
    tell(&format!("STATUS={what}\nEXTEND_TIMEOUT_USEC={}\n", time.as_micros()));
}

fn tell(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_encoded_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!("cannot tell the service manager how the service is: {error}");
    }
}

/// The sockets that the service manager listens on for this process. To be called once.
pub fn sockets() -> Vec<OwnedFd> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
    let own = number("LISTEN_PID") == i32::try_from(std::process::id()).ok();
    let count = number("LISTEN_FDS").filter(|count| own && (1..=SOCKETS_MAX).contains(count)).unwrap_or(0);
    let passed = (FIRST..FIRST + count).filter(|fd| {
        let flags = rustix::io::FdFlags::CLOEXEC;
        // SAFETY: the number is only borrowed for one call, which fails if it is no open descriptor.
        rustix::io::fcntl_setfd(unsafe { std::os::fd::BorrowedFd::borrow_raw(*fd) }, flags).is_ok()
    });
    // SAFETY: they are open, were passed to this very process, and nothing else here knows of them.
    passed.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}
