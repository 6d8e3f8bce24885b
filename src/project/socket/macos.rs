//! Connects by the path itself; macOS has nothing like `/proc/self/fd`.

use std::io::{Error, ErrorKind};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

/// Whether a process has the socket at this path open, as far as connecting tells. What another
/// error leaves in doubt counts as yes: a path that is too long for an address, too.
pub(in crate::project) fn has_listener(path: &Path) -> bool {
    let stream = UnixStream::connect(path).map(drop);
    let datagram = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    let nobody = |error: &Error| matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound);
    ![stream, datagram].iter().any(|answer| answer.as_ref().is_err_and(nobody))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_counts_as_long_as_somebody_listens() {
        let dir = tempfile::tempdir().unwrap();
        let (stream, datagram) = (dir.path().join("stream"), dir.path().join("datagram"));
        let open = (UnixListener::bind(&stream).unwrap(), UnixDatagram::bind(&datagram).unwrap());
        assert!(has_listener(&stream) && has_listener(&datagram));
        drop(open);
        assert!(!has_listener(&stream) && !has_listener(&datagram));
    }
}
