//! The launcher's side of the socket over which rcc inside is told what to do.

use super::EngineError;
use super::container::Container;
use crate::plan::{Network, Plan};
use crate::relay::seat::INSIDE_PROGRAM;
use crate::run::{RunError, host};
use crate::runtime::embedded::report::{self, Reports};
use crate::runtime::engine::greeting::{self, Greeting};
use crate::terminal::control;
use crate::terminal::stdio::AgentStdio;
use crate::view::{Mount, What};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};
use rustix::process::Pid;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) fn listen_at(path: &Path) -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, 1)?;
    Ok(socket)
}

/// Waits for rcc inside, and makes sure that it is the container's first process.
pub(super) fn hear(
    listener: &OwnedFd,
    container: &Container<'_>,
    pid: Pid,
    log: &Path,
    patience: Duration,
) -> Result<OwnedFd, RunError> {
    let patience = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    let fail = |what| move |error: Errno| host(what)(error.into());
    let ended = container.process.as_ref().map(|process| PollFd::new(process, PollFlags::IN));
    let mut fds = Vec::from([PollFd::new(listener, PollFlags::IN)]);
    fds.extend(ended);
    while let Err(error) = poll(&mut fds, Some(&patience)) {
        if error != Errno::INTR {
            return Err(fail("wait for the container")(error));
        }
    }
    if fds[0].revents().is_empty() {
        return Err(EngineError::Mute { said: said(log) }.into());
    }
    let first = accept_with(listener, SocketFlags::CLOEXEC).map_err(fail("hear the container"))?;
    if socket_peercred(&first).map_err(fail("look who speaks from the container"))?.pid != pid {
        return Err(RunError::Refused { why: "somebody else than the container's first process spoke".into() });
    }
    Ok(first)
}

/// Tells rcc inside what to do.
pub(super) fn greet(
    first: &OwnedFd,
    plan: &Plan,
    user: Option<(u32, u32)>,
    processes: Option<u64>,
    path: OsString,
    agent: AgentStdio,
) -> Result<(Reports, control::LauncherEnd), RunError> {
    let (reports, reporter) = report::channel().map_err(|error| host("make a socket pair")(error.into()))?;
    let (launcher, init) = control::pair()?;
    let routes = match &plan.network {
        Network::Offline => None,
        Network::Guarded(guarded) => Some(guarded.routes.clone()),
    };
    // Nothing is mounted for a directory or a link alone, so nothing covers what an engine mounts there.
    let own = |what: &What| {
        !matches!(what, What::Devices { .. } | What::Processes { .. } | What::Directory | What::Symlink { .. })
    };
    let program = Mount { target: INSIDE_PROGRAM.into(), what: What::Directory };
    let mounted = plan.view.mounts.iter().filter(|mount| own(&mount.what)).chain([&program]);
    let greeting = Greeting {
        command: plan.command.clone(),
        environment: plan.environment.clone().into_iter().collect(),
        path,
        directory: plan.directory.clone().into(),
        user,
        writable: plan.view.writable().into_iter().map(PathBuf::into_os_string).collect(),
        mounts: mounted.map(|mount| mount.target.clone().into()).collect(),
        processes,
        routes,
        ports: plan.ports.clone(),
        stdio: agent.hand_over().0,
    };
    greeting::send(first, &greeting, &reporter, &init, &agent).map_err(host("tell the container what to run"))?;
    Ok((reports, launcher))
}

/// The last line that the container's first process wrote, of the k8s-file format: time, stream, tag, text.
fn said(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let last = text.lines().last().and_then(|line| line.splitn(4, ' ').nth(3));
    crate::shown::text(last.unwrap_or("it ended without a word, as where the processor is another one"))
}
