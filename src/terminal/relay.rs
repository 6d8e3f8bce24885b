//! The launcher's part: one loop between the user's side and the agent's.

use super::Outcome;
use super::control::{ControlError, LauncherEnd, Report, Request};
use super::pump::{Endpoint, Met, Pump, Role};
use super::signals::{self, SignalFd};
use super::stdio::{StdioError, UserStdio, system};
use super::tty::{self, UserTerminal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long output is still read after the agent has ended. Its end follows at once, unless
/// something outside of the sandbox holds a pipe open by mistake.
const DRAIN: Duration = Duration::from_secs(2);
/// How often to see whether a terminal that others use is ours again.
const TICK: Duration = Duration::from_millis(200);
/// How often to see whether the agent has read what comes before the end of its input.
const TICK_END: Duration = Duration::from_millis(50);
/// Rounds in which output is written before the launcher stops itself.
const ROUNDS_BEFORE_STOP: usize = 64;

const FORWARDED: [Signal; 9] = [
    Signal::INT,
    Signal::TERM,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::TSTP,
    Signal::CONT,
    Signal::WINCH,
];
/// Signals that would end the launcher with the terminal in raw mode; they end the run instead.
const FATAL: [Signal; 5] = [Signal::ALARM, Signal::VTALARM, Signal::PROF, Signal::XCPU, Signal::ABORT];

/// Why a run can't go on. The caller ends the sandbox then.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The sandbox could not be built or entered.
    #[error("the sandbox failed: {0}")]
    Failed(String),
    /// PID 1 broke the protocol.
    #[error("the sandbox's PID 1 sent what it must not: {0}")]
    Control(#[from] ControlError),
    /// PID 1 sent a report that has no place where it came.
    #[error("the sandbox's PID 1 sent a report out of order")]
    OutOfOrder,
    /// A system call failed.
    #[error(transparent)]
    Stdio(#[from] StdioError),
}

/// What to do with a watched descriptor that became readable or was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Go on watching it.
    Keep,
    /// Watch it no more.
    Forget,
    /// End the run as [`Outcome::Lost`].
    End,
}

/// The launcher's side of a run. Dropped, it leaves the terminal and the signal mask as they were.
#[derive(Debug)]
pub struct Relay {
    // Dropped in this order: the modes are restored while signals are still held back.
    terminal: Option<UserTerminal>,
    pumps: Vec<Pump>,
    master: Option<OwnedFd>,
    /// `None` when PID 1 has closed its end.
    control: Option<LauncherEnd>,
    started: bool,
    /// The user typed the end of the input, and the agent hasn't been told.
    input_ends: bool,
    /// How it ended, and until when output is read.
    ended: Option<(Outcome, Instant)>,
    signals: SignalFd,
}

/// Who a polled descriptor belongs to; pumps by their position.
#[derive(Clone, Copy)]
enum Token {
    Signals,
    Control,
    Watched(usize),
    Source(usize),
    Sink(usize),
}

impl Relay {
    /// Takes the caller's stdin and stdout over, and holds signals back from now on.
    pub fn new(control: LauncherEnd, user: UserStdio) -> Result<Self, RelayError> {
        let arriving = [&FORWARDED[..], &FATAL[..]].concat();
        let signals = SignalFd::new(&arriving, &[Signal::TTOU, Signal::TTIN]).map_err(system("receive signals"))?;
        let terminal = user.terminal.map(|number| UserTerminal::open(number, user.shared)).transpose()?;
        let pumps = user.relays.into_iter().map(Pump::relay).collect::<Result<_, _>>()?;
        Ok(Self {
            terminal,
            pumps,
            master: None,
            control: Some(control),
            started: false,
            input_ends: false,
            ended: None,
            signals,
        })
    }

    /// Runs until the agent has ended and all its output is written. `watched` are further
    /// descriptors to watch; `on_ready` is told the position of one that is readable or closed.
    pub fn run(
        mut self,
        watched: &[BorrowedFd<'_>],
        on_ready: &mut dyn FnMut(usize) -> Watch,
    ) -> Result<Outcome, RelayError> {
        let mut watching: Vec<bool> = vec![true; watched.len()];
        loop {
            self.follow_modes()?;
            let ready = self.wait(watched, &watching, None)?;
            self.pass_end_of_input()?;
            for &(token, events) in &ready {
                match token {
                    Token::Signals => {
                        if let Some(outcome) = self.take_signals()? {
                            return Ok(outcome);
                        }
                    }
                    Token::Control => self.take_reports()?,
                    Token::Watched(position) => match on_ready(position) {
                        Watch::Keep => {}
                        Watch::Forget => watching[position] = false,
                        Watch::End => return Ok(Outcome::Lost),
                    },
                    Token::Source(_) | Token::Sink(_) => self.pump(token, events)?,
                }
            }
            if let Some(outcome) = self.finished() {
                return Ok(outcome);
            }
        }
    }

    /// What to wait for, except for what the caller watches.
    fn interests(&self, keys: bool) -> Vec<(Token, BorrowedFd<'_>, PollFlags)> {
        let mut interests = vec![(Token::Signals, self.signals.as_fd(), PollFlags::IN)];
        interests.extend(self.control.iter().map(|control| (Token::Control, control.as_fd(), PollFlags::IN)));
        for (position, pump) in self.pumps.iter().enumerate() {
            if let Some(source) = pump.source().filter(|_| pump.role != Role::Keys || keys) {
                interests.push((Token::Source(position), source, PollFlags::IN));
            }
            if let Some(sink) = pump.sink() {
                // Without events poll still tells when the other side is gone.
                let events = if pump.has_pending() { PollFlags::OUT } else { PollFlags::empty() };
                interests.push((Token::Sink(position), sink, events));
            }
        }
        interests
    }

    /// Waits for at most `limit`, and returns what is ready.
    fn wait(
        &self,
        watched: &[BorrowedFd<'_>],
        watching: &[bool],
        limit: Option<Duration>,
    ) -> Result<Vec<(Token, PollFlags)>, RelayError> {
        let keys = !self.input_ends && self.terminal.as_ref().is_none_or(UserTerminal::may_read);
        let mut interests = self.interests(keys);
        let watched = watched.iter().enumerate().filter(|(position, _)| watching[*position]);
        interests.extend(watched.map(|(position, fd)| (Token::Watched(position), *fd, PollFlags::IN)));
        let mut fds: Vec<PollFd<'_>> =
            interests.iter().map(|(_, fd, events)| PollFd::from_borrowed_fd(*fd, *events)).collect();
        match poll(&mut fds, self.timeout(keys, limit).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(system("wait for the agent and the user")(error).into()),
        }
        let ready = interests.iter().zip(&fds).map(|((token, ..), fd)| (*token, fd.revents()));
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn timeout(&self, keys: bool, limit: Option<Duration>) -> Option<Timespec> {
        let shared = self.terminal.as_ref().is_some_and(|terminal| !keys || terminal.is_shared());
        let tick = (shared && self.master.is_some()).then_some(if self.input_ends { TICK_END } else { TICK });
        let reading = self.pumps.iter().any(|pump| pump.source().is_some());
        let drain = self.ended.filter(|_| reading).map(|(_, until)| until.saturating_duration_since(Instant::now()));
        let timeout = [limit, tick, drain].into_iter().flatten().min()?;
        Some(Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() })
    }

    fn follow_modes(&mut self) -> Result<(), RelayError> {
        if let (Some(terminal), Some(master)) = (&mut self.terminal, &self.master)
            && terminal.follow(master.as_fd()).is_err()
        {
            self.hang_up();
        }
        Ok(())
    }

    /// Passes signals on. Some outcome if one ends the run: before the agent runs, and while its
    /// last output waits for a terminal or a pipe that doesn't take it.
    fn take_signals(&mut self) -> Result<Option<Outcome>, RelayError> {
        while let Some(signal) = self.signals.next() {
            let terminates = matches!(signal, libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT);
            match signal {
                libc::SIGWINCH => self.copy_size(),
                libc::SIGCONT => self.resume(),
                _ if FATAL.iter().any(|fatal| fatal.as_raw() == signal) => return Ok(Some(Outcome::Lost)),
                _ if terminates && self.ended.is_some() => return Ok(self.ended.map(|(outcome, _)| outcome)),
                _ if terminates && !self.started => return Ok(Some(Outcome::Killed(signal))),
                _ => self.request(Request::Signal(signal)),
            }
        }
        Ok(None)
    }

    fn request(&mut self, request: Request) {
        if let Some(control) = &self.control
            && let Err(error) = control.send(request)
        {
            tracing::debug!(%error, ?request, "a request is lost");
        }
    }

    fn take_reports(&mut self) -> Result<(), RelayError> {
        while let Some(control) = &self.control {
            match control.receive() {
                Ok(Some(report)) => self.take(report)?,
                Ok(None) => break,
                Err(ControlError::Closed) => {
                    self.control = None;
                    self.end(Outcome::Lost);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, report: Report) -> Result<(), RelayError> {
        match report {
            Report::Failed(why) => Err(RelayError::Failed(why)),
            Report::Pty(master) if !self.started && self.master.is_none() => self.connect(master),
            Report::Started if !self.started => {
                self.started = true;
                Ok(())
            }
            Report::Stopped(_) if self.started && self.ended.is_none() => self.suspend(),
            Report::Exited(code) if self.started && self.ended.is_none() => {
                self.end(Outcome::Exited(code));
                Ok(())
            }
            Report::Killed(signal) if self.started && self.ended.is_none() => {
                self.end(Outcome::Killed(signal));
                Ok(())
            }
            _ => Err(RelayError::OutOfOrder),
        }
    }

    /// Joins the agent's terminal with the user's.
    fn connect(&mut self, master: OwnedFd) -> Result<(), RelayError> {
        let Some(terminal) = &self.terminal else { return Err(RelayError::OutOfOrder) };
        let agent = Endpoint::own(master)?;
        self.pumps.push(Pump::new(Role::Keys, terminal.endpoint()?, agent.try_clone()?));
        self.pumps.push(Pump::new(Role::Screen, agent.try_clone()?, terminal.endpoint()?));
        self.master = Some(agent.into());
        self.copy_size();
        Ok(())
    }

    fn copy_size(&mut self) {
        if let (Some(terminal), Some(master)) = (&self.terminal, &self.master)
            && let Err(error) = terminal.copy_size(master.as_fd())
        {
            tracing::debug!(%error, "the agent's terminal keeps its size");
        }
    }

    /// Reads and writes where poll said so.
    fn pump(&mut self, token: Token, events: PollFlags) -> Result<(), RelayError> {
        let (Token::Source(position) | Token::Sink(position)) = token else { return Ok(()) };
        // Gone if the terminal hung up in the same round.
        let Some(pump) = self.pumps.get_mut(position) else { return Ok(()) };
        let role = pump.role;
        let gone = events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
        let met = match token {
            Token::Source(_) if role == Role::Keys && gone => Met::Unreadable(Errno::IO),
            Token::Source(_) => pump.fill(),
            _ if gone => {
                pump.break_off();
                Met::Broken
            }
            _ => pump.flush(),
        };
        match (role, met) {
            (Role::Keys, Met::End) => self.end_of_keys(),
            // From the background, a terminal can't be read (termios(3), job control).
            (Role::Keys, Met::Unreadable(Errno::IO)) if !gone && !self.in_foreground() => {}
            (Role::Keys, Met::Unreadable(Errno::IO)) | (Role::Screen, Met::Broken) => self.hang_up(),
            _ => {}
        }
        Ok(())
    }

    fn in_foreground(&self) -> bool {
        self.terminal.as_ref().is_none_or(UserTerminal::in_foreground)
    }

    /// Nothing is left to read from the terminal: it is gone, unless it edits lines, where
    /// that means that the user typed the end of the input.
    fn end_of_keys(&mut self) {
        let edits = self.terminal.as_ref().is_some_and(|terminal| terminal.is_shared() && !terminal.is_raw());
        if edits { self.input_ends = true } else { self.hang_up() }
    }

    /// Tells the agent of the end of its input, once it has read what comes before: only alone does
    /// the character for it count on a terminal that leaves the editing to another.
    fn pass_end_of_input(&mut self) -> Result<(), RelayError> {
        let Some(master) = self.master.as_ref().filter(|_| self.input_ends) else { return Ok(()) };
        let keys = self.pumps.iter_mut().find(|pump| pump.role == Role::Keys && !pump.has_pending());
        if let Some(keys) = keys.filter(|_| tty::has_read_all(master.as_fd())) {
            keys.push(&[tty::end_of_file(master.as_fd())?]);
            keys.flush();
            self.input_ends = false;
        }
        Ok(())
    }

    /// The user's terminal is gone, and so the agent's is.
    fn hang_up(&mut self) {
        if self.terminal.is_none() {
            return;
        }
        for pump in self.pumps.iter_mut().filter(|pump| matches!(pump.role, Role::Keys | Role::Screen)) {
            pump.break_off();
        }
        (self.terminal, self.master) = (None, None);
        self.request(Request::Signal(libc::SIGHUP));
        self.request(Request::Continue);
    }

    /// The agent was stopped, so this process stops, and with it the pipeline that it is in.
    fn suspend(&mut self) -> Result<(), RelayError> {
        for _ in 0..ROUNDS_BEFORE_STOP {
            let ready = self.wait(&[], &[], Some(Duration::ZERO))?;
            let outgoing = |position: usize| matches!(self.pumps[position].role, Role::Screen | Role::Output);
            let pumps = ready.into_iter().filter(
                |(token, _)| matches!(token, Token::Source(position) | Token::Sink(position) if outgoing(*position)),
            );
            let pumps: Vec<_> = pumps.collect();
            if pumps.is_empty() {
                break;
            }
            for (token, events) in pumps {
                self.pump(token, events)?;
            }
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.restore()?;
        }
        signals::stop(self.terminal.is_some()).map_err(system("stop with the agent"))?;
        self.resume();
        Ok(())
    }

    /// This process goes on after a stop, in the foreground or in the background.
    fn resume(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.recheck();
        }
        self.copy_size();
        self.request(Request::Continue);
    }

    fn end(&mut self, outcome: Outcome) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some((outcome, Instant::now() + DRAIN));
        for pump in self.pumps.iter_mut().filter(|pump| matches!(pump.role, Role::Keys | Role::Stdin)) {
            pump.give_back();
            pump.break_off();
        }
    }

    /// The outcome, once all output is written.
    fn finished(&mut self) -> Option<Outcome> {
        let (outcome, until) = self.ended.unzip();
        if until.is_some_and(|until| Instant::now() >= until) {
            self.pumps.iter_mut().filter(|pump| pump.source().is_some()).for_each(Pump::end_source);
        }
        self.pumps.retain(|pump| !pump.done());
        outcome.filter(|_| self.pumps.is_empty())
    }
}
