//! Connects by a path of any length, through `/proc`.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Whether a process has the socket at this path open, as far as connecting tells: a listener gets
/// a connection that ends at once. What another error leaves in doubt counts as yes.
pub(in crate::project) fn has_listener(path: &Path) -> bool {
    let kinds = [SocketType::STREAM, SocketType::SEQPACKET, SocketType::DGRAM];
    let answers = kinds.map(|kind| reach(path, kind));
    // Of the wrong kind is another error (EPROTOTYPE) than nobody there.
    !answers.iter().any(|answer| matches!(answer, Err(Errno::CONNREFUSED | Errno::NOENT)))
}

fn reach(path: &Path, kind: SocketType) -> Result<(), Errno> {
    let (parent, name) = (path.parent().ok_or(Errno::NOENT)?, path.file_name().ok_or(Errno::NOENT)?);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty())?;
    // The address has room for 108 bytes (unix(7)), the path may be longer.
    let short = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, kind, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(&*short)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    #[test]
    fn a_socket_counts_as_long_as_somebody_listens() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        for at in [dir.path(), &deep] {
            let open = std::fs::File::open(at).unwrap();
            let short = Path::new("/proc/self/fd").join(open.as_raw_fd().to_string());
            let stream = UnixListener::bind(short.join("stream")).unwrap();
            let datagram = UnixDatagram::bind(short.join("datagram")).unwrap();
            let (one, other) = (at.join("stream"), at.join("datagram"));
            assert!(has_listener(&one) && has_listener(&other));
            drop((stream, datagram));
            assert!(!has_listener(&one) && !has_listener(&other));
        }
    }
}
