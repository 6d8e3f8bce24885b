//! The caller's standard input on its way to the tool.

use super::outgoing::Outgoing;
use crate::plugin::wire::{CHUNK_MAX, INPUT_WINDOW};
use crate::terminal::pump::Endpoint;
use crate::terminal::stdio::{StdioError, standard};
use rustix::fs::{FileType, OFlags, SeekFrom, fstat, seek};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// Read against credit, so that what nobody reads is left to whoever reads next.
#[derive(Debug)]
pub(super) struct Input {
    from: Endpoint,
    /// False at its end, or when the tool wants no more.
    open: bool,
    /// Bytes that may be sent.
    credit: u32,
    /// Bytes that were read.
    taken: u64,
    buffer: Vec<u8>,
}

impl Input {
    pub(super) fn new() -> Result<Self, StdioError> {
        let from = Endpoint::like(standard(0), OFlags::RDONLY)?;
        Ok(Self { from, open: true, credit: 0, taken: 0, buffer: Vec::new() })
    }

    /// Where to wait for bytes, while they may be sent.
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        (self.open && self.credit > 0).then(|| self.from.as_fd())
    }

    pub(super) fn allow(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(bytes).min(INPUT_WINDOW);
    }

    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Reads once, where poll said that there is something. `EIO` is what a terminal says to who is not in its
    /// foreground, and when it is gone; what it is, the caller knows.
    pub(super) fn read(&mut self, outgoing: &mut Outgoing) -> Result<(), Errno> {
        // Not initialised before: most calls have no input, and all of them would wait for it.
        let most = CHUNK_MAX.min(self.credit as usize);
        self.buffer.clear();
        self.buffer.reserve(CHUNK_MAX);
        match rustix::io::read(&self.from, &mut self.buffer.spare_capacity_mut()[..most]) {
            Ok((bytes, _)) => {
                outgoing.input(bytes);
                let count = bytes.len();
                self.open = count > 0;
                // No more than the credit was read.
                self.credit -= count as u32;
                self.taken += count as u64;
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// No more comes, and the tool is told.
    pub(super) fn end(&mut self, outgoing: &mut Outgoing) {
        if std::mem::replace(&mut self.open, false) {
            outgoing.input(&[]);
        }
    }

    /// Sets the offset of a file back to what the tool has read, for who reads it next: `while read` in a shell.
    pub(super) fn give_back(&self, read: Option<u64>) {
        let is_file = || fstat(&self.from).is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::RegularFile);
        let unread = read.and_then(|read| self.taken.checked_sub(read)).and_then(|unread| i64::try_from(unread).ok());
        if let Some(unread) = unread.filter(|unread| *unread > 0 && is_file()) {
            // A file that was cut meanwhile has no such place, and nothing to be read there.
            let _ = seek(&self.from, SeekFrom::Current(-unread));
        }
    }
}
