//! The tool's output on its way to the caller's standard output and standard error.

use crate::plugin::wire::Stream;
use crate::terminal::pump::Endpoint;
use crate::terminal::stdio::{StdioError, standard};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

/// One of the two.
#[derive(Debug)]
pub(super) struct Output {
    /// `None` when nobody reads it any more.
    to: Option<Endpoint>,
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

impl Output {
    pub(super) fn new(number: usize) -> Result<Self, StdioError> {
        Ok(Self { to: Some(Endpoint::like(standard(number), OFlags::WRONLY)?) })
    }

    /// Where to wait for room.
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        self.to.as_ref().map(AsFd::as_fd)
    }

    /// Writes what can be written without waiting.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Written {
        let mut written = 0;
        while written < bytes.len() {
            let Some(to) = &self.to else { return Written::All };
            match to.write(&bytes[written..]) {
                Ok(count) => {
                    written += count;
                    if to.may_wait() && written < bytes.len() {
                        return Written::Some(written);
                    }
                }
                Err(Errno::AGAIN) => return Written::Some(written),
                Err(Errno::INTR) => {}
                // Gone, or a full disk: the tool would have met it at its next write.
                Err(_) => {
                    self.to = None;
                    return Written::Broken;
                }
            }
        }
        Written::All
    }
}

/// Output that waits for room: which, and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) stream: Stream,
    pub(super) range: Range<usize>,
}
