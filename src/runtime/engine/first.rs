//! rcc as the first process of a container: looks whether everything is as it must be, confines itself, and runs
//! the agent.

use super::greeting::{self, Received};
use super::strangers;
use crate::network::inside::{self, InsideError};
use crate::output;
use crate::runtime::embedded::idmap;
use crate::runtime::embedded::init::{self, Agent, Body};
use crate::runtime::embedded::lockdown::{self, Confinement};
use crate::runtime::embedded::report::Report;
use crate::runtime::embedded::seccomp;
use crate::runtime::embedded::watch::Watch;
use crate::shown;
use crate::terminal::Outcome;
use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Why the agent was not started.
#[derive(Debug, thiserror::Error)]
enum FirstError {
    #[error("the container's root can be written")]
    Writable,
    #[error(
        "something is mounted on {0} inside that rcc has not put there: the engine's own configuration adds it, as \
         `volumes`, `mounts` and `devices` of containers.conf do to every container of Podman's; remove it there, and give \
         what is needed by `mounts` of rcc's own configuration"
    )]
    Stranger(String),
    #[error("cannot look at the container's mounts: {0}")]
    Mounts(std::io::Error),
    #[error("cannot look at the container's root: {0}")]
    Root(Errno),
    #[error("cannot enter {0} inside the container: {1}")]
    Directory(PathBuf, Errno),
    #[error("cannot have the user's own number in the container, in a user namespace of its own: {0}")]
    User(String),
    #[error(transparent)]
    Inside(#[from] InsideError),
    #[error(transparent)]
    Seccomp(#[from] seccomp::SeccompError),
    #[error(transparent)]
    Stdio(#[from] crate::terminal::stdio::StdioError),
    #[error(transparent)]
    Init(#[from] init::InitError),
}

/// The main function. Only a container's PID 1 has a launcher that waits at the socket.
pub fn run() -> u8 {
    if std::process::id() != 1 {
        output::tell_line("rcc: this is what the first process of a container does, and there is no other use for it");
        return Outcome::FAILED;
    }
    let received = match connect_launcher().map_err(std::io::Error::from).and_then(greeting::receive) {
        Ok(received) => received,
        Err(error) => {
            output::tell_line(format_args!("rcc: cannot hear the launcher: {error}"));
            return Outcome::FAILED;
        }
    };
    let Received { greeting, reporter, control, pipes } = received;
    // Closed by `start_agent`, before there is an agent.
    let reporter = ManuallyDrop::new(reporter);
    let result = || -> Result<Outcome, FirstError> {
        // What comes with a user namespace of its own goes with the rest.
        let unprivileged = match greeting.user {
            Some(user) => {
                become_user(user)?;
                lockdown::drop_privileges
            }
            None => lockdown::verify_unprivileged,
        };
        verify(&greeting)?;
        let environment = environment(greeting.environment, &greeting.path);
        let writable = greeting.writable.iter().map(PathBuf::from).collect();
        let confinement =
            Confinement { filter: seccomp::compile()?, writable, executes: None, processes: greeting.processes };
        let body = Body::Command;
        let (command, ports) = (greeting.command.as_slice(), greeting.ports.as_slice());
        let agent = Agent { command, environment: &environment, body, confinement: &confinement, ports };
        let stdio = greeting.stdio.take(pipes)?;
        Ok(init::start_agent(&agent, unprivileged, &reporter, control, stdio)?)
    };
    match result() {
        Ok(outcome) => outcome.status(),
        Err(error) => {
            reporter.tell(&Report::Refused(error.to_string()));
            Outcome::FAILED
        }
    }
}

/// How long the attendant may take to lay the socket.
const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(1);

/// Connects as soon as there is a socket: an engine may start this process before the attendant has laid it.
fn connect_launcher() -> Result<OwnedFd, Errno> {
    let address = SocketAddrUnix::new(greeting::SOCKET)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket),
            // Not there yet, or what it is about to be mounted on: a directory or file that may be read-only already.
            Err(_) if Instant::now() < deadline => std::thread::sleep(INTERVAL),
            Err(error) => return Err(error),
        }
    }
}

/// Becomes the user by number. In an engine's user namespace the user is 0, as whom this process runs; in the one that
/// it makes below, the user is nobody else, and there is no way back up.
fn become_user(user: (u32, u32)) -> Result<(), FirstError> {
    // SAFETY: this process has a single thread.
    let made = unsafe { unshare_unsafe(UnshareFlags::NEWUSER) };
    made.map_err(|error| FirstError::User(error.to_string()))?;
    idmap::map_self(user, (0, 0)).map_err(|error| FirstError::User(error.to_string()))
}

/// Looks from inside at what the attendant has made.
fn verify(greeting: &greeting::Greeting) -> Result<(), FirstError> {
    let root = rustix::fs::statvfs("/").map_err(FirstError::Root)?;
    if !root.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(FirstError::Writable);
    }
    let mounts = Watch::start().map_err(FirstError::Mounts)?;
    let planned: Vec<PathBuf> = greeting.mounts.iter().map(PathBuf::from).collect();
    if let Some(stranger) = strangers::first(mounts.remembered(), &planned) {
        return Err(FirstError::Stranger(shown::terminal(stranger).to_string()));
    }
    match &greeting.routes {
        Some(routes) => inside::verify_routes(routes)?,
        None => inside::verify_offline()?,
    }
    let directory = &greeting.directory;
    rustix::process::chdir(directory).map_err(|error| FirstError::Directory(directory.into(), error))
}

/// The plan's, with the image's own directories of programs behind the others.
fn environment(planned: Vec<(OsString, OsString)>, images: &OsStr) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = planned.into_iter().collect();
    if let Some(path) = environment.get_mut(OsStr::new("PATH")) {
        *path = with_image(path, images);
    }
    environment
}

fn with_image(path: &OsStr, images: &OsStr) -> OsString {
    let planned: Vec<PathBuf> = std::env::split_paths(path).collect();
    let more =
        std::env::split_paths(images).filter(|directory| directory.is_absolute() && !planned.contains(directory));
    std::env::join_paths(planned.iter().cloned().chain(more)).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_own_programs_come_last_and_relative_ones_never() {
        let path = with_image(OsStr::new("/run/rcc/bin:/usr/bin"), OsStr::new("/opt/bin:bin::/usr/bin:."));
        assert_eq!(path, "/run/rcc/bin:/usr/bin:/opt/bin");
    }
}
