//! The supervisor: PID 1 of everything that belongs to one run. When it dies, all of it dies.
//!
//! It is root of a user namespace in which uid 0 is the user and uid 1 the network identity; the
//! sandbox's own user namespace below it knows only the user. It starts, in this order, the
//! verifier, the sandbox's PID 1 and pasta, and each only if the one before is well.

use super::lockdown;
use super::process;
use super::report::{Report, Reporter};
use super::verifier::{self, Verifier};
use crate::network::identity::Mapped;
use crate::network::{dead_end, pasta};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use rustix::thread::LinkNameSpaceType;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The network of a guarded run.
pub struct Guard<'a, Check> {
    /// Says why the firewall does not hold; called by the verifier again and again.
    pub check: Check,
    /// The pasta program.
    pub pasta: &'a Path,
    /// Whom the sandbox's packets come from.
    pub identity: Mapped,
}

/// Between the supervisor and the sandbox's PID 1: the network namespace goes one way, and the
/// word that pasta serves it the other.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Link {
    fn pair() -> Result<(Self, Self), Errno> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(ours), Self(theirs)))
    }

    /// Hands the calling process's network namespace to the supervisor. An error, as below, if
    /// the supervisor gave up; it has reported why.
    pub fn offer_network(&self) -> Result<(), Errno> {
        self.offer(rustix::fs::open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.as_fd())
    }

    /// Hands over the interface behind which denials are answered.
    pub fn offer_dead_end(&self, tun: BorrowedFd<'_>) -> Result<(), Errno> {
        self.offer(tun)
    }

    fn offer(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [fd];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        sendmsg(&self.0, &[IoSlice::new(b"n")], &mut control, SendFlags::NOSIGNAL).map(drop)
    }

    /// Waits until pasta serves the namespace that was offered.
    pub fn await_network(&self) -> Result<(), Errno> {
        match rustix::io::read(&self.0, &mut [0; 1])? {
            0 => Err(Errno::PIPE),
            _ => Ok(()),
        }
    }

    /// Waits for what the sandbox offers next.
    fn offered(&self) -> Result<OwnedFd, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(&self.0, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut messages = control.drain();
        match messages.next() {
            Some(RecvAncillaryMessage::ScmRights(mut fds)) => fds.next().ok_or(Errno::PIPE),
            _ => Err(Errno::PIPE),
        }
    }

    fn network_is_up(&self) -> Result<(), Errno> {
        rustix::net::send(&self.0, b"g", SendFlags::NOSIGNAL).map(drop)
    }
}

/// Runs one sandbox to its end, in the supervisor's process. `sandbox` is the main function of
/// the sandbox's PID 1, or of the process that stands for it, in these new namespaces; without a
/// guard there is no network and nobody watches.
pub fn supervise<Check: FnMut() -> Result<(), (String, Duration)>>(
    guard: Option<Guard<'_, Check>>,
    namespaces: u64,
    reporter: &Reporter,
    sandbox: impl FnOnce(Option<&Link>) -> u8,
) -> u8 {
    match guard {
        None => match process::clone_into(namespaces, || sandbox(None)) {
            Ok(pid) => {
                let status = process::wait(pid).map_or(1, process::exit_byte);
                reporter.tell(&Report::Ended);
                status
            }
            Err(error) => refuse(reporter, &namespaces_failed(error)),
        },
        Some(guard) => match start_guarded(guard, namespaces, sandbox) {
            Ok(running) => running.watch(reporter),
            Err(refusal) => refuse(reporter, &refusal),
        },
    }
}

/// The processes of a guarded run, as numbered in the supervisor's pid namespace.
struct Guarded {
    verifier: Verifier,
    sandbox: Pid,
    /// Whatever has sockets under the identity: pasta, and who answers denials.
    connected: [Pid; 2],
}

fn refuse(reporter: &Reporter, why: &str) -> u8 {
    // An empty text: somebody below has told already.
    if !why.is_empty() {
        reporter.tell(&Report::Refused(why.to_owned()));
    }
    1
}

fn namespaces_failed(error: Errno) -> String {
    format!("cannot create the sandbox's namespaces: {error}; `rcc setup` says what the kernel lacks")
}

fn start_guarded<Check: FnMut() -> Result<(), (String, Duration)>>(
    guard: Guard<'_, Check>,
    namespaces: u64,
    sandbox: impl FnOnce(Option<&Link>) -> u8,
) -> Result<Guarded, String> {
    let identity = guard.identity;
    let mut verifier =
        Verifier::start(identity, guard.check).map_err(|error| format!("cannot start the verifier: {error}"))?;
    verifier.first()?;
    let (link, theirs) = Link::pair().map_err(|error| format!("cannot create a socket pair: {error}"))?;
    let sandbox = process::clone_into(namespaces, move || sandbox(Some(&theirs))).map_err(namespaces_failed)?;
    // A sandbox that ends here has reported why by itself.
    let netns = link.offered().map_err(|_| String::new())?;
    let pasta = start_pasta(guard.pasta, identity, netns.as_fd())?;
    // Made while pasta started, which takes longer.
    let tun = link.offered().map_err(|_| String::new())?;
    let answerer =
        start_dead_end(identity, netns.as_fd(), tun).map_err(|error| format!("cannot answer denials: {error}"))?;
    link.network_is_up().map_err(|_| String::new())?;
    Ok(Guarded { verifier, sandbox, connected: [pasta, answerer] })
}

/// Starts who answers the sandbox's packets to denied ranges, and who opens a way to what is not
/// denied any more. Returns the pid of the first; the second ends with it.
fn start_dead_end(identity: Mapped, netns: BorrowedFd<'_>, tun: OwnedFd) -> Result<Pid, Errno> {
    let (addresses, ways) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    process::fork(|| {
        let entered = rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network));
        // SAFETY: this process ends by _exit, so nothing that owns a descriptor is dropped.
        let closed = unsafe { lockdown::close_inherited(&[addresses.as_fd()]) };
        if tied().is_ok() && entered.is_ok() && closed.is_ok() {
            dead_end::open_ways(&addresses);
        }
        0
    })?;
    process::fork(|| {
        // SAFETY: as above.
        let closed = unsafe { lockdown::close_inherited(&[tun.as_fd(), ways.as_fd()]) };
        if closed.is_ok() && verifier::become_identity(identity).is_ok() {
            dead_end::answer(&tun, &ways);
        }
        0
    })
}

fn tied() -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
}

/// Starts pasta and waits until it serves the network namespace. Returns the pid of the process
/// that it left in the background.
fn start_pasta(program: &Path, identity: Mapped, netns: BorrowedFd<'_>) -> Result<Pid, String> {
    let fail = |error: Errno| format!("cannot start pasta: {error}");
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(fail);
    let ((pid_reader, pid_writer), (stderr_reader, stderr_writer)) = (pipe()?, pipe()?);
    for fd in [&pid_writer, &stderr_writer] {
        // pasta opens its pid file by /proc/self/fd, which asks for the inode's permissions.
        rustix::fs::fchown(fd, Some(rustix::process::Uid::from_raw(identity.uid)), None).map_err(fail)?;
    }
    let child = process::fork(|| {
        let error = pasta::become_pasta(program, identity, netns, pid_writer.as_fd(), stderr_writer.as_fd());
        let _ = rustix::io::write(&stderr_writer, error.to_string().as_bytes());
        1
    })
    .map_err(fail)?;
    drop((pid_writer, stderr_writer));
    let status = process::wait(child).map_err(fail)?;
    if status.exit_status() != Some(0) {
        return Err(pasta_failed(program, &read_some(&stderr_reader)));
    }
    let pid = read_some(&pid_reader);
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| format!("{} started but did not say under which pid", program.display()))
}

fn pasta_failed(program: &Path, said: &str) -> String {
    let said = if said.trim().is_empty() { "it said nothing" } else { said.trim() };
    format!(
        "{} could not connect the sandbox: {said}\nwithout a network on this machine, `--profile offline` works",
        program.display()
    )
}

/// What is in the pipe, up to 4 KiB; does not wait for its end, which pasta holds open.
fn read_some(pipe: &OwnedFd) -> String {
    let mut buffer = [0; 4096];
    let _ = rustix::fs::fcntl_setfl(pipe, rustix::fs::OFlags::NONBLOCK);
    let length = rustix::io::read(pipe, &mut buffer).unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

impl Guarded {
    fn disconnect(&self) {
        for pid in self.connected {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Waits for the end of the sandbox. If pasta or the verifier ends before, the network goes
    /// first.
    fn watch(mut self, reporter: &Reporter) -> u8 {
        let mut connected = true;
        loop {
            // Any child: pasta and the sandbox lead process groups of their own, which waitpid(2)
            // for "none in particular" leaves out.
            let (pid, status) = match wait(WaitOptions::empty()) {
                Ok(Some(ended)) => ended,
                Ok(None) | Err(Errno::INTR) => continue,
                Err(_) => return 1,
            };
            if pid == self.sandbox {
                // A PID 1 is reaped when its whole pid namespace has ended.
                self.disconnect();
                reporter.tell(&Report::Ended);
                return process::exit_byte(status);
            }
            let cut = if pid == self.verifier.pid {
                // First the network, then the words.
                self.disconnect();
                Some(self.verifier.last_words())
            } else if let Some(position) = self.connected.iter().position(|connected| *connected == pid) {
                self.disconnect();
                Some(["pasta ended", "the process that answers denials ended"][position].to_owned())
            } else {
                None
            };
            if let Some(reason) = cut.filter(|_| std::mem::replace(&mut connected, false)) {
                reporter.tell(&Report::Cut(reason));
            }
        }
    }
}
