//! The session of a tool with a terminal.
//!
//! Keys of a terminal stop a process group only if somebody of its session could continue it, that is if a member has a
//! parent in the session and not in the group (setpgid(2), "orphaned"). A tool's parent is the executor, which is in
//! none of the sessions. So a session has two processes beside the tool, which do nothing:
//!
//! ```text
//! executor ─┬─ leader: of the session, in a group of its own
//!           │   └─ anchor: of the tool's process group, the terminal's foreground
//!           └─ the tool, in the anchor's group
//! ```
//!
//! The leader makes the tool and tells the executor its number. Until the executor has it, and with it the means to end
//! the tool, the tool executes nothing.

use super::child::Refusal;
use crate::runtime::embedded::{lockdown, process};
use crate::terminal::signals;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, set_parent_process_death_signal, setpgid, setsid};
use std::cell::Cell;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// The processes of one.
#[derive(Debug)]
pub(super) struct Session {
    pub leader: Pid,
    pub group: Pid,
    pub tool: Pid,
}

/// Makes a session with this terminal, and `tool` in its foreground.
pub(super) fn start(terminal: &OwnedFd, tool: impl FnOnce() -> u8) -> Result<Session, Refusal> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(Refusal::cannot("make a pipe for the tool"))?;
    let (reader, writer) = (PipeReader::from(reader), PipeWriter::from(writer));
    let theirs = writer.as_fd().try_clone_to_owned();
    let theirs = theirs.map_err(|_| Refusal::cannot("make a pipe for the tool")(Errno::MFILE))?;
    let (known, knows) = pipe_with(PipeFlags::CLOEXEC).map_err(Refusal::cannot("make a pipe for the tool"))?;
    let (known, knows) = (PipeReader::from(known), Cell::new(Some(PipeWriter::from(knows))));
    let leader = process::fork(|| {
        // The executor's alone: where it goes without a word, the tool reads the end.
        drop(knows.take());
        let tool = || if is_known(&known) { tool() } else { 1 };
        lead(terminal, tool, &mut PipeWriter::from(theirs)).unwrap_or(1)
    });
    let leader = leader.map_err(Refusal::cannot("make a session for the tool"))?;
    drop(writer);
    let session = || -> Option<Session> {
        let mut numbers = [0; 8];
        { reader }.read_exact(&mut numbers).ok()?;
        let [group, tool] = [&numbers[..4], &numbers[4..]]
            .map(|number| number.first_chunk().and_then(|number| Pid::from_raw(i32::from_ne_bytes(*number))));
        Some(Session { leader, group: group?, tool: tool? })
    };
    match session() {
        Some(session) => {
            // One that ended meanwhile is a call's like any other.
            let _ = knows.take().map(|mut knows| knows.write_all(b"1"));
            Ok(session)
        }
        None => {
            end(leader);
            Err(Refusal::cannot("make a session for the tool")(Errno::CHILD))
        }
    }
}

/// Waits until the executor knows of this tool. Where it never will, the tool is not to begin.
fn is_known(mut known: &PipeReader) -> bool {
    known.read_exact(&mut [0]).is_ok()
}

/// Ends what a session has beside its tool.
pub(super) fn end(leader: Pid) {
    let _ = signals::send(leader, false, libc::SIGKILL);
    // Killed, it ends at once.
    let _ = process::wait(leader);
}

/// Does not return but by an error.
fn lead(terminal: &OwnedFd, tool: impl FnOnce() -> u8, numbers: &mut PipeWriter) -> Result<u8, Errno> {
    setsid()?;
    rustix::process::ioctl_tiocsctty(terminal)?;
    // A terminal that is closed ends it (tty_ioctl(4)), and its end tells the foreground.
    signals::default_all();
    let anchor = process::fork(|| match rest(true) {
        Ok(()) => idle(),
        Err(_) => 1,
    })?;
    setpgid(Some(anchor), Some(anchor))?;
    rustix::termios::tcsetpgrp(terminal, anchor)?;
    let tool = process::fork_sibling(|| match setpgid(None, Some(anchor)) {
        Ok(()) => tool(),
        Err(_) => 1,
    })?;
    let both = [anchor, tool].map(|pid| pid.as_raw_nonzero().get().to_ne_bytes());
    numbers.write_all(both.as_flattened()).map_err(|_| Errno::PIPE)?;
    rest(false)?;
    idle()
}

/// Has nothing open, and, where it is deaf, hears nothing that it could be spared: keys are for the tool.
fn rest(deaf: bool) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if deaf {
        signals::block_all()?;
    } else {
        signals::unblock_all()?;
    }
    // SAFETY: the process was forked to be idle and ends by _exit or a signal: nobody uses or drops what was open.
    unsafe { lockdown::close_inherited(&[]) }.map_err(|_| Errno::BADF)
}

fn idle() -> ! {
    loop {
        // SAFETY: pause touches no memory.
        unsafe { libc::pause() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_the_executor_does_not_know_of_does_not_begin() {
        let (known, mut knows) = std::io::pipe().unwrap();
        knows.write_all(b"1").unwrap();
        assert!(is_known(&known));
        drop(knows);
        assert!(!is_known(&known));
    }
}
