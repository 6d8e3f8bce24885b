//! A connection to a socket at a path of any length.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a path that `sun_path` holds beside its NUL (unix(7)).
const SUN_PATH_MAX: usize = 107;

/// Connects. Neither this nor a later write takes longer than `patience`, also where nobody accepts connections.
///
/// # Errors
/// The system's: `ENOENT` and `ECONNREFUSED` mean that nobody listens there.
pub(in crate::relay) fn to(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // connect(2) waits for a place in the queue as long as this (unix_stream_connect).
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    let (address, _directory) = within_reach(path)?;
    connect(&socket, &SocketAddrUnix::new(address)?)?;
    Ok(socket.into())
}

/// The path, or a short one that leads to the same as long as the descriptor is open.
fn within_reach(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if path.as_os_str().len() <= SUN_PATH_MAX {
        return Ok((path.to_owned(), None));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, parent, flags, Mode::empty())?;
    Ok((Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name), Some(directory)))
}
