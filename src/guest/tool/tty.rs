//! The caller's terminal, while a tool outside has one of its own.

use crate::plugin::wire::Terminal;
use crate::terminal::signals;
use crate::terminal::stdio::{StdioError, standard};
use crate::terminal::tty::UserTerminal;
use rustix::io::Errno;
use rustix::termios::{Winsize, isatty, tcgetwinsize};

/// What of it is used.
#[derive(Debug)]
pub(super) struct Tty {
    /// For its keys, where standard input is one.
    keys: Option<UserTerminal>,
    /// The standard stream whose size counts.
    sized: usize,
    /// What the tool gets.
    offered: Terminal,
    /// Raw mode: the tool's own terminal edits lines and makes signals of keys.
    raw: bool,
}

impl Tty {
    /// `None` where none of the three is a terminal.
    pub(super) fn find() -> Result<Option<Self>, StdioError> {
        let [stdin, stdout, stderr] = [0, 1, 2].map(|number| isatty(standard(number)));
        let Some(sized) = [stdout, stderr, stdin].iter().position(|is| *is).map(|at| [1, 2, 0][at]) else {
            return Ok(None);
        };
        let keys = if stdin { Some(UserTerminal::open(0, false)?) } else { None };
        // In raw mode the terminal would not end lines for what else writes to it: `gh pr list | less`. So keys are
        // lines there, and the tool reads them from a pipe.
        let raw = stdin && stdout;
        let size = size(sized);
        let offered = Terminal { rows: size.ws_row, columns: size.ws_col, stdin: raw, stdout, stderr };
        Ok(Some(Self { keys, sized, offered, raw }))
    }

    /// What the tool gets.
    pub(super) fn offered(&self) -> Option<Terminal> {
        let Terminal { stdin, stdout, stderr, .. } = self.offered;
        (stdin || stdout || stderr).then_some(self.offered)
    }

    /// Rows and columns now.
    pub(super) fn size(&self) -> (u16, u16) {
        let size = size(self.sized);
        (size.ws_row, size.ws_col)
    }

    /// Sets the mode that is wanted, as soon as the terminal is ours.
    pub(super) fn keep_mode(&mut self) -> Result<(), StdioError> {
        match &mut self.keys {
            Some(keys) if self.raw => keys.keep_raw(),
            _ => Ok(()),
        }
    }

    /// Whether standard input is a terminal, and what is typed there is for somebody else.
    pub(super) fn is_others(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| !keys.may_read())
    }

    /// Stops this process until it is continued, with the terminal as it was found.
    pub(super) fn stop(tty: &mut Option<Self>, group: bool) -> Result<(), Errno> {
        let mut keys = tty.as_mut().and_then(|tty| tty.keys.as_mut());
        if let Some(keys) = &mut keys {
            // One that is gone needs no restoring.
            let _ = keys.restore();
        }
        let stopped = signals::stop(group);
        if let Some(keys) = keys {
            keys.recheck();
        }
        stopped
    }

    /// After others had it: the shell may have set modes of its own.
    pub(super) fn recheck(&mut self) {
        if let Some(keys) = &mut self.keys {
            keys.recheck();
        }
    }
}

/// No size where it is not known, which ioctl_tty(2) has for it too.
fn size(number: usize) -> Winsize {
    let none = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    tcgetwinsize(standard(number)).unwrap_or(none)
}
