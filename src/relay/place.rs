//! Where a relay keeps its sockets and its files.
//!
//! ```text
//! RUN/relay.sock            for the host's programs: 0600, or 0660 for the group of a system's relay
//! RUN/lock                  locked by the daemon as long as it runs
//! RUN/sessions/NAME.*/sock  a session's own socket; the directory is /run/rcc/relay in its sandbox
//! RUN/leases/NAME.RANDOM    locked (shared) by the launcher as long as its sandbox runs
//! RUN/cache/NAME.json       a session for status lines, replaced whole
//! STATE/store.db            the store
//! STATE/audit/*.jsonl       the journal
//! STATE/worktables/GROUP/   the documents of a group
//! STATE/pairs/NAME/END/     the audit of an end of a pair, which no relay writes
//! ```

use std::path::{Path, PathBuf};

/// The directory of sockets of the system's relay (`RuntimeDirectory=` of its unit).
pub const SYSTEM_RUN: &str = "/run/rcc-relay";
/// Its state (`StateDirectory=`).
pub const SYSTEM_STATE: &str = "/var/lib/rcc-relay";
/// The user that it runs as.
pub const SYSTEM_USER: &str = "rcc-relay";
/// The group of those who may use it.
pub const SYSTEM_GROUP: &str = "rcc-agents";
/// Where a sandbox has the directory of its session's socket.
pub const INSIDE: &str = "/run/rcc/relay";
/// What leads to that socket: a link.
pub const INSIDE_SOCKET: &str = "/run/rcc/relay.sock";
/// The name of a session's socket in its directory.
pub const SESSION_SOCKET: &str = "sock";

/// The directories of one relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Sockets, locks and caches; gone with the next boot.
    pub run: PathBuf,
    /// What lasts.
    pub state: PathBuf,
}

impl Place {
    /// The system's relay.
    pub fn system() -> Self {
        Self { run: SYSTEM_RUN.into(), state: SYSTEM_STATE.into() }
    }

    /// The relay of one user. `exists` tells which directories are there: the login session's comes first,
    /// then the one that root prepared, then one among rcc's data.
    pub fn user(uid: u32, xdg: Option<&Path>, data: &Path, exists: impl Fn(&Path) -> bool) -> Self {
        let login = xdg.map_or_else(|| Path::new("/run/user").join(uid.to_string()), Path::to_owned);
        let prepared = Path::new(crate::session::RUN).join(uid.to_string());
        let run = if login.is_absolute() && exists(&login) {
            login.join("rcc/relay")
        } else if exists(&prepared) {
            prepared.join("relay")
        } else {
            data.join("run/relay")
        };
        Self { run, state: data.join("relay") }
    }

    /// The socket for the host's programs.
    pub fn socket(&self) -> PathBuf {
        self.run.join("relay.sock")
    }

    /// Locked by the daemon.
    pub fn lock(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// The directories of the sessions' sockets.
    pub fn sessions(&self) -> PathBuf {
        self.run.join("sessions")
    }

    /// The launchers' locks.
    pub fn leases(&self) -> PathBuf {
        self.run.join("leases")
    }

    /// Sessions for status lines.
    pub fn cache(&self) -> PathBuf {
        self.run.join("cache")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.state.join("store.db")
    }

    /// The groups' worktables.
    pub fn worktables(&self) -> PathBuf {
        self.state.join("worktables")
    }

    /// The audits of the ends of pairs.
    pub fn pairs(&self) -> PathBuf {
        self.state.join("pairs")
    }

    /// The journal's directory.
    pub fn audit(&self) -> PathBuf {
        self.state.join("audit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_relay_is_where_only_that_user_comes() {
        let data = Path::new("/home/a/.local/share/rcc");
        let at = |xdg: Option<&str>, there: &[&str]| {
            let place =
                Place::user(7, xdg.map(Path::new), data, |path| there.iter().any(|known| path == Path::new(known)));
            place.socket().to_string_lossy().into_owned()
        };
        assert_eq!(at(Some("/run/user/7"), &["/run/user/7", "/run/rcc/7"]), "/run/user/7/rcc/relay/relay.sock");
        assert_eq!(at(None, &["/run/user/7"]), "/run/user/7/rcc/relay/relay.sock");
        assert_eq!(at(Some("/gone"), &["/run/rcc/7"]), "/run/rcc/7/relay/relay.sock");
        assert_eq!(at(Some("relative"), &["relative"]), "/home/a/.local/share/rcc/run/relay/relay.sock");
    }
}
