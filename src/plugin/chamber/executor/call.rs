//! A call that was started, as the executor knows it.

use super::child::{CANNOT_EXECUTE, Refusal};
use super::session::{self, Session};
use crate::runtime::embedded::process;
use crate::terminal::signals;
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::io::Read;
use std::os::fd::OwnedFd;

/// The longest word of a child that could not execute its program, in bytes: far below what a pipe takes at once.
pub(super) const WORD_MAX: usize = 1024;

/// A child of the executor's. While it is not reaped, its number is nobody else's.
#[derive(Debug)]
pub(super) struct Call {
    pid: Pid,
    /// Its process group.
    group: Pid,
    /// The leader of its session, where it has one of its own.
    leader: Option<Pid>,
    /// Until the program is executed, which closes the other end, or cannot be, which the child says.
    start: Option<OwnedFd>,
    /// Whether the broker was told that nothing was executed.
    pub refused: bool,
}

impl Call {
    pub fn new(pid: Pid, start: OwnedFd) -> Self {
        Self { pid, group: pid, leader: None, start: Some(start), refused: false }
    }

    /// One with a terminal.
    pub fn in_session(session: Session, start: OwnedFd) -> Self {
        Self { group: session.group, leader: Some(session.leader), ..Self::new(session.tool, start) }
    }

    /// Where it says how it started.
    pub fn starting(&self) -> Option<&OwnedFd> {
        self.start.as_ref()
    }

    /// Whether the program was executed, once; waits for the child's word.
    pub fn started(&mut self) -> Option<Result<(), Refusal>> {
        let pipe = std::io::PipeReader::from(self.start.take()?);
        let mut word = Vec::new();
        let result = match pipe.take(WORD_MAX as u64).read_to_end(&mut word) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Refusal { exit_code: word[0], error: String::from_utf8_lossy(&word[1..]).into_owned() }),
            Err(error) => {
                Err(Refusal { exit_code: CANNOT_EXECUTE, error: format!("cannot hear the tool's start: {error}") })
            }
        };
        self.refused = result.is_err();
        Some(result)
    }

    /// To its process group, which it may not have made yet; in a session, also to the one that it made for itself,
    /// as shells do.
    pub fn signal(&self, signal: i32) {
        let mut reached = signals::send(self.group, true, signal).is_ok();
        if self.leader.is_some() {
            reached |= signals::send(self.pid, true, signal).is_ok();
        }
        if !reached {
            let _ = signals::send(self.pid, false, signal);
        }
    }

    /// Kills it and its process group.
    pub fn kill(&self) {
        self.signal(libc::SIGKILL);
        let _ = signals::send(self.pid, false, libc::SIGKILL);
    }

    /// Whether it has been stopped since this was asked.
    pub fn was_stopped(&self) -> bool {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        self.leader.is_some() && matches!(waitid(WaitId::Pid(self.pid), options), Ok(Some(_)))
    }

    /// Whether it has ended. It stays to be reaped.
    pub fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(self.pid), options), Ok(Some(_)))
    }

    /// Kills what it left in its process group, whose number is still its own, and reaps it: its exit status, or the
    /// signal that ended it.
    pub fn end(self) -> Result<(Option<u8>, Option<i32>), Errno> {
        for group in [self.group, self.pid] {
            let _ = signals::send(group, true, libc::SIGKILL);
        }
        let status = process::wait(self.pid)?;
        let _ = self.leader.map(session::end);
        Ok((status.exit_status().and_then(|code| u8::try_from(code).ok()), status.terminating_signal()))
    }
}
