//! The relay's directories, its sockets in them, and the launchers' leases.

use super::super::name::SessionName;
use super::super::place::{Place, SESSION_SOCKET};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::cell::RefCell;
use std::collections::HashMap;
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

fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError { attempt, path, source }
}

/// What others may do with the sockets and their directories: nothing where the relay is one user's. Where it is the
/// system's, sandboxes of other users get through, and whoever connects is asked for the uid.
struct Modes {
    directory: u32,
    socket: u32,
    lease: u32,
}

impl Modes {
    fn new(system: bool) -> Self {
        if system {
            Self { directory: 0o711, socket: 0o666, lease: 0o644 }
        } else {
            Self { directory: 0o700, socket: 0o600, lease: 0o600 }
        }
    }
}

/// The relay's directories.
pub(super) struct Directories {
    place: Place,
    modes: Modes,
    /// Where the lease of each session is. Whoever could open one could lock it, and so keep a session alive or a
    /// sandbox from starting: where others get through, its name is told to the launcher alone.
    leases: RefCell<HashMap<SessionName, PathBuf>>,
}

impl Directories {
    /// Makes what is missing.
    pub(super) fn prepare(place: &Place, system: bool) -> Result<Self, SocketError> {
        let modes = Modes::new(system);
        directory(&place.run, modes.directory)?;
        directory(&place.state, 0o700)?;
        for path in [place.sessions(), place.leases()] {
            directory(&path, modes.directory)?;
        }
        directory(&place.cache(), 0o700)?;
        let leases = leases(&place.leases()).map_err(failed("list", &place.leases()))?;
        Ok(Self { place: place.clone(), modes, leases: leases.into() })
    }

    /// The lock of the daemon; `None` if another one has it.
    pub(super) fn lock(&self) -> Result<Option<File>, SocketError> {
        let path = self.place.lock();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600));
        let file = File::from(opened.map_err(|errno| failed("open", &path)(errno.into()))?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed("lock", &path)(errno.into())),
        }
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.place.cache()
    }

    /// Makes a session's directory, socket and lease, the second value; what a crash left is replaced, in the same
    /// directory, which a running sandbox has mounted.
    pub(super) fn session(&self, session: &SessionName) -> Result<(UnixListener, PathBuf), SocketError> {
        let own = self.place.sessions().join(session.as_str());
        directory(&own, self.modes.directory)?;
        let listener = listen(&own.join(SESSION_SOCKET), self.modes.socket)?;
        let lease = self.lease(session)?;
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let made = rustix::fs::open(&lease, flags, Mode::from_raw_mode(self.modes.lease));
        let made = made.and_then(|file| rustix::fs::fchmod(&file, Mode::from_raw_mode(self.modes.lease)));
        made.map_err(|errno| failed("create", &lease)(errno.into()))?;
        Ok((listener, lease))
    }

    /// The path of the session's lease: the one that its launcher knows, or a new one that nobody guesses.
    fn lease(&self, session: &SessionName) -> Result<PathBuf, SocketError> {
        if let Some(known) = self.leases.borrow().get(session) {
            return Ok(known.clone());
        }
        let mut random = [0; 16];
        let leases = self.place.leases();
        getrandom(&mut random, GetRandomFlags::empty())
            .map_err(|errno| failed("name a file in", &leases)(errno.into()))?;
        let path = leases.join(format!("{session}.{:032x}", u128::from_ne_bytes(random)));
        self.leases.borrow_mut().insert(session.clone(), path.clone());
        Ok(path)
    }

    /// Removes them.
    pub(super) fn remove_session(&self, session: &SessionName) {
        let own = self.place.sessions().join(session.as_str());
        // What cannot be removed is replaced when the name comes again, which it does not.
        let _ = std::fs::remove_file(own.join(SESSION_SOCKET));
        let _ = std::fs::remove_dir(own);
        if let Some(lease) = self.leases.borrow_mut().remove(session) {
            let _ = std::fs::remove_file(lease);
        }
    }

    /// Whether nobody holds the session's lease: the kernel lets go of it when the launcher ends, however it does.
    pub(super) fn launcher_has_ended(&self, session: &SessionName) -> bool {
        let leases = self.leases.borrow();
        let Some(path) = leases.get(session) else { return true };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else { return true };
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}

/// The leases that are there, `SESSION.RANDOM` each: the name of a sandbox's session has no dot.
fn leases(directory: &Path) -> io::Result<HashMap<SessionName, PathBuf>> {
    let mut found = HashMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.split_once('.')?.0.parse().ok());
        if let Some(session) = name {
            found.insert(session, path);
        }
    }
    Ok(found)
}

/// The socket for the host's programs: the service manager's, where it passed one.
pub(super) fn shared(place: &Place, system: bool, inherited: Vec<OwnedFd>) -> Result<UnixListener, SocketError> {
    let path = place.socket();
    match inherited.into_iter().next() {
        Some(socket) => adopt(StdListener::from(socket), &path),
        None => listen(&path, if system { 0o660 } else { 0o600 }),
    }
}

fn listen(path: &Path, mode: u32) -> Result<UnixListener, SocketError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace", path)(error)),
        _ => {}
    }
    let listener = bind(path).map_err(failed("listen at", path))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))?;
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

fn adopt(listener: StdListener, path: &Path) -> Result<UnixListener, SocketError> {
    listener.set_nonblocking(true).map_err(failed("listen at", path))?;
    UnixListener::from_std(listener).map_err(failed("listen at", path))
}

/// Makes a directory of the relay's, or corrects its mode. Another user's is refused.
fn directory(path: &Path, mode: u32) -> Result<(), SocketError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(failed("create", path))?;
    let meta = std::fs::symlink_metadata(path).map_err(failed("look at", path))?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        let owner =
            io::Error::other(format!("it must be a directory of the relay's own user; it is uid {}'s", meta.uid()));
        return Err(failed("use", path)(owner));
    }
    if meta.mode() & 0o7777 != mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))?;
    }
    Ok(())
}
