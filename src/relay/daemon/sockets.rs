//! The relay's directories, its sockets in them, and the launchers' leases.

use super::super::name::SessionName;
use super::super::place::{Place, SESSION_SOCKET};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
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
    /// The sessions' own directories, with their sockets.
    sessions: Names,
    /// Their leases: whoever could open one could lock it, and so keep a session alive or a sandbox from starting.
    leases: Names,
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
        let (sessions, leases) = (Names::found(place.sessions())?, Names::found(place.leases())?);
        Ok(Self { place: place.clone(), modes, sessions, leases })
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

    /// Makes a session's directory with its socket, the second value, and its lease, the third; what a crash left is
    /// replaced, in the same directory, which a running sandbox has mounted.
    pub(super) fn session(&self, session: &SessionName) -> Result<(UnixListener, PathBuf, PathBuf), SocketError> {
        let own = self.sessions.of(session)?;
        directory(&own, self.modes.directory)?;
        let listener = listen(&own.join(SESSION_SOCKET), self.modes.socket)?;
        let lease = self.leases.of(session)?;
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let made = rustix::fs::open(&lease, flags, Mode::from_raw_mode(self.modes.lease));
        let made = made.and_then(|file| rustix::fs::fchmod(&file, Mode::from_raw_mode(self.modes.lease)));
        made.map_err(|errno| failed("create", &lease)(errno.into()))?;
        Ok((listener, own, lease))
    }

    /// Removes them.
    pub(super) fn remove_session(&self, session: &SessionName) {
        // What cannot be removed is in nobody's way: its name does not come again.
        if let Some(own) = self.sessions.take(session) {
            let _ = std::fs::remove_file(own.join(SESSION_SOCKET));
            let _ = std::fs::remove_dir(own);
        }
        if let Some(lease) = self.leases.take(session) {
            let _ = std::fs::remove_file(lease);
        }
    }

    /// Whether nobody holds the session's lease: the kernel lets go of it when the launcher ends, however it does.
    pub(super) fn launcher_has_ended(&self, session: &SessionName) -> bool {
        let Some(path) = self.leases.known(session) else { return true };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()) else { return true };
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}

/// What lies in a directory for each session, as `SESSION.RANDOM`: where others get through, it is found by those
/// alone who were told. The name of a sandbox's session has no dot.
struct Names {
    parent: PathBuf,
    known: RefCell<HashMap<SessionName, PathBuf>>,
}

impl Names {
    /// Those that are there already.
    fn found(parent: PathBuf) -> Result<Self, SocketError> {
        let list = || -> io::Result<HashMap<SessionName, PathBuf>> {
            let paths = std::fs::read_dir(&parent)?.map(|entry| entry.map(|entry| entry.path()));
            let named = |path: PathBuf| {
                let session = path.file_name()?.to_str()?.split_once('.')?.0.parse().ok()?;
                Some((session, path))
            };
            Ok(paths.collect::<io::Result<Vec<_>>>()?.into_iter().filter_map(named).collect())
        };
        let known = list().map_err(failed("list", &parent))?.into();
        Ok(Self { parent, known })
    }

    fn known(&self, session: &SessionName) -> Option<PathBuf> {
        self.known.borrow().get(session).cloned()
    }

    /// The one that is known, or a new one that nobody guesses.
    fn of(&self, session: &SessionName) -> Result<PathBuf, SocketError> {
        if let Some(known) = self.known(session) {
            return Ok(known);
        }
        let mut random = [0; 16];
        getrandom(&mut random, GetRandomFlags::empty())
            .map_err(|errno| failed("name something in", &self.parent)(errno.into()))?;
        let path = self.parent.join(format!("{session}.{:032x}", u128::from_ne_bytes(random)));
        self.known.borrow_mut().insert(session.clone(), path.clone());
        Ok(path)
    }

    fn take(&self, session: &SessionName) -> Option<PathBuf> {
        self.known.borrow_mut().remove(session)
    }
}

/// The socket for the host's programs: the service manager's, where it passed one.
pub(super) fn shared(place: &Place, system: bool, inherited: Vec<OwnedFd>) -> Result<UnixListener, SocketError> {
    let path = place.socket();
    let mut inherited = inherited.into_iter();
    match (inherited.next(), inherited.next()) {
        (None, _) => listen(&path, if system { 0o660 } else { 0o600 }),
        (Some(socket), None) if tells_its_peers(&socket) => adopt(StdListener::from(socket), &path),
        _ => {
            let wanted = "the service manager must pass one listening Unix stream socket: see `ListenStream=`";
            Err(failed("take over", &path)(io::Error::other(wanted)))
        }
    }
}

/// Whether the kernel says of this socket's clients who they are.
fn tells_its_peers(socket: &OwnedFd) -> bool {
    socket_domain(socket) == Ok(AddressFamily::UNIX)
        && socket_type(socket) == Ok(SocketType::STREAM)
        && socket_acceptconn(socket) == Ok(true)
}

/// Listens at this path, in the place of what a crash left there.
pub(in crate::relay) fn listen(path: &Path, mode: u32) -> Result<UnixListener, SocketError> {
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
pub(in crate::relay) fn directory(path: &Path, mode: u32) -> Result<(), SocketError> {
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
