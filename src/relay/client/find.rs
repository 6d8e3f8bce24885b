//! Which relay a program talks to.

use super::{Client, ClientError};
use crate::facts::Facts;
use crate::relay::pair;
use crate::relay::place::{INSIDE, INSIDE_SOCKET, Place};
use crate::statement;
use std::path::{Path, PathBuf};

/// Names the socket of another relay than the user's or the system's; on the host only.
pub const SOCKET_VARIABLE: &str = "RCC_RELAY_SOCKET";

/// The sockets on which a relay may listen, the one to be preferred first. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Whether this is a sandbox, which has one relay's socket, and perhaps that of its pairs.
    pub inside: bool,
    /// In the order in which they are tried.
    pub sockets: Vec<PathBuf>,
}

/// The relay of the calling user, running or not.
pub fn own_place(facts: &Facts) -> Place {
    let xdg = facts.variable("XDG_RUNTIME_DIR").map(Path::new);
    Place::user(facts.user.uid, xdg, &facts.data_dir, Path::is_dir)
}

/// Where the caller's relay may be: the one that [`SOCKET_VARIABLE`] names; in a sandbox its own socket, then that of
/// its pairs; else the user's, then the system's.
pub fn find(facts: &Facts) -> Candidates {
    // A sandbox that did not join has the statement alone.
    let inside = [INSIDE_SOCKET, INSIDE, statement::PATH].iter().any(|path| Path::new(path).symlink_metadata().is_ok());
    let named = facts.environment.get(std::ffi::OsStr::new(SOCKET_VARIABLE)).map(PathBuf::from);
    choose(inside, named, &own_place(facts))
}

fn choose(inside: bool, named: Option<PathBuf>, own: &Place) -> Candidates {
    let sockets = match named.filter(|path| !path.as_os_str().is_empty()) {
        // Who is reached directly is so while the relay is down.
        _ if inside => vec![INSIDE_SOCKET.into(), pair::INSIDE_SOCKET.into()],
        Some(path) => vec![path],
        None => vec![own.socket(), Place::system().socket()],
    };
    Candidates { inside, sockets }
}

impl Candidates {
    /// Connects to the first one on which somebody listens; the second value is its path.
    ///
    /// # Errors
    /// Those of [`Client::connect`]; where nobody listens at all, that of the preferred one.
    pub fn connect(&self) -> Result<(Client, &Path), ClientError> {
        let mut silent = None;
        for path in &self.sockets {
            match Client::connect(path) {
                Err(error @ ClientError::NotRunning { .. }) => silent = silent.or(Some(error)),
                Err(error) => return Err(error),
                Ok(client) => return Ok((client, path)),
            }
        }
        Err(silent.unwrap_or_else(|| ClientError::not_running(Path::new(INSIDE_SOCKET))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn own(run: &Path) -> Place {
        Place { run: run.into(), state: "/nonexistent".into() }
    }

    #[test]
    fn a_sandbox_has_its_own_socket_and_no_choice() {
        let own = own(Path::new("/run/user/7/rcc/relay"));
        let inside = choose(true, Some("/tmp/mine".into()), &own);
        assert_eq!(
            inside,
            Candidates { inside: true, sockets: vec![INSIDE_SOCKET.into(), pair::INSIDE_SOCKET.into()] }
        );
        let named = choose(false, Some("/tmp/mine".into()), &own);
        assert_eq!(named.sockets, [Path::new("/tmp/mine")]);
        let plain = choose(false, Some("".into()), &own);
        assert_eq!(plain.sockets, [own.socket(), Place::system().socket()]);
    }

    #[test]
    fn the_first_relay_that_listens_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (stale, live) = (dir.path().join("stale"), dir.path().join("live"));
        drop(UnixListener::bind(&stale).unwrap());
        let _listener = UnixListener::bind(&live).unwrap();
        let sockets = vec![dir.path().join("absent"), stale.clone(), live.clone()];
        assert_eq!(Candidates { inside: false, sockets }.connect().unwrap().1, live);
        let silent = Candidates { inside: false, sockets: vec![stale.clone(), dir.path().join("absent")] };
        match silent.connect() {
            Err(ClientError::NotRunning { path, .. }) => assert_eq!(path, stale),
            other => panic!("{other:?}"),
        }
    }
}
