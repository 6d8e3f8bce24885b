//! What the launcher tells the container's PID 1: one message, over a socket that appears in the container only for
//! this.

use crate::network::routes::Routes;
use crate::plugin::port::Port;
use crate::runtime::embedded::report::Reporter;
use crate::terminal::control::InitEnd;
use crate::terminal::handed::Handed;
use crate::terminal::stdio::AgentStdio;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where the socket is inside.
pub const SOCKET: &str = "/run/rcc/launcher";
/// Octets of a greeting: what exec takes of words and variables (`MAX_ARG_STRLEN` times what is sensible), as JSON
/// of numbers.
const GREETING_MAX: u64 = 64 << 20;
/// The text, two sockets, three pipes.
const DESCRIPTORS: usize = 6;

/// What to run, and what must hold.
#[derive(Debug, Serialize, Deserialize)]
pub struct Greeting {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The environment; nothing of the image's is in it.
    pub environment: Vec<(OsString, OsString)>,
    /// The image's own `PATH`, which is no variable of the first process.
    pub path: OsString,
    /// The working directory.
    pub directory: OsString,
    /// Whom the agent must be, where the engine has made a first process that is somebody else.
    pub user: Option<(u32, u32)>,
    /// Where the agent may write.
    pub writable: Vec<OsString>,
    /// Where something was mounted for it.
    pub mounts: Vec<OsString>,
    /// See [`crate::runtime::embedded::lockdown::Confinement`].
    pub processes: Option<u64>,
    /// The routes that must be there; `None` if there must be none.
    pub routes: Option<Routes>,
    /// Ports of its loopback that lead to plugins.
    pub ports: Vec<Port>,
    /// The standard streams.
    pub stdio: Handed,
}

/// Everything that PID 1 gets.
#[derive(Debug)]
pub struct Received {
    /// What was written.
    pub greeting: Greeting,
    /// Where to report.
    pub reporter: Reporter,
    /// The launcher's orders.
    pub control: InitEnd,
    /// The agent's pipes.
    pub pipes: Vec<OwnedFd>,
}

/// Sends it. `stdio` is what the greeting's was made of.
pub fn send(
    socket: impl AsFd,
    greeting: &Greeting,
    reporter: &Reporter,
    control: &InitEnd,
    stdio: &AgentStdio,
) -> io::Result<()> {
    let mut text = File::from(memfd_create("rcc", MemfdFlags::CLOEXEC)?);
    text.write_all(&serde_json::to_vec(greeting)?)?;
    text.rewind()?;
    let mut fds: Vec<BorrowedFd<'_>> = vec![text.as_fd(), reporter.as_fd(), control.as_fd()];
    fds.extend(stdio.hand_over().1);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[IoSlice::new(b"g")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives it.
pub fn receive(socket: impl AsFd) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    let mut fds = fds.into_iter();
    let (Some(text), Some(reporter), Some(control)) = (fds.next(), fds.next(), fds.next()) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut written = Vec::new();
    File::from(text).take(GREETING_MAX).read_to_end(&mut written)?;
    let greeting = serde_json::from_slice(&written)?;
    Ok(Received { greeting, reporter: reporter.into(), control: control.into(), pipes: fds.collect() })
}
