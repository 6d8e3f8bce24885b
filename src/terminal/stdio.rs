//! The caller's stdin, stdout and stderr, and what the agent gets in their place.
//!
//! The agent never holds a file description of the caller's. Through `/proc/self/fd` it could
//! reopen a file for writing, or a pipe in its other direction: it would then read what others
//! write into the same pipe, or write what the next reader of it, perhaps a shell outside, takes for
//! input. A socket could pass descriptors or be read from. `O_NONBLOCK`, set by the agent, would be
//! set for all. So terminals are replaced by the sandbox's own, `/dev/null` by the sandbox's, and
//! everything else is relayed through a pipe.
//!
//! A relay reads ahead: of a pipe on stdin up to 128 KiB that the agent may never read are gone, as
//! with ssh. A file's offset is set back to what the agent has read.

use rustix::fs::{FileType, OFlags};
use rustix::pipe::PipeFlags;
use rustix::termios::{InputModes, LocalModes, OutputModes, Termios, Winsize};
use serde::Serialize;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Names of the three, for messages.
const NAMES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// What one of them is, and so how it reaches the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The user's terminal: the agent gets its own.
    Terminal,
    /// `/dev/null`, or closed: the agent gets the sandbox's `/dev/null`.
    Null,
    /// A regular file: relayed.
    File,
    /// A pipe, socket or character device: relayed.
    Stream,
}

impl Kind {
    fn relayed(self) -> bool {
        matches!(self, Self::File | Self::Stream)
    }
}

/// What all three are. Plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stdio {
    /// By number.
    pub kinds: [Kind; 3],
    /// stdout and stderr are the same file: they share a relay, which keeps their order.
    pub joined: bool,
    /// The terminal may be in use by other members of a pipeline: it is put into raw mode only
    /// while the agent wants its own terminal so.
    pub shared: bool,
}

/// Why stdin, stdout or stderr can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// Nothing that a program reads or writes as a stream.
    #[error("cannot give {name} to a sandbox: it is {what}; redirect {name} to a file, a pipe or /dev/null")]
    Unsuitable {
        /// stdin, stdout or stderr.
        name: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// A system call failed.
    #[error("cannot {attempt}: {source}")]
    System {
        /// What was tried.
        attempt: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// For `map_err`.
pub(crate) fn system(attempt: &'static str) -> impl Fn(rustix::io::Errno) -> StdioError {
    move |errno| StdioError::System { attempt, source: errno.into() }
}

/// Standard input, output or error of this process.
pub(crate) fn standard(number: usize) -> BorrowedFd<'static> {
    match number {
        0 => rustix::stdio::stdin(),
        1 => rustix::stdio::stdout(),
        _ => rustix::stdio::stderr(),
    }
}

impl Stdio {
    /// `/dev/null` for all three.
    pub fn none() -> Self {
        Self { kinds: [Kind::Null; 3], joined: false, shared: false }
    }

    /// Looks at the three. Has no effect.
    pub fn inspect() -> Result<Self, StdioError> {
        let mut kinds = [Kind::Null; 3];
        for (number, kind) in kinds.iter_mut().enumerate() {
            *kind = inspect(number)?;
        }
        let joined = kinds[1].relayed() && kinds[2].relayed() && same_file(standard(1), standard(2));
        let terminal = kinds.contains(&Kind::Terminal);
        let shared = terminal && kinds[..2].contains(&Kind::Stream);
        Ok(Self { kinds, joined, shared })
    }

    /// The first of the three that is a terminal.
    fn terminal(self) -> Option<usize> {
        self.kinds.iter().position(|kind| *kind == Kind::Terminal)
    }

    /// Makes the pipes. To be called before the fork; afterwards the launcher drops the
    /// [`AgentStdio`] and the sandbox's side the [`UserStdio`].
    pub fn prepare(self) -> Result<(UserStdio, AgentStdio), StdioError> {
        let mut relays = Vec::new();
        let mut slots = [Slot::Null, Slot::Null, Slot::Null];
        for (number, (slot, kind)) in slots.iter_mut().zip(self.kinds).enumerate() {
            *slot = match kind {
                Kind::Terminal => Slot::Terminal,
                Kind::Null => Slot::Null,
                _ if number == 2 && self.joined => Slot::Stdout,
                kind => {
                    let (read, write) =
                        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(system("make a pipe for the agent"))?;
                    let (ours, theirs) = if number == 0 { (write, read) } else { (read, write) };
                    let unread = (number == 0 && kind == Kind::File).then(|| theirs.try_clone());
                    let unread = unread.transpose();
                    let unread = unread.map_err(|source| StdioError::System { attempt: "copy a pipe", source })?;
                    relays.push(RelayedStream { number, pipe: ours, unread });
                    Slot::Pipe(theirs)
                }
            };
        }
        let tty = self.terminal().map(|number| (number, standard(number)));
        let terminal = tty.map(|(_, tty)| PtySetup::like(tty, self.shared)).transpose()?;
        let user = UserStdio { terminal: tty.map(|(number, _)| number), shared: self.shared, relays };
        Ok((user, AgentStdio { slots, terminal }))
    }
}

fn inspect(number: usize) -> Result<Kind, StdioError> {
    let (fd, name) = (standard(number), NAMES[number]);
    let unsuitable = |what| Err(StdioError::Unsuitable { name, what });
    let flags = match rustix::fs::fcntl_getfl(fd) {
        Err(rustix::io::Errno::BADF) => return Ok(Kind::Null),
        flags => flags.map_err(system("look at stdin, stdout and stderr"))?,
    };
    if flags.contains(OFlags::PATH) {
        return unsuitable("a path that isn't opened");
    }
    let status = rustix::fs::fstat(fd).map_err(system("look at stdin, stdout and stderr"))?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::CharacterDevice if rustix::termios::isatty(fd) => Ok(Kind::Terminal),
        // Linux's devices.txt: 1 char, 3 = /dev/null.
        FileType::CharacterDevice if status.st_rdev == rustix::fs::makedev(1, 3) => Ok(Kind::Null),
        FileType::RegularFile => Ok(Kind::File),
        FileType::CharacterDevice | FileType::Fifo | FileType::Socket => Ok(Kind::Stream),
        FileType::Directory => unsuitable("a directory"),
        FileType::BlockDevice => unsuitable("a block device"),
        _ => unsuitable("neither a file nor a stream"),
    }
}

fn same_file(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let identity = |fd| rustix::fs::fstat(fd).ok().map(|status| (status.st_dev, status.st_ino));
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

/// The launcher's side.
#[derive(Debug)]
pub struct UserStdio {
    /// Which of the three is the user's terminal.
    pub(super) terminal: Option<usize>,
    pub(super) shared: bool,
    pub(super) relays: Vec<RelayedStream>,
}

/// One of the three that is relayed.
#[derive(Debug)]
pub(super) struct RelayedStream {
    pub(super) number: usize,
    /// The launcher's end of the agent's pipe.
    pub(super) pipe: OwnedFd,
    /// The agent's end, for a file on stdin: tells how much of it the agent left unread.
    pub(super) unread: Option<OwnedFd>,
}

/// The agent's side.
#[derive(Debug)]
pub struct AgentStdio {
    pub(super) slots: [Slot; 3],
    pub(super) terminal: Option<PtySetup>,
}

/// What becomes one of the agent's three.
#[derive(Debug)]
pub(super) enum Slot {
    Terminal,
    Null,
    Pipe(OwnedFd),
    /// The same as its stdout.
    Stdout,
}

/// Modes and size of the agent's terminal at its start.
#[derive(Clone, Debug)]
pub(super) struct PtySetup {
    pub(super) modes: Termios,
    pub(super) size: Winsize,
}

impl PtySetup {
    /// The user's control characters and encoding, in the modes of a fresh terminal: another
    /// member of a pipeline may have changed the user's already.
    fn like(tty: BorrowedFd<'_>, shared: bool) -> Result<Self, StdioError> {
        let mut modes = rustix::termios::tcgetattr(tty).map_err(system("read the terminal's modes"))?;
        let size = rustix::termios::tcgetwinsize(tty).map_err(system("read the terminal's size"))?;
        modes.input_modes |= InputModes::ICRNL | InputModes::IXON;
        modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        let local = LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
        modes.local_modes |= local | LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK;
        modes.local_modes.set(LocalModes::EXTPROC, shared);
        Ok(Self { modes, size })
    }
}

/// Replaces stdin, stdout and stderr of this process by `/dev/null`: for each process between the
/// launcher and the agent, which else would keep the caller's pipes open and hold its terminal.
pub fn replace_with_null() -> Result<(), StdioError> {
    let null = null()?;
    for number in 0..3 {
        install(null.as_fd(), number)?;
    }
    Ok(())
}

pub(super) fn null() -> Result<OwnedFd, StdioError> {
    let opened = File::options().read(true).write(true).open("/dev/null");
    opened.map(OwnedFd::from).map_err(|source| StdioError::System { attempt: "open /dev/null", source })
}

/// dup2 onto one of the three.
pub(super) fn install(fd: BorrowedFd<'_>, number: usize) -> Result<(), StdioError> {
    let installed = match number {
        0 => rustix::stdio::dup2_stdin(fd),
        1 => rustix::stdio::dup2_stdout(fd),
        _ => rustix::stdio::dup2_stderr(fd),
    };
    installed.map_err(system("replace stdin, stdout or stderr"))
}
