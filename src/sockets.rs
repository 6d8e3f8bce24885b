//! Sockets of a daemon's, the directories that they are in, and the lock that says that it runs.

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// A socket, or what it needs, could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}: {source}", crate::shown::terminal(path))]
pub struct SocketError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// For `map_err`.
pub fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError { attempt, path, source }
}

/// Has as many descriptors as this process may: each client takes one, and each call some.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // With the old one a daemon works, for fewer clients.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Locks the file that says that a daemon runs; `None` if another process has it.
///
/// # Errors
/// If it cannot be opened or locked.
pub fn lock(path: &Path) -> Result<Option<File>, SocketError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600));
    let file = File::from(opened.map_err(|errno| failed("open", path)(errno.into()))?);
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(failed("lock", path)(errno.into())),
    }
}

/// The listening socket at this path: the service manager's, where it passed one, else a new one.
///
/// # Errors
/// If something else was passed, or none can be made.
pub fn take_over_or_listen(path: &Path, mode: u32, inherited: Vec<OwnedFd>) -> Result<UnixListener, SocketError> {
    let mut inherited = inherited.into_iter();
    match (inherited.next(), inherited.next()) {
        (None, _) => listen(path, mode),
        (Some(socket), None) if tells_its_peers(&socket) => adopt(StdListener::from(socket), path),
        _ => {
            let wanted = "the service manager must pass one listening Unix stream socket: see `ListenStream=`";
            Err(failed("take over", path)(io::Error::other(wanted)))
        }
    }
}

/// Whether the kernel says of this socket's clients who they are.
fn tells_its_peers(socket: &OwnedFd) -> bool {
    socket_domain(socket) == Ok(AddressFamily::UNIX)
        && socket_type(socket) == Ok(SocketType::STREAM)
        && socket_acceptconn(socket) == Ok(true)
}

/// A new socket at this path, in the place of what is there.
///
/// # Errors
/// If it cannot be made.
pub fn listen(path: &Path, mode: u32) -> Result<UnixListener, SocketError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace", path)(error)),
        _ => {}
    }
    let listener = bind(path).map_err(failed("listen at", path))?;
    set_mode(path, mode).map_err(failed("set the mode of", path))?;
    adopt(listener, path)
}

/// A path of any length: the kernel takes 107 bytes (`sun_path`, unix(7)), so a long one goes by its directory.
fn bind(path: &Path) -> io::Result<StdListener> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return StdListener::bind(path);
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty())?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&parent);
    StdListener::bind(Path::new("/proc/self/fd").join(number.to_string()).join(name))
}

/// Of a socket alone: where others can write in its directory, something else may be in its place by now, perhaps a link
/// to a file of the user's.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let there = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if !FileType::from_raw_mode(rustix::fs::fstat(&there)?.st_mode).is_socket() {
        return Err(io::Error::other("something else is in its place: who writes in this directory?"));
    }
    let number = std::os::fd::AsRawFd::as_raw_fd(&there);
    std::fs::set_permissions(Path::new("/proc/self/fd").join(number.to_string()), Permissions::from_mode(mode))
}

fn adopt(listener: StdListener, path: &Path) -> Result<UnixListener, SocketError> {
    listener.set_nonblocking(true).map_err(failed("listen at", path))?;
    UnixListener::from_std(listener).map_err(failed("listen at", path))
}

/// Makes a directory of the daemon's, or corrects its mode.
///
/// # Errors
/// If it cannot be made, or is another user's.
pub fn directory(path: &Path, mode: u32) -> Result<(), SocketError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(failed("create", path))?;
    let meta = std::fs::symlink_metadata(path).map_err(failed("look at", path))?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        let owner =
            io::Error::other(format!("it must be a directory of the daemon's own user; it is uid {}'s", meta.uid()));
        return Err(failed("use", path)(owner));
    }
    if meta.mode() & 0o7777 != mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn a_socket_has_the_mode_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.sock");
        for wanted in [0o600, 0o660, 0o666] {
            let _listener = listen(&path, wanted).unwrap();
            assert_eq!(mode(&path), wanted);
        }
    }

    #[test]
    fn what_took_the_place_of_a_socket_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("own.sock"));
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&link, &file] {
            let error = set_mode(path, 0o600).unwrap_err();
            assert!(error.to_string().contains("something else"), "{error}");
        }
        assert_eq!(mode(&file), 0o640);
    }
}
