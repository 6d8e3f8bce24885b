//! What a sandbox sees of the relay: its own session's socket and its groups' directories, nothing of others'.

use super::name::{PairName, SessionName};
use super::pair;
use super::place::{INSIDE, INSIDE_SOCKET, SESSION_SOCKET};
use super::wire::answer::Worktable;
use crate::view::{Access, Mount, What};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// rcc's program inside: what the session's MCP server, its hooks and the wrappers of its tools are.
pub const INSIDE_PROGRAM: &str = "/run/rcc/bin/rcc";
/// Where the directories of a session's groups are inside.
pub const INSIDE_WORKTABLES: &str = "/run/rcc/worktables";

/// A session's place at a relay.
#[derive(Clone, Debug, PartialEq)]
pub struct Seat {
    /// The session's name.
    pub session: SessionName,
    /// The relay's socket for the host's programs.
    pub socket: PathBuf,
    /// The host's directory of the session's own socket, without symbolic links.
    pub directory: PathBuf,
    /// The directories of its groups, without symbolic links.
    pub worktables: Vec<Worktable>,
}

/// A session's place at the ends of its pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// The session's name; at a relay it has the same.
    pub session: SessionName,
    /// The host's directory of the session's own socket for this, without symbolic links.
    pub directory: PathBuf,
    /// What the pairs are called.
    pub pairs: Vec<PairName>,
}

impl Direct {
    /// What appears in the sandbox. Nothing of it can be written or executed.
    pub fn mounts(&self) -> Vec<Mount> {
        vec![bind(pair::INSIDE.into(), &self.directory, Access::Inert)]
    }
}

fn bind(target: PathBuf, source: &Path, access: Access) -> Mount {
    Mount { target, what: What::Bind { source: source.to_owned(), access } }
}

impl Seat {
    /// What appears in the sandbox. Nothing of it can be written or executed.
    pub fn mounts(&self) -> Vec<Mount> {
        let mut mounts = vec![
            bind(INSIDE.into(), &self.directory, Access::Inert),
            Mount { target: INSIDE_SOCKET.into(), what: What::Symlink { to: Path::new(INSIDE).join(SESSION_SOCKET) } },
        ];
        mounts.extend(self.worktables.iter().map(|table| {
            bind(Path::new(INSIDE_WORKTABLES).join(table.name.as_str()), &table.directory, Access::Inert)
        }));
        mounts
    }

    /// Variables inside.
    pub fn environment(&self) -> [(OsString, OsString); 1] {
        [("RCC_RELAY_SOCKET".into(), INSIDE_SOCKET.into())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_its_pairs_a_sandbox_sees_its_own_socket_and_nothing_that_it_could_change() {
        let direct = Direct {
            session: "api-1".parse().unwrap(),
            directory: "/run/rcc/7/direct/api-1.0".into(),
            pairs: vec!["api-web".parse().unwrap()],
        };
        let bound = |mount: &Mount| match &mount.what {
            What::Bind { source, access: Access::Inert } => source.clone(),
            other => panic!("{other:?}"),
        };
        let mounts: Vec<PathBuf> = direct.mounts().iter().map(bound).collect();
        assert_eq!(mounts, [Path::new("/run/rcc/7/direct/api-1.0")]);
        assert_eq!(direct.mounts()[0].target, Path::new("/run/rcc/pairs"));
    }

    #[test]
    fn a_sandbox_sees_its_own_socket_and_nothing_that_it_could_change() {
        let seat = Seat {
            session: "api-1".parse().unwrap(),
            socket: "/run/user/7/rcc/relay/relay.sock".into(),
            directory: "/run/user/7/rcc/relay/sessions/api-1".into(),
            worktables: vec![Worktable { name: "back-end".parse().unwrap(), directory: "/srv/tables/back-end".into() }],
        };
        let mounts = seat.mounts();
        let sources: Vec<&Path> = mounts
            .iter()
            .filter_map(|mount| match &mount.what {
                What::Bind { source, access } => {
                    assert_eq!(*access, Access::Inert, "{}", mount.target.display());
                    Some(source.as_path())
                }
                _ => None,
            })
            .collect();
        assert_eq!(sources, [Path::new("/run/user/7/rcc/relay/sessions/api-1"), Path::new("/srv/tables/back-end")]);
        let link = mounts.iter().find(|mount| mount.target == Path::new(INSIDE_SOCKET)).unwrap();
        assert_eq!(link.what, What::Symlink { to: "/run/rcc/relay/sock".into() });
        assert!(mounts.iter().any(|mount| mount.target == Path::new("/run/rcc/worktables/back-end")));
    }
}
