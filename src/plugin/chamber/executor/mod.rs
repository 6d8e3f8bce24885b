//! What runs in a chamber in the place of an agent: starts tools as the broker asks, and tells how they ended.
//!
//! One thread and one loop. The broker is trusted and writes whole frames at once, so a frame is read to its end
//! when its first byte is there. Tools run beside this process under the same uid; it is not dumpable, so that
//! they reach neither its memory, where the credentials are, nor its descriptors (ptrace(2), proc(5)).

mod call;
mod child;
mod directory;
mod session;
mod socket;
#[cfg(test)]
mod tests;

use super::frame::{Reply, Request, Start};
use super::spec::CREDENTIALS;
use crate::plugin::credential::Secret;
use crate::terminal::signals::SignalFd;
use call::Call;
use child::{CANNOT_EXECUTE, Refusal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Signal};
use socket::{Frame, Socket};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Calls at a time.
const CALLS_MAX: usize = 256;
/// Credentials of one tool.
const SECRETS_MAX: usize = 64;
/// The longest name of a credential's file, in bytes.
const FILE_NAME_MAX: usize = 64;

/// Where calls may be.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The project's root, where it is visible.
    pub project: Option<PathBuf>,
    /// The home.
    pub home: PathBuf,
}

/// Serves the socket that is standard input until the broker closes it; the exit status. The calling process is
/// forked for this, and ends by `_exit` afterwards.
pub(super) fn run(place: &Place) -> u8 {
    let served = Executor::take_over(place).and_then(|mut executor| {
        let served = executor.serve();
        executor.calls.values().for_each(Call::kill);
        served
    });
    u8::from(served.is_err())
}

struct Executor<'a> {
    place: &'a Place,
    socket: Socket,
    signals: SignalFd,
    calls: BTreeMap<u64, Call>,
    secrets: BTreeMap<String, Secret>,
}

impl<'a> Executor<'a> {
    fn take_over(place: &'a Place) -> Result<Self, Errno> {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        let socket = Socket::take_stdin()?;
        let signals = SignalFd::new(&[Signal::CHILD], &[])?;
        Ok(Self { place, socket, signals, calls: BTreeMap::new(), secrets: BTreeMap::new() })
    }

    /// Until the end of the socket; an error is the broker's, or that it is gone.
    fn serve(&mut self) -> Result<(), Errno> {
        self.socket.tell(&Reply::Ready, None)?;
        loop {
            let (asked, starting) = self.wait()?;
            for number in starting {
                self.hear(number)?;
            }
            // Emptied before the statuses are taken: a child that ends afterwards fills it again.
            while self.signals.next().is_some() {}
            self.reap()?;
            if asked {
                let Some(frame) = self.socket.next()? else { return Ok(()) };
                self.act(frame)?;
            }
        }
    }

    /// Whether the broker asks something, and the calls that have something to say of their start.
    fn wait(&self) -> Result<(bool, Vec<u64>), Errno> {
        let starting = self.calls.iter().filter_map(|(number, call)| Some((*number, call.starting()?)));
        let (numbers, pipes): (Vec<u64>, Vec<&OwnedFd>) = starting.unzip();
        let mut fds = vec![PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(pipes.into_iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => (),
            Err(error) => return Err(error),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let starting = numbers.into_iter().zip(&ready[2..]).filter(|(_, ready)| **ready).map(|(number, _)| number);
        Ok((ready[0], starting.collect()))
    }

    fn act(&mut self, frame: Frame) -> Result<(), Errno> {
        let Frame { request, rest, streams } = frame;
        match request {
            Request::Secret { number, name } => {
                let kept = self.keep(name, rest);
                self.answer(number, kept)
            }
            Request::SecretFile { number, name, file } => {
                let written = self.write(&name, &file);
                self.answer(number, written)
            }
            Request::Terminal { number } => match terminal() {
                Ok(master) => self.socket.tell(&Reply::Terminal { number }, Some(master.as_fd())),
                Err(error) => self.answer(number, Err(refusal(format!("cannot make a terminal: {error}")))),
            },
            Request::Start(start) => self.start(start, streams),
            Request::Signal { number, signal } => {
                self.calls.get(&number).inspect(|call| call.signal(signal));
                Ok(())
            }
            Request::Kill { number } => {
                self.calls.get(&number).inspect(|call| call.kill());
                Ok(())
            }
        }
    }

    fn answer(&mut self, number: u64, result: Result<(), Refusal>) -> Result<(), Errno> {
        let reply = match result {
            Ok(()) => Reply::Done { number },
            Err(Refusal { exit_code, error }) => Reply::Failed { number, exit_code, error },
        };
        self.socket.tell(&reply, None)
    }

    fn keep(&mut self, name: String, mut bytes: Vec<u8>) -> Result<(), Refusal> {
        let secret = Secret::take(&mut bytes)
            .map_err(|error| refusal(format!("cannot keep the credential '{name}': {error}")))?;
        if self.secrets.len() >= SECRETS_MAX && !self.secrets.contains_key(&name) {
            return Err(refusal(format!("a tool has at most {SECRETS_MAX} credentials")));
        }
        self.secrets.insert(name, secret);
        Ok(())
    }

    /// Whoever reads the file meanwhile reads the old one or the new one.
    fn write(&self, name: &str, file: &str) -> Result<(), Refusal> {
        let secret = self.secrets.get(name).ok_or_else(|| unknown(name))?;
        if file.is_empty() || file.len() > FILE_NAME_MAX || file.starts_with('.') || file.contains(['/', '\0']) {
            return Err(refusal(format!("a credential cannot be in a file named {file:?}")));
        }
        let failed =
            |error: std::io::Error| refusal(format!("cannot write a credential to {CREDENTIALS}/{file}: {error}"));
        let (path, draft) = (Path::new(CREDENTIALS).join(file), Path::new(CREDENTIALS).join(format!(".{file}")));
        let _ = std::fs::remove_file(&draft);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&draft, flags, Mode::RUSR).map_err(|error| failed(error.into()))?;
        File::from(opened).write_all(secret.expose()).and_then(|()| std::fs::rename(draft, path)).map_err(failed)
    }

    fn start(&mut self, start: Start, streams: Vec<OwnedFd>) -> Result<(), Errno> {
        let number = start.number;
        if self.calls.len() >= CALLS_MAX {
            return self.answer(number, Err(refusal(format!("{CALLS_MAX} calls of this tool run already"))));
        }
        match child::start(&start, streams, &self.secrets, self.place) {
            Ok(call) => {
                self.calls.insert(number, call);
                Ok(())
            }
            Err(refusal) => self.answer(number, Err(refusal)),
        }
    }

    /// Tells whether a program was executed.
    fn hear(&mut self, number: u64) -> Result<(), Errno> {
        let Some(result) = self.calls.get_mut(&number).and_then(Call::started) else { return Ok(()) };
        self.answer(number, result)
    }

    /// Tells of every call that was stopped, or has ended.
    fn reap(&mut self) -> Result<(), Errno> {
        for (number, _) in self.calls.iter().filter(|(_, call)| call.was_stopped()) {
            self.socket.tell(&Reply::Stopped { number: *number }, None)?;
        }
        let ended: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.has_ended()).map(|(number, _)| *number).collect();
        for number in ended {
            // It may have ended before it was heard.
            self.hear(number)?;
            let Some(call) = self.calls.remove(&number) else { continue };
            let refused = call.refused;
            let (code, signal) = call.end()?;
            if !refused {
                self.socket.tell(&Reply::Exited { number, code, signal }, None)?;
            }
        }
        Ok(())
    }
}

/// The master of a terminal in the sandbox's own `/dev/pts`: one of the host's could not be opened by its name.
fn terminal() -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    Ok(master)
}

fn refusal(error: String) -> Refusal {
    Refusal { exit_code: CANNOT_EXECUTE, error }
}

fn unknown(name: &str) -> Refusal {
    refusal(format!("there is no credential '{name}' here"))
}
