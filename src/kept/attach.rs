//! Looking at a kept session, and typing into it.

use super::frame::Frame;
use super::place::Place;
use super::replay::Replay;
use crate::output;
use crate::terminal::pump::Endpoint;
use crate::terminal::signals::SignalFd;
use crate::terminal::stdio::{StdioError, standard};
use crate::terminal::tty::UserTerminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::process::Signal;
use rustix::termios::isatty;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// Ctrl-P Ctrl-Q, the keys by which podman and docker leave a container.
const LEAVE: [u8; 2] = [0x10, 0x11];
/// Bytes that are read of the keys at once.
const READ: usize = 4096;
/// Bytes for the session that it has not taken; what is typed beyond that is lost, so that leaving is always possible.
const PENDING_MAX: usize = 1 << 20;
/// How long the first of the two keys is held back.
const HALF: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// Why nobody is attached, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Nobody keeps it.
    #[error("no detached sandbox '{name}' is running")]
    NotKept {
        /// The name.
        name: String,
    },
    /// Its keeper cannot be reached.
    #[error("cannot reach the keeper of the sandbox at {}: {source}", path.display())]
    Connect {
        /// Its socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The keeper is gone.
    #[error("the keeper of the sandbox is gone, and the sandbox with it")]
    Lost,
    /// It went too fast.
    #[error("this terminal did not take the output as fast as it came; attach again to go on")]
    Lagged,
    /// No more may look.
    #[error("sixteen are attached to this sandbox, and there is no room for more")]
    Full,
    /// The user's terminal.
    #[error(transparent)]
    Stdio(#[from] StdioError),
    /// A system call.
    #[error("cannot {what}: {source}")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

fn host(what: &'static str) -> impl Fn(io::Error) -> AttachError {
    move |source| AttachError::Host { what, source }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The user left; the session goes on.
    Detached,
    /// The session has ended, with this status.
    Ended(u8),
}

/// Connects this process's terminal with a kept session, until the user leaves or the session ends. With `watch`
/// nothing is typed, and Ctrl-C leaves.
///
/// # Errors
/// If there is no such session, or it cannot be reached any more.
pub fn attach(place: &Place, name: &str, watch: bool) -> Result<Left, AttachError> {
    let path = place.socket();
    let stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AttachError::NotKept { name: name.to_owned() },
        _ => AttachError::Connect { path, source },
    })?;
    let mut attached = Attached::new(stream, watch)?;
    let left = attached.run();
    attached.restore();
    left
}

/// What poll said.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    screen: bool,
    room: bool,
    keys: bool,
    signal: bool,
    patience_ended: bool,
}

struct Attached {
    stream: UnixStream,
    /// Where keys come from, until their end.
    keys: Option<Endpoint>,
    /// The terminal, where standard input or output is one.
    terminal: Option<UserTerminal>,
    signals: SignalFd,
    typed: Typed,
    /// For the session.
    pending: Vec<u8>,
    /// What the session showed here.
    replay: Replay,
    restores: bool,
}

impl Attached {
    fn new(stream: UnixStream, watch: bool) -> Result<Self, AttachError> {
        let arriving = [Signal::WINCH, Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT, Signal::CONT];
        let signals = SignalFd::new(&arriving, &[]).map_err(|errno| host("watch for signals")(errno.into()))?;
        let keys = if watch { None } else { Some(Endpoint::like(standard(0), OFlags::RDONLY)?) };
        let number = [0, 1].into_iter().find(|number| isatty(standard(*number)) && (*number == 1 || !watch));
        let terminal = number.map(|number| UserTerminal::open(number, false)).transpose()?;
        Ok(Self {
            stream,
            keys,
            terminal,
            signals,
            typed: Typed::default(),
            pending: Vec::new(),
            replay: Replay::default(),
            restores: isatty(standard(1)),
        })
    }

    fn run(&mut self) -> Result<Left, AttachError> {
        self.tell_size()?;
        loop {
            // Raw as long as it is in the foreground. Who watches leaves the keys as they are.
            if let (Some(terminal), Some(_)) = (&mut self.terminal, &self.keys) {
                terminal.keep_raw()?;
            }
            let Ready { screen, room, keys, signal, patience_ended } = self.wait()?;
            if patience_ended && self.typed.half {
                self.typed.release();
                self.pass_typed();
            }
            if room {
                self.flush()?;
            }
            if signal && let Some(left) = self.heed()? {
                return Ok(left);
            }
            if keys && let Some(left) = self.pass_keys()? {
                return Ok(left);
            }
            if screen && let Some(left) = self.show()? {
                return Ok(left);
            }
        }
    }

    /// Waits for whatever comes first.
    fn wait(&self) -> Result<Ready, AttachError> {
        let out = if self.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let mut fds = vec![PollFd::new(&self.stream, PollFlags::IN | out), PollFd::new(&self.signals, PollFlags::IN)];
        let may_read = self.terminal.as_ref().is_none_or(|terminal| terminal.in_foreground());
        fds.extend(self.keys.as_ref().filter(|_| may_read).map(|keys| PollFd::new(keys, PollFlags::IN)));
        match poll(&mut fds, self.typed.half.then_some(&HALF)) {
            Err(Errno::INTR) => Ok(Ready::default()),
            Err(errno) => Err(host("wait for the session")(errno.into())),
            Ok(count) => {
                let ready = |position: usize| fds.get(position).is_some_and(|fd| !fd.revents().is_empty());
                let stream = fds[0].revents();
                Ok(Ready {
                    screen: !stream.difference(PollFlags::OUT).is_empty(),
                    room: stream.contains(PollFlags::OUT),
                    keys: ready(2),
                    signal: ready(1),
                    patience_ended: count == 0,
                })
            }
        }
    }

    fn heed(&mut self) -> Result<Option<Left>, AttachError> {
        while let Some(signal) = self.signals.next() {
            if signal == libc::SIGWINCH {
                self.tell_size()?;
            } else if signal == libc::SIGCONT {
                if let Some(terminal) = &mut self.terminal {
                    terminal.recheck();
                }
                self.tell_size()?;
            } else {
                // The session does not end because somebody stops looking.
                return Ok(Some(Left::Detached));
            }
        }
        Ok(None)
    }

    fn tell_size(&mut self) -> Result<(), AttachError> {
        let Some(size) = self.terminal.as_ref().and_then(|terminal| terminal.size().ok()) else { return Ok(()) };
        self.pending.extend(Frame::Size(size.ws_row, size.ws_col).bytes());
        self.flush()
    }

    fn pass_keys(&mut self) -> Result<Option<Left>, AttachError> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let mut buffer = [0; READ];
        match rustix::io::read(keys, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            // A terminal that is gone, or the end of a file: somebody stops looking.
            Err(Errno::IO) | Ok(0) if self.terminal.is_some() => Ok(Some(Left::Detached)),
            Ok(0) => {
                self.keys = None;
                Ok(None)
            }
            Err(errno) => Err(host("read what is typed")(errno.into())),
            Ok(length) => {
                let left = self.typed.add(&buffer[..length]);
                self.pass_typed();
                self.flush()?;
                Ok(left.then_some(Left::Detached))
            }
        }
    }

    fn pass_typed(&mut self) {
        let keys = std::mem::take(&mut self.typed.ready);
        if !keys.is_empty() && self.pending.len() < PENDING_MAX {
            self.pending.extend(Frame::Keys(keys).bytes());
        }
    }

    /// Writes what the session takes now.
    fn flush(&mut self) -> Result<(), AttachError> {
        while !self.pending.is_empty() {
            match send(&self.stream, &self.pending, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(length) => drop(self.pending.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                // What it said last is still to be read.
                Err(Errno::PIPE | Errno::CONNRESET) => self.pending.clear(),
                Err(errno) => return Err(host("write to the session")(errno.into())),
            }
        }
        Ok(())
    }

    fn show(&mut self) -> Result<Option<Left>, AttachError> {
        match Frame::read(&mut self.stream) {
            Ok(Some(frame @ (Frame::Screen(_) | Frame::Past(_)))) => {
                // The answers to questions of now are typed into the session, if anything is.
                let (bytes, live) = match frame {
                    Frame::Screen(bytes) => (bytes, self.keys.is_some()),
                    Frame::Past(bytes) => (bytes, false),
                    _ => return Ok(None),
                };
                let shown = if self.restores { self.replay.feed(&bytes, live) } else { bytes };
                Ok(output::print(&shown).is_err().then_some(Left::Detached))
            }
            Ok(Some(Frame::Ended(status))) => Ok(Some(Left::Ended(status))),
            Ok(Some(Frame::Lagged)) => Err(AttachError::Lagged),
            Ok(Some(Frame::Full)) => Err(AttachError::Full),
            Ok(Some(_)) => Err(host("understand the session")(io::ErrorKind::InvalidData.into())),
            Ok(None) => Err(AttachError::Lost),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(AttachError::Lost),
            Err(error) => Err(host("read the session")(error)),
        }
    }

    /// Leaves the terminal as a shell wants it.
    fn restore(&mut self) {
        if self.restores {
            let _ = output::print(self.replay.restore());
        }
        self.terminal = None;
    }
}

/// What was typed, without the keys by which one leaves.
#[derive(Debug, Default)]
struct Typed {
    ready: Vec<u8>,
    /// The first of the two was typed, and is held back.
    half: bool,
}

impl Typed {
    /// The other does not come.
    fn release(&mut self) {
        if std::mem::replace(&mut self.half, false) {
            self.ready.push(LEAVE[0]);
        }
    }

    /// Adds some; true once the user leaves.
    fn add(&mut self, keys: &[u8]) -> bool {
        for &key in keys {
            if std::mem::replace(&mut self.half, false) {
                if key == LEAVE[1] {
                    return true;
                }
                self.ready.push(LEAVE[0]);
            }
            if key == LEAVE[0] { self.half = true } else { self.ready.push(key) }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_leave_and_each_alone_is_typed() {
        let mut typed = Typed::default();
        assert!(!typed.add(b"a\x10b\x10"));
        assert_eq!(typed.ready, b"a\x10b");
        assert!(!typed.add(b"\x10"));
        assert_eq!(typed.ready, b"a\x10b\x10");
        assert!(typed.add(b"\x11never"));
        assert_eq!(typed.ready, b"a\x10b\x10");
        assert!(!typed.add(b"\x10"));
        typed.release();
        assert!(!typed.add(b"\x11"));
        assert_eq!(typed.ready, b"a\x10b\x10\x10\x11");
    }
}
