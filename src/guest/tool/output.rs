//! The tool's output on its way to the caller's standard output and standard error.

use crate::plugin::wire::Stream;
use crate::terminal::pump::Endpoint;
use crate::terminal::stdio::{StdioError, standard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

/// What the pipe behind an output may hold, where there is much of it: what an ordinary user's may have at most
/// (`/proc/sys/fs/pipe-max-size`). With an ordinary pipe's 64 KiB its reader and this process wake each other twice
/// as often.
const WIDE: usize = 1 << 20;
/// Bytes that are read at once of what nobody wants any more.
const DISCARDED: usize = 16 << 10;

/// One of the two.
#[derive(Debug)]
pub(super) struct Output {
    /// `None` when nobody reads it any more.
    to: Option<Endpoint>,
    /// Whether its pipe was made wide, or cannot be.
    wide: bool,
}

/// What became of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All were written, or nobody wants them.
    All,
    /// So many were; the rest has to wait.
    Some(usize),
    /// The reader has gone. It is said once.
    Broken,
}

/// What became of bytes that are in the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// So many were moved, or were wanted by nobody; none at the socket's end.
    Some(usize),
    /// There are none yet.
    Nothing,
    /// The pipe is full.
    Full,
    /// The reader has gone. It is said once.
    Broken,
}

impl Output {
    pub(super) fn new(number: usize) -> Result<Self, StdioError> {
        Ok(Self { to: Some(Endpoint::like(standard(number), OFlags::WRONLY)?), wide: false })
    }

    /// Where to wait for room.
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        self.to.as_ref().map(AsFd::as_fd)
    }

    /// Whether [`Output::move_from`] can be used.
    pub(super) fn is_pipe(&self) -> bool {
        self.to.as_ref().is_some_and(Endpoint::is_pipe)
    }

    /// Moves what is in the socket into the pipe, at most so many bytes, without copying them (splice(2)).
    ///
    /// # Errors
    /// As of [`Output::write`], and if the socket is broken.
    pub(super) fn move_from(&mut self, socket: BorrowedFd<'_>, most: usize) -> Result<Moved, Errno> {
        let Some(to) = &self.to else { return discard(socket, most) };
        if !std::mem::replace(&mut self.wide, true) {
            // A smaller pipe is slower and does as well.
            let _ = fcntl_setpipe_size(to, WIDE);
        }
        match splice(socket, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
            Ok(count) => Ok(Moved::Some(count)),
            Err(Errno::INTR) => Ok(Moved::Nothing),
            Err(Errno::AGAIN) => {
                let mut room = [PollFd::new(to, PollFlags::OUT)];
                let has_room = poll(&mut room, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
                Ok(if has_room { Moved::Nothing } else { Moved::Full })
            }
            Err(Errno::PIPE) => {
                self.to = None;
                Ok(Moved::Broken)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes what can be written without waiting.
    ///
    /// # Errors
    /// What the tool would have met itself, and cannot learn of: a full disk.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<Written, Errno> {
        let mut written = 0;
        while written < bytes.len() {
            let Some(to) = &self.to else { return Ok(Written::All) };
            match to.write(&bytes[written..]) {
                Ok(count) => {
                    written += count;
                    if to.may_wait() && written < bytes.len() {
                        return Ok(Written::Some(written));
                    }
                }
                Err(Errno::AGAIN) => return Ok(Written::Some(written)),
                Err(Errno::INTR) => {}
                // A terminal that is gone says EIO.
                Err(Errno::PIPE | Errno::IO) => {
                    self.to = None;
                    return Ok(Written::Broken);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Written::All)
    }
}

fn discard(socket: BorrowedFd<'_>, most: usize) -> Result<Moved, Errno> {
    let mut scratch = [0; DISCARDED];
    match rustix::io::read(socket, &mut scratch[..most.min(DISCARDED)]) {
        Ok(count) => Ok(Moved::Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Moved::Nothing),
        Err(error) => Err(error),
    }
}

/// Output that waits for room: which, and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) stream: Stream,
    pub(super) range: Range<usize>,
}

/// A piece of output whose rest goes from the socket into a pipe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub(super) stream: Stream,
    /// Bytes that are missing.
    pub(super) left: usize,
    /// Whether the pipe has to be waited for, and not the socket.
    pub(super) full: bool,
}
