//! One direction of bytes between the user's side and the agent's, with a bounded buffer.

use super::filter::Filter;
use super::stdio::{RelayedStream, StdioError, install, null, standard, system};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Bytes that are read at once: the default capacity of a pipe (pipe(7)).
const READ: usize = 65_536;
/// Bytes that a descriptor in blocking mode takes without blocking once poll says that it is
/// writable, if nobody else writes: PIPE_BUF (pipe(7)).
const BLOCKING: usize = 4096;
/// The same for a terminal: the kernel says that it is writable when fewer are waiting (n_tty.c,
/// WAKEUP_CHARS).
const BLOCKING_TTY: usize = 256;

/// A file description that the pump may wait on.
#[derive(Debug)]
pub(crate) struct Endpoint {
    fd: OwnedFd,
    /// Most bytes to write at once.
    bound: usize,
    /// Whether it is a pipe in non-blocking mode.
    pipe: bool,
}

impl Endpoint {
    /// Another description of a pipe or a terminal, in non-blocking mode: that mode set on the
    /// caller's would be set for every program that shares it. Where another can't be opened, as
    /// for sockets or a terminal of another user, the caller's own, to be used carefully.
    pub(crate) fn like(fd: BorrowedFd<'_>, access: OFlags) -> Result<Self, StdioError> {
        let status = rustix::fs::fstat(fd).map_err(system("look at a stream"))?;
        let tty = rustix::termios::isatty(fd);
        if tty || FileType::from_raw_mode(status.st_mode) == FileType::Fifo {
            let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let opened = rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty());
            if let Ok(fd) = opened {
                return Ok(Self { fd, bound: READ, pipe: !tty });
            }
        }
        let bound = match FileType::from_raw_mode(status.st_mode) {
            _ if tty => BLOCKING_TTY,
            // Nobody waits for these.
            FileType::RegularFile | FileType::CharacterDevice => READ,
            _ => BLOCKING,
        };
        let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(system("copy a descriptor"))?;
        Ok(Self { fd, bound, pipe: false })
    }

    /// Whether bytes can be moved into it without being copied: it is a pipe, and never waits.
    pub(crate) fn is_pipe(&self) -> bool {
        self.pipe
    }

    /// Writes what can be written without waiting, once poll says that it is writable.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(&self.fd, &bytes[..bytes.len().min(self.bound)])
    }

    /// Whether a second write may wait although poll said that it is writable.
    pub(crate) fn may_wait(&self) -> bool {
        self.bound < READ
    }

    /// A description that is the launcher's own.
    pub(super) fn own(fd: OwnedFd) -> Result<Self, StdioError> {
        rustix::io::ioctl_fionbio(&fd, true).map_err(system("set a pipe to non-blocking"))?;
        Ok(Self { fd, bound: READ, pipe: true })
    }

    pub(super) fn try_clone(&self) -> Result<Self, StdioError> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 3).map_err(system("copy a descriptor"))?;
        Ok(Self { fd, ..*self })
    }
}

impl From<Endpoint> for OwnedFd {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.fd
    }
}

impl AsFd for Endpoint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What a pump carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Keys of the user's terminal.
    Keys,
    /// Output of the agent's terminal.
    Screen,
    /// A relayed stdin.
    Stdin,
    /// A relayed stdout or stderr.
    Output,
}

/// What a step of a pump met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    Nothing,
    /// The source has no more.
    End,
    /// The source failed.
    Unreadable(Errno),
    /// The sink takes no more.
    Broken,
}

/// Bytes from a source to a sink.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) role: Role,
    from: Option<Endpoint>,
    to: Option<Endpoint>,
    /// False when the source has ended; a file is kept for [`Self::give_back`].
    reading: bool,
    pending: Vec<u8>,
    written: usize,
    filter: Option<Filter>,
    unread: Option<OwnedFd>,
}

impl Pump {
    pub(super) fn new(role: Role, from: Endpoint, to: Endpoint) -> Self {
        let filter = (role == Role::Screen).then(Filter::default);
        let (pending, from, to) = (Vec::new(), Some(from), Some(to));
        Self { role, from, to, reading: true, pending, written: 0, filter, unread: None }
    }

    /// The relay of one of the caller's streams. The pump takes stdin and stdout over: this process's become
    /// `/dev/null`, so that a pipe's other side sees when the agent closes it. stderr stays, for
    /// the launcher's own messages.
    pub(super) fn relay(stream: RelayedStream) -> Result<Self, StdioError> {
        let user = standard(stream.number);
        let access = if stream.number == 0 { OFlags::RDONLY } else { OFlags::WRONLY };
        let (user, agent) = (Endpoint::like(user, access)?, Endpoint::own(stream.pipe)?);
        if stream.number < 2 {
            install(null()?.as_fd(), stream.number)?;
        }
        Ok(match stream.number {
            0 => Self { unread: stream.unread, ..Self::new(Role::Stdin, user, agent) },
            _ => Self::new(Role::Output, agent, user),
        })
    }

    /// Where to wait for bytes; only while there is room for them.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.from.as_ref().filter(|_| self.reading && self.pending.is_empty()).map(AsFd::as_fd)
    }

    /// Where to wait for room, or for the end of the sink.
    pub(super) fn sink(&self) -> Option<BorrowedFd<'_>> {
        self.to.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Nothing is left to do.
    pub(super) fn done(&self) -> bool {
        self.to.is_none() && self.unread.is_none()
    }

    /// Reads what there is, and writes what the sink takes.
    pub(super) fn fill(&mut self) -> Met {
        let Some(from) = self.from.as_ref().filter(|_| self.reading && self.pending.is_empty()) else {
            return Met::Nothing;
        };
        let mut buffer = [0_u8; READ];
        match rustix::io::read(from, &mut buffer) {
            // The relay decides what the end of a terminal's input means.
            Ok(0) if self.role == Role::Keys => Met::End,
            Ok(0) => {
                self.end_source();
                Met::End
            }
            Ok(length) => {
                self.push(&buffer[..length]);
                self.flush()
            }
            Err(Errno::AGAIN | Errno::INTR) => Met::Nothing,
            // The other side of a pseudo-terminal is closed.
            Err(Errno::IO) if self.role == Role::Screen => {
                self.end_source();
                Met::End
            }
            Err(error) => {
                if self.role != Role::Keys || error != Errno::IO {
                    self.end_source();
                }
                Met::Unreadable(error)
            }
        }
    }

    /// Adds bytes as if they had been read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match &mut self.filter {
            Some(filter) => filter.feed(bytes, &mut self.pending),
            None => self.pending.extend_from_slice(bytes),
        }
    }

    /// Writes what the sink takes.
    pub(super) fn flush(&mut self) -> Met {
        while let Some(to) = self.to.as_ref().filter(|_| !self.pending.is_empty()) {
            let rest = &self.pending[self.written..];
            match rustix::io::write(to, &rest[..rest.len().min(to.bound)]) {
                Ok(length) => self.written += length,
                Err(Errno::AGAIN) => return Met::Nothing,
                Err(Errno::INTR) => continue,
                Err(error) => {
                    tracing::debug!(?error, role = ?self.role, "a stream takes no more");
                    self.break_off();
                    return Met::Broken;
                }
            }
            if self.written == self.pending.len() {
                self.pending.clear();
                self.written = 0;
            } else if to.bound < READ {
                // It may block: ask poll again.
                return Met::Nothing;
            }
        }
        if !self.reading {
            self.to = None;
        }
        Met::Nothing
    }

    /// Reads no more; what was read is still written.
    pub(super) fn end_source(&mut self) {
        self.reading = false;
        if self.unread.is_none() {
            self.from = None;
        }
        if self.pending.is_empty() {
            self.to = None;
        }
    }

    /// Closes both sides, so that who writes into the pump learns that nobody reads.
    pub(super) fn break_off(&mut self) {
        self.reading = false;
        self.to = None;
        self.pending.clear();
        if self.unread.is_none() {
            self.from = None;
        }
    }

    /// Sets the offset of a file on stdin back to what the agent has read, for who reads it next.
    pub(super) fn give_back(&mut self) {
        let (Some(file), Some(unread)) = (&self.from, self.unread.take()) else { return };
        let in_pipe = rustix::io::ioctl_fionread(&unread).unwrap_or_default();
        let ahead = in_pipe + (self.pending.len() - self.written) as u64;
        if let Ok(ahead) = i64::try_from(ahead)
            && let Err(error) = rustix::fs::seek(file, rustix::fs::SeekFrom::Current(-ahead))
        {
            tracing::debug!(?error, "the offset of stdin stays ahead of what the agent read");
        }
    }
}
