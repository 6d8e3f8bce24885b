//! The user's terminal: its modes, its size, and whether it is ours to use now.

use super::pump::Endpoint;
use super::signals;
use super::stdio::{StdioError, standard, system};
use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, Winsize};
use std::os::fd::{AsFd, BorrowedFd};

/// The user's terminal. Dropped, it has the modes again in which it was found.
#[derive(Debug)]
pub(crate) struct UserTerminal {
    endpoint: Endpoint,
    /// The modes to restore, while it is raw.
    saved: Option<Termios>,
    /// See [`super::Stdio::shared`].
    shared: bool,
}

impl UserTerminal {
    pub(crate) fn open(number: usize, shared: bool) -> Result<Self, StdioError> {
        Ok(Self { endpoint: Endpoint::like(standard(number), OFlags::RDWR)?, saved: None, shared })
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, StdioError> {
        self.endpoint.try_clone()
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.saved.is_some()
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    /// No other process group has it. A terminal that doesn't control this process knows no
    /// foreground, so it is ours.
    pub(crate) fn in_foreground(&self) -> bool {
        signals::in_foreground(self.endpoint.as_fd())
    }

    /// What is typed is ours: nobody else has set the terminal to raw mode.
    pub(crate) fn may_read(&self) -> bool {
        self.in_foreground() && (self.is_raw() || self.is_canonical())
    }

    fn is_canonical(&self) -> bool {
        rustix::termios::tcgetattr(&self.endpoint).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ICANON))
    }

    /// Raw mode where the agent's terminal wants it, and only in the foreground: a change from the
    /// background would be a change under the hands of whoever has the foreground.
    pub(super) fn follow(&mut self, master: BorrowedFd<'_>) -> Result<(), StdioError> {
        if !self.in_foreground() {
            return Ok(());
        }
        if !self.shared {
            return self.keep_raw();
        }
        let mut modes = rustix::termios::tcgetattr(master).map_err(system("read the modes of the agent's terminal"))?;
        let wanted = !modes.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO);
        if wanted == self.is_raw() || (wanted && !self.is_canonical()) {
            return Ok(());
        }
        // While the user's terminal echoes and edits lines, the agent's leaves that to it.
        modes.local_modes.set(LocalModes::EXTPROC, !wanted);
        rustix::termios::tcsetattr(master, OptionalActions::Now, &modes)
            .map_err(system("set the modes of the agent's terminal"))?;
        if wanted { self.enter_raw() } else { self.restore() }
    }

    /// Raw mode whenever it is in the foreground.
    pub(crate) fn keep_raw(&mut self) -> Result<(), StdioError> {
        if self.is_raw() || !self.in_foreground() { Ok(()) } else { self.enter_raw() }
    }

    /// Its size.
    pub(crate) fn size(&self) -> Result<Winsize, StdioError> {
        rustix::termios::tcgetwinsize(&self.endpoint).map_err(system("read the terminal's size"))
    }

    fn enter_raw(&mut self) -> Result<(), StdioError> {
        let saved = rustix::termios::tcgetattr(&self.endpoint).map_err(system("read the terminal's modes"))?;
        let mut raw = saved.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&self.endpoint, OptionalActions::Now, &raw)
            .map_err(system("set the terminal to raw mode"))?;
        self.saved = Some(saved);
        Ok(())
    }

    /// Restores the modes, in the foreground only.
    pub(crate) fn restore(&mut self) -> Result<(), StdioError> {
        let Some(saved) = self.saved.take() else { return Ok(()) };
        if !self.in_foreground() {
            return Ok(());
        }
        rustix::termios::tcsetattr(&self.endpoint, OptionalActions::Now, &saved)
            .map_err(system("restore the terminal's modes"))
    }

    /// After this process was stopped: the shell may have set modes of its own.
    pub(crate) fn recheck(&mut self) {
        if self.is_canonical() {
            self.saved = None;
        }
    }

    /// Gives the agent's terminal the size of the user's; the kernel tells the agent.
    pub(super) fn copy_size(&self, master: BorrowedFd<'_>) -> Result<(), StdioError> {
        rustix::termios::tcsetwinsize(master, self.size()?).map_err(system("set the size of the agent's terminal"))
    }
}

impl AsFd for UserTerminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.endpoint.as_fd()
    }
}

impl Drop for UserTerminal {
    fn drop(&mut self) {
        // The terminal's answers to what the agent asked last are not for the shell.
        if self.is_raw() && self.in_foreground() {
            let _ = rustix::termios::tcflush(&self.endpoint, QueueSelector::IFlush);
        }
        // A terminal that is gone needs no restoring.
        let _ = self.restore();
    }
}

/// The character that ends input on the agent's terminal.
pub(super) fn end_of_file(master: BorrowedFd<'_>) -> Result<u8, StdioError> {
    let modes = rustix::termios::tcgetattr(master).map_err(system("read the modes of the agent's terminal"))?;
    Ok(modes.special_codes[SpecialCodeIndex::VEOF])
}

/// The agent has read everything that was typed.
pub(super) fn has_read_all(master: BorrowedFd<'_>) -> bool {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    // Only the agent's side knows. Where it can't be asked, there is nothing to wait for.
    let unread = rustix::pty::ioctl_tiocgptpeer(master, flags).and_then(rustix::io::ioctl_fionread);
    unread.unwrap_or_default() == 0
}
