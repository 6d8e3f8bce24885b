//! An interface of which a process reads what is sent, and writes what is received.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// `IFF_TUN` and `IFF_NO_PI`, linux/if_tun.h: IP packets, and nothing before them.
const FLAGS: libc::c_short = 0x0001 | 0x1000;

/// Makes an interface in the calling process's network namespace, which it needs CAP_NET_ADMIN
/// over. It is gone when the last copy of the descriptor is.
///
/// # Errors
/// Those of open(2) and of ioctl(2) with `TUNSETIFF`.
///
/// # Panics
/// If the name is longer than `IFNAMSIZ` - 1, 15 bytes.
pub fn create(name: &str) -> Result<OwnedFd, Errno> {
    let tun = open("/dev/net/tun", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    // SAFETY: an ifreq is plain data that may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < request.ifr_name.len(), "{name} is no name of an interface");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = FLAGS;
    // SAFETY: the kernel reads and writes one ifreq, which outlives the call.
    match unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &mut request) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(tun),
    }
}
