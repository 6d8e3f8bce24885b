//! The sessions' directories: a socket for each tool in force, and a link that is its wrapper.

use crate::plugin::name::ToolName;
use crate::plugin::place::{Place, WRAPPERS, socket_name};
use crate::relay::seat::INSIDE_PROGRAM;
use crate::sockets::{self, SocketError, failed};
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// Nobody but the user: an agent of the user's is, behind its own user namespace.
const DIRECTORY: u32 = 0o700;
const SOCKET: u32 = 0o600;

/// A session's directory. Dropping it removes it, and ends who listens.
#[derive(Debug)]
pub(super) struct Sockets {
    directory: PathBuf,
    /// Of each tool, who takes its callers.
    listening: BTreeMap<ToolName, Listening>,
}

/// Who takes a tool's callers.
#[derive(Debug)]
struct Listening {
    task: JoinHandle<()>,
    /// Whether the tool has a wrapper.
    wraps: bool,
}

impl Sockets {
    /// Makes a directory, which nobody guesses, or takes over the one that the session had before.
    pub(super) fn new(place: &Place, session: &str, before: Option<&Path>) -> Result<Self, SocketError> {
        let parent = place.sessions();
        sockets::directory(&parent, DIRECTORY)?;
        let named = |path: &&Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            path.parent() == Some(&*parent)
                && name.is_some_and(|name| name.strip_prefix(session).is_some_and(|rest| rest.starts_with('.')))
        };
        // One that was removed is still mounted in the sandbox, and no other is in its place there.
        let directory = match before.filter(named).filter(|before| before.is_dir()) {
            Some(before) => {
                clear(before).map_err(failed("clear", before))?;
                before.to_owned()
            }
            None => {
                let mut random = [0; 16];
                let got = getrandom(&mut random, GetRandomFlags::empty());
                got.map_err(|errno| failed("name something in", &parent)(errno.into()))?;
                parent.join(format!("{session}.{:032x}", u128::from_ne_bytes(random)))
            }
        };
        sockets::directory(&directory, DIRECTORY)?;
        sockets::directory(&directory.join(WRAPPERS), DIRECTORY)?;
        Ok(Self { directory, listening: BTreeMap::new() })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Listens for a tool. `accept` takes its callers. `wrapper` is the program that calls it by name.
    pub(super) fn add(
        &mut self,
        tool: &ToolName,
        wrapper: bool,
        accept: impl FnOnce(UnixListener) -> JoinHandle<()>,
    ) -> Result<(), SocketError> {
        let listener = sockets::listen(&self.directory.join(socket_name(tool)), SOCKET)?;
        if wrapper {
            self.link(tool.as_str())?;
        }
        if let Some(before) = self.listening.insert(tool.clone(), Listening { task: accept(listener), wraps: wrapper })
        {
            before.task.abort();
        }
        Ok(())
    }

    /// Makes rcc's program inside appear under a name that is no tool's.
    pub(super) fn add_program(&self, name: &str) -> Result<(), SocketError> {
        self.link(name)
    }

    fn link(&self, name: &str) -> Result<(), SocketError> {
        let path = self.directory.join(WRAPPERS).join(name);
        match std::os::unix::fs::symlink(INSIDE_PROGRAM, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("make the wrapper", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Stops listening for a tool. Its wrapper stays with the programs that found it, and says that there is none.
    pub(super) fn remove(&mut self, tool: &ToolName) {
        if let Some(listening) = self.listening.remove(tool) {
            listening.task.abort();
        }
        let _ = std::fs::remove_file(self.directory.join(socket_name(tool)));
        let _ = std::fs::remove_file(self.directory.join(WRAPPERS).join(tool.as_str()));
    }

    /// Whether a tool that is listened for has a wrapper; `None` if it is not.
    pub(super) fn wraps(&self, tool: &ToolName) -> Option<bool> {
        self.listening.get(tool).map(|listening| listening.wraps)
    }

    /// The tools that are listened for.
    pub(super) fn tools(&self) -> impl Iterator<Item = &ToolName> {
        self.listening.keys()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.listening.values().for_each(|listening| listening.task.abort());
        // What cannot be removed is in nobody's way: its name does not come again.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Removes the sockets and wrappers of a directory that is taken over: those that hold are made again.
fn clear(directory: &Path) -> io::Result<()> {
    for within in [directory.to_owned(), directory.join(WRAPPERS)] {
        let entries = match std::fs::read_dir(&within) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Removes what brokers that were killed left, save what sessions may come back for within their launchers' time.
pub(super) fn sweep(place: &Place, keep: impl Fn(&Path) -> bool) {
    let Ok(entries) = std::fs::read_dir(place.sessions()) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| !keep(path)) {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::warn!("cannot remove {}, which a session left: {error}", crate::shown::terminal(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &Path) -> Place {
        Place::new(&dir.join("run"), &dir.join("data"))
    }

    #[tokio::test]
    async fn a_session_has_a_socket_and_a_wrapper_for_each_tool_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        let tool: ToolName = "gh".parse().unwrap();
        let mut sockets = Sockets::new(&place, "api-1", None).unwrap();
        sockets.add(&tool, true, |listener| tokio::spawn(async move { drop(listener.accept().await) })).unwrap();
        sockets.add_program("git-remote-rcc").unwrap();
        let directory = sockets.directory().to_owned();
        std::os::unix::net::UnixStream::connect(directory.join("gh.sock")).unwrap();
        for name in ["gh", "git-remote-rcc"] {
            assert_eq!(std::fs::read_link(directory.join("bin").join(name)).unwrap(), Path::new(INSIDE_PROGRAM));
        }
        assert_eq!(sockets.tools().collect::<Vec<_>>(), [&tool]);
        sockets.remove(&tool);
        assert!(!directory.join("gh.sock").exists());
        drop(sockets);
        assert!(!directory.exists());
    }

    #[tokio::test]
    async fn a_session_comes_back_to_its_own_directory_and_to_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path());
        let first = Sockets::new(&place, "api-1", None).unwrap();
        let own = first.directory().to_owned();
        // As a broker that is killed leaves it.
        std::mem::forget(first);
        assert_eq!(Sockets::new(&place, "api-1", Some(&own)).unwrap().directory(), own);
        for foreign in [dir.path().join("elsewhere/api-1.00"), place.sessions().join("api-10.00")] {
            assert_ne!(Sockets::new(&place, "api-1", Some(&foreign)).unwrap().directory(), foreign);
        }
    }
}
