//! The keeper: a process that holds the terminal of one run.

use super::frame::Frame;
use super::log::{self, Log};
use super::place::Place;
use super::screen::Screen;
use super::starter::{RUNS, Starter, say, starter};
use crate::peer;
use crate::sockets::{self, SocketError};
use crate::terminal::stdio::replace_with_null;
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, ioctl_tiocsctty, pidfd_open, pidfd_send_signal, setsid};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncWriteExt;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, interval, sleep, timeout};

/// Bytes of one read of the terminal.
const READ: usize = 16 << 10;
/// What was typed and the launcher has not read: more is not taken from those who are attached.
const TYPED_MAX: usize = 64 << 10;
/// Frames that wait for one who is attached; who has more waiting is told off. 4 MiB at most.
const WAITING_MAX: usize = 256;
/// Who may be attached at once.
const ATTACHED_MAX: usize = 16;
/// How often to see whether the run has begun.
const LOOK: Duration = Duration::from_millis(5);
/// Between the two sizes that make a program draw its screen anew.
const REDRAW: Duration = Duration::from_millis(40);
/// How long those who are attached have to read the end.
const PARTING: Duration = Duration::from_secs(2);

/// What to keep.
#[derive(Debug)]
pub struct Keep {
    /// Where.
    pub place: Place,
    /// The launcher's command line, without the program.
    pub words: Vec<OsString>,
    /// Rows and columns of its terminal, until somebody is attached.
    pub size: (u16, u16),
}

/// Nothing is kept.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// A directory or the socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Another process does.
    #[error("a detached sandbox of the name '{name}' is there already, or ends at this moment")]
    Twice {
        /// The name.
        name: String,
    },
    /// The log.
    #[error("cannot begin the log {}: {source}", place.log().display())]
    Log {
        /// Of which session.
        place: Place,
        /// Why not.
        source: io::Error,
    },
    /// Something of the machine.
    #[error("cannot {what}: {source}")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

fn host<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> KeeperError {
    move |source| KeeperError::Host { what, source: source.into() }
}

/// Keeps a run until it ends. Standard output says [`RUNS`] once the agent runs; if the run ends before that, what it
/// said is there instead. The exit status of the run.
///
/// # Errors
/// If nothing was started.
pub fn keep(keep: Keep) -> Result<u8, KeeperError> {
    sockets::directory(keep.place.sockets(), 0o700)?;
    let _lock = lock(&keep.place)?;
    log::sweep(&keep.place, SystemTime::now());
    let log = Log::begin(&keep.place);
    let log = log.map_err(|source| KeeperError::Log { place: keep.place.clone(), source })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(host("start the event loop"))?.block_on(async {
        let listener = sockets::listen(&keep.place.socket(), 0o600)?;
        let (master, child) = launch(&keep)?;
        let kept = Kept::new(master, child, log)?.run(listener).await;
        // Still under the lock: a next keeper's are not removed.
        let _ = std::fs::remove_file(keep.place.socket());
        let _ = std::fs::remove_file(keep.place.lock());
        kept
    })
}

/// Locks the name for this process. A file that another keeper has removed meanwhile is no lock any more.
fn lock(place: &Place) -> Result<File, KeeperError> {
    let twice = || KeeperError::Twice { name: place.name().to_owned() };
    loop {
        let file = sockets::lock(&place.lock())?.ok_or_else(twice)?;
        let locked = file.metadata().map_err(host("look at the lock of the name"))?;
        if std::fs::metadata(place.lock()).is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino()))
        {
            return Ok(file);
        }
    }
}

/// Starts the launcher at a terminal of its own.
fn launch(keep: &Keep) -> Result<(OwnedFd, Child), KeeperError> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).map_err(host("make a terminal"))?;
    grantpt(&master).and_then(|()| unlockpt(&master)).map_err(host("make a terminal"))?;
    tcsetwinsize(&master, winsize(keep.size)).map_err(host("set the terminal's size"))?;
    let ours = ioctl_tiocgptpeer(&master, flags).map_err(host("open the terminal"))?;
    let copy = || ours.try_clone().map_err(host("copy the terminal"));
    let mut command = Command::new("/proc/self/exe");
    command.arg0("rcc").args(&keep.words).stdin(copy()?).stdout(copy()?).stderr(copy()?);
    let terminal = || {
        setsid()?;
        Ok(ioctl_tiocsctty(rustix::stdio::stdin())?)
    };
    // SAFETY: setsid(2) and ioctl(2) are async-signal-safe, and nothing else is done there.
    unsafe { command.pre_exec(terminal) };
    let child = command.spawn().map_err(host("start rcc again"))?;
    let nonblocking =
        rustix::fs::fcntl_getfl(&master).and_then(|is| rustix::fs::fcntl_setfl(&master, is | OFlags::NONBLOCK));
    nonblocking.map_err(host("prepare the terminal"))?;
    Ok((master, child))
}

fn winsize((rows, columns): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// A descriptor that this process waits for.
fn register(fd: OwnedFd, what: &'static str) -> Result<AsyncFd<OwnedFd>, KeeperError> {
    // SAFETY: an OwnedFd names the same open descriptor until it is dropped.
    unsafe { AsyncFd::register(fd) }.map_err(host(what))
}

/// From one who is attached.
enum Said {
    Frame(Frame),
    Gone,
}

struct Kept {
    master: AsyncFd<OwnedFd>,
    child: Child,
    ended: AsyncFd<OwnedFd>,
    log: Log,
    screen: Screen,
    attached: BTreeMap<u64, mpsc::Sender<Frame>>,
    writers: tokio::task::JoinSet<()>,
    typed: VecDeque<u8>,
    /// Bytes that may still be typed: who types more waits, alone.
    room: Arc<Semaphore>,
    /// The size that the terminal is to have in a moment, so that what is there is drawn anew.
    redraw: Option<((u16, u16), Instant)>,
    /// Nobody has the other side of the terminal open any more.
    silent: bool,
    /// Whoever started this process waits.
    waited_for: bool,
    /// It was told that the agent runs.
    said_so: bool,
}

impl Kept {
    fn new(master: OwnedFd, child: Child, log: Log) -> Result<Self, KeeperError> {
        let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::NONBLOCK).map_err(host("watch the launcher"))?;
        Ok(Self {
            master: register(master, "watch the terminal")?,
            child,
            ended: register(ended, "watch the launcher")?,
            log,
            screen: Screen::default(),
            attached: BTreeMap::new(),
            writers: tokio::task::JoinSet::new(),
            typed: VecDeque::new(),
            room: Arc::new(Semaphore::new(TYPED_MAX)),
            redraw: None,
            silent: false,
            waited_for: true,
            said_so: false,
        })
    }

    async fn run(mut self, listener: tokio::net::UnixListener) -> Result<u8, KeeperError> {
        let (speak, mut said) = mpsc::channel(WAITING_MAX);
        let mut number = 0;
        let mut look = interval(LOOK);
        let mut terminate = signal(SignalKind::terminate()).map_err(host("watch for signals"))?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(host("watch for signals"))?;
        loop {
            let redraw = self.redraw;
            tokio::select! {
                ready = self.master.readable(), if !self.silent => {
                    drop(ready);
                    self.read();
                }
                ready = self.master.writable(), if !self.typed.is_empty() => {
                    drop(ready);
                    self.write();
                }
                Some((who, what)) = said.recv() => self.hear(who, what),
                Ok((stream, _)) = listener.accept() => {
                    number += 1;
                    self.welcome(number, stream, &speak);
                }
                _ = look.tick(), if self.waited_for => self.tell_if_it_runs(),
                () = sleep(redraw.map_or(REDRAW, |(_, at)| at.saturating_duration_since(Instant::now()))),
                    if redraw.is_some() => self.size_now(),
                // The session of the user ends, or somebody ends this process: the agent may end by itself.
                _ = terminate.recv() => drop(pidfd_send_signal(self.ended.get_ref(), Signal::TERM)),
                _ = hang_up.recv() => {}
                ready = self.ended.readable() => {
                    drop(ready);
                    return self.end().await;
                }
            }
        }
    }

    /// Reads the terminal once. False at its end, or where there is nothing now.
    fn read(&mut self) -> bool {
        let mut buffer = [0; READ];
        let read =
            self.master.try_io(tokio::io::Interest::READABLE, |master| Ok(rustix::io::read(master, &mut buffer)?));
        match read {
            Ok(length @ 1..) => {
                self.show(&buffer[..length]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // EIO: nobody has the other side open (pts(4)). It would say so again and again.
            Ok(0) | Err(_) => {
                self.silent = true;
                false
            }
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        self.log.add(bytes);
        self.screen.add(bytes);
        let frame = Frame::Screen(bytes.to_vec());
        let attached = &mut self.attached;
        // One whose frames pile up loses the terminal: nobody else waits for it, and least of all the agent.
        attached.retain(|_, frames| {
            frames.capacity() > 1 && frames.try_send(frame.clone()).is_ok() || {
                let _ = frames.try_send(Frame::Lagged);
                false
            }
        });
    }

    fn write(&mut self) {
        let (bytes, _) = self.typed.as_slices();
        let written = self.master.try_io(tokio::io::Interest::WRITABLE, |master| Ok(rustix::io::write(master, bytes)?));
        match written {
            Ok(length) => self.typed_is_read(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.typed_is_read(self.typed.len()),
        }
    }

    fn typed_is_read(&mut self, length: usize) {
        self.typed.drain(..length);
        self.room.add_permits(length);
    }

    fn hear(&mut self, who: u64, what: Said) {
        match what {
            Said::Frame(Frame::Keys(keys)) => self.typed.extend(keys),
            Said::Frame(Frame::Size(rows, columns)) if rows > 0 && columns > 0 => self.resize(rows, columns),
            Said::Frame(_) => {}
            Said::Gone => drop(self.attached.remove(&who)),
        }
    }

    /// Gives the terminal another size. Where it has that size, a program in it would not draw its screen for who
    /// came: it gets one row less for a moment.
    fn resize(&mut self, rows: u16, columns: u16) {
        let one_less = (rows.saturating_sub(1).max(1), columns);
        let _ = tcsetwinsize(self.master.get_ref(), winsize(one_less));
        self.redraw = Some(((rows, columns), Instant::now() + REDRAW));
    }

    fn size_now(&mut self) {
        if let Some((size, _)) = self.redraw.take() {
            let _ = tcsetwinsize(self.master.get_ref(), winsize(size));
        }
    }

    /// Lets somebody see what was there, and all that comes.
    fn welcome(&mut self, number: u64, stream: UnixStream, speak: &mpsc::Sender<(u64, Said)>) {
        // The directory lets nobody else in; the kernel's word as well.
        if peer::uid(&stream).ok() != Some(rustix::process::geteuid().as_raw()) {
            return;
        }
        // Of those who have left nothing stays.
        while self.writers.try_join_next().is_some() {}
        let (from, to) = stream.into_split();
        let (frames, waiting) = mpsc::channel(WAITING_MAX);
        if self.attached.len() >= ATTACHED_MAX {
            let _ = frames.try_send(Frame::Full);
            self.writers.spawn(tell(to, waiting));
            return;
        }
        for frame in self.screen.frames() {
            let _ = frames.try_send(frame);
        }
        self.attached.insert(number, frames);
        self.writers.spawn(tell(to, waiting));
        tokio::spawn(listen(number, from, speak.clone(), self.room.clone()));
    }

    /// The launcher gives its terminal the raw mode when the agent has one.
    fn tell_if_it_runs(&mut self) {
        let raw = tcgetattr(self.master.get_ref()).is_ok_and(|modes| !modes.local_modes.contains(LocalModes::ICANON));
        match starter() {
            Starter::Gone => {
                // It does not know the name, and wants no sandbox any more.
                self.waited_for = false;
                let _ = pidfd_send_signal(self.ended.get_ref(), Signal::TERM);
            }
            Starter::Knows => {
                self.waited_for = false;
                let _ = replace_with_null();
            }
            Starter::Waits if raw && !std::mem::replace(&mut self.said_so, true) => {
                say(format!("{RUNS}\n").as_bytes());
            }
            Starter::Waits => {}
        }
    }

    async fn end(mut self) -> Result<u8, KeeperError> {
        let status = self.child.wait().map_err(host("hear how the run ended"))?;
        while self.read() {}
        let status = exit_status(status);
        if self.waited_for && !self.said_so {
            say(&self.screen.bytes());
        }
        let _ = replace_with_null();
        // Without that file `rcc logs` sees that nobody keeps the session any more.
        let _ = self.log.end(status);
        for frames in std::mem::take(&mut self.attached).into_values() {
            let _ = frames.try_send(Frame::Ended(status));
        }
        let told = async { while self.writers.join_next().await.is_some() {} };
        let _ = timeout(PARTING, told).await;
        Ok(status)
    }
}

/// As a shell has it.
fn exit_status(status: ExitStatus) -> u8 {
    let signal = || status.signal().map_or(u8::MAX, |signal| u8::try_from(128 + signal).unwrap_or(u8::MAX));
    status.code().map_or_else(signal, |code| u8::try_from(code).unwrap_or(u8::MAX))
}

async fn tell(mut stream: OwnedWriteHalf, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if stream.write_all(&frame.bytes()).await.is_err() {
            return;
        }
    }
}

async fn listen(number: u64, mut stream: OwnedReadHalf, speak: mpsc::Sender<(u64, Said)>, room: Arc<Semaphore>) {
    while let Ok(Some(frame)) = Frame::receive(&mut stream).await {
        if let Frame::Keys(keys) = &frame {
            // Given back when they are read.
            match room.acquire_many(keys.len() as u32).await {
                Ok(permits) => permits.forget(),
                Err(_) => return,
            }
        }
        if speak.send((number, Said::Frame(frame))).await.is_err() {
            return;
        }
    }
    let _ = speak.send((number, Said::Gone)).await;
}
