//! What is on its way to the broker.

use crate::plugin::wire::Control;
use crate::plugin::wire::frames::{self, BadFrame, Sender, Tag};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::os::fd::BorrowedFd;

/// How long the last words before a stop may take.
const LAST_WORDS: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Frames that were not written yet. Input is only added to none, so there is at most one piece of it.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn say(&mut self, said: &Control) -> Result<(), BadFrame> {
        self.bytes.extend(frames::control(Sender::Client, said)?);
        Ok(())
    }

    pub(super) fn input(&mut self, bytes: &[u8]) {
        for (header, payload) in frames::chunks(Tag::Input, bytes) {
            self.bytes.extend_from_slice(&header);
            self.bytes.extend_from_slice(payload);
        }
    }

    /// Writes what the socket takes. Whether it takes anything at all: the broker may have gone, and said why.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> bool {
        while !self.is_empty() {
            match send(socket, &self.bytes[self.written..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => self.written += count,
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => continue,
                Err(_) => {
                    self.bytes.clear();
                    return false;
                }
            }
            if self.written == self.bytes.len() {
                self.bytes.clear();
                self.written = 0;
            }
        }
        true
    }

    /// Writes all of it, unless the broker takes nothing for a second.
    pub(super) fn flush_all(&mut self, socket: BorrowedFd<'_>) {
        while self.flush(socket) && !self.is_empty() {
            let ready = poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], Some(&LAST_WORDS));
            if matches!(ready, Ok(0)) {
                break;
            }
        }
    }
}
