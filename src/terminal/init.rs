//! The part of the sandbox's PID 1: the agent's terminal, its signals, its end.
//!
//! PID 1 leads the session, and the agent's process group is its child's: were the agent itself the
//! session's leader, its group would be orphaned, and the kernel never stops an orphaned group, so
//! Ctrl-Z would do nothing.

use super::Outcome;
use super::control::{ControlError, InitEnd, Report, Request};
use super::signals::{self, SignalFd};
use super::stdio::{AgentStdio, StdioError, replace_with_null, system};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long the agent may go on after the launcher has gone.
const GRACE: Duration = Duration::from_secs(1);

/// Why PID 1 can't do its part.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The launcher can't be told.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A system call failed.
    #[error(transparent)]
    Stdio(#[from] StdioError),
}

/// Something that must end the sandbox while the agent runs.
pub struct Alarm<'a> {
    /// poll(2) finds `POLLPRI` on it when there may be a reason.
    pub bell: BorrowedFd<'a>,
    /// The reason, if there is one.
    pub reason: &'a mut dyn FnMut() -> Option<String>,
}

/// PID 1, ready to fork the agent.
#[derive(Debug)]
pub struct Init {
    control: InitEnd,
    pub(super) stdio: AgentStdio,
    /// The agent's side of its terminal.
    pub(super) terminal: Option<OwnedFd>,
    signals: SignalFd,
}

impl Init {
    /// Makes the session and the terminal, and sends the terminal's master to the launcher. The
    /// sandbox's `/dev` must be in place, and the calling process must not lead a process group
    /// yet, or lead its session already.
    ///
    /// The process is no longer dumpable afterwards, so that the agent can't reach its descriptors
    /// through `/proc`; its `/proc/self` belongs to root then. The same holds for its
    /// child until it executes the agent.
    ///
    /// A failure is reported to the launcher before it is returned.
    pub fn prepare(control: InitEnd, stdio: AgentStdio) -> Result<Self, InitError> {
        let signals = match enter_session() {
            Ok(signals) => signals,
            Err(error) => {
                let _ = control.send(&Report::Failed(error.to_string()));
                return Err(error.into());
            }
        };
        let mut init = Self { control, stdio, terminal: None, signals };
        init.give_terminal().inspect_err(|error| init.fail(error))?;
        Ok(init)
    }

    fn give_terminal(&mut self) -> Result<(), InitError> {
        if self.stdio.terminal.is_some() {
            let (master, slave) = self.open_terminal()?;
            self.control.send(&Report::Pty(master))?;
            self.terminal = Some(slave);
        }
        Ok(())
    }

    fn open_terminal(&self) -> Result<(OwnedFd, OwnedFd), StdioError> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master =
            rustix::fs::open("/dev/ptmx", flags, Mode::empty()).map_err(system("open the sandbox's /dev/ptmx"))?;
        rustix::pty::unlockpt(&master).map_err(system("unlock the agent's terminal"))?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(system("open the agent's terminal"))?;
        rustix::process::ioctl_tiocsctty(&slave).map_err(system("make the terminal the agent's own"))?;
        if let Some(setup) = &self.stdio.terminal {
            rustix::termios::tcsetattr(&slave, OptionalActions::Now, &setup.modes)
                .map_err(system("set the modes of the agent's terminal"))?;
            rustix::termios::tcsetwinsize(&slave, setup.size)
                .map_err(system("set the size of the agent's terminal"))?;
        }
        Ok((master, slave))
    }

    /// Tells the launcher why the sandbox could not be entered. For the child as well, if it can't
    /// execute the agent's command.
    pub fn fail(&self, why: &dyn std::fmt::Display) {
        // If the launcher can't be told, it sees this process end without a report.
        let _ = self.control.send(&Report::Failed(why.to_string()));
    }

    /// Watches the agent, whose first process is `child`, until that has ended; reports it, and
    /// returns how. Reaps what is left to PID 1 meanwhile. The caller exits then, and the kernel
    /// ends the rest. [`Outcome::Lost`] if the launcher went away, or if the alarm was raised.
    pub fn supervise(mut self, child: Pid, mut alarm: Option<Alarm<'_>>) -> Result<Outcome, InitError> {
        // The agent holds its ends now. PID 1's copies would keep its pipes open.
        self.stdio.slots = [const { super::stdio::Slot::Null }; 3];
        self.control.send(&Report::Started)?;
        let mut deadline = None;
        loop {
            // Emptied before the statuses are taken: a child that ends afterwards fills it again.
            while self.signals.next().is_some() {}
            if let Some(outcome) = self.reap(child) {
                let report = match outcome {
                    Outcome::Exited(code) => Some(Report::Exited(code)),
                    Outcome::Killed(signal) => Some(Report::Killed(signal)),
                    Outcome::Lost => None,
                };
                report.map_or(Ok(()), |report| self.control.send(&report))?;
                return Ok(outcome);
            }
            let left = deadline.map(|deadline: Instant| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Outcome::Lost);
            }
            let ringing = self.wait(deadline.is_none(), left, alarm.as_ref().map(|alarm| alarm.bell))?;
            if let Some(why) = alarm.as_mut().filter(|_| ringing).and_then(|alarm| (alarm.reason)()) {
                self.fail(&why);
                return Ok(Outcome::Lost);
            }
            if deadline.is_none() && self.obey(child).is_err() {
                // The launcher is gone, or talks nonsense: the terminal hangs up.
                self.signal(child, libc::SIGHUP);
                self.signal(child, libc::SIGCONT);
                deadline = Some(Instant::now() + GRACE);
            }
        }
    }

    /// Whether the alarm's bell rings.
    fn wait(&self, control: bool, left: Option<Duration>, bell: Option<BorrowedFd<'_>>) -> Result<bool, StdioError> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(bell.map(|bell| PollFd::from_borrowed_fd(bell, PollFlags::PRI)));
        if control {
            fds.push(PollFd::new(&self.control, PollFlags::IN));
        }
        let timeout = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Ok(fds.iter().any(|fd| fd.revents().contains(PollFlags::PRI))),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(system("wait for the agent")(error)),
        }
    }

    /// Takes the status of every child that has one. The agent's own end ends it all.
    fn reap(&self, child: Pid) -> Option<Outcome> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        while let Ok(Some((pid, status))) = rustix::process::wait(options) {
            if pid != child {
                continue;
            }
            if let Some(outcome) = ended(status) {
                return Some(outcome);
            }
            if let Some(signal) = status.stopping_signal() {
                // Lost if the launcher doesn't read: it is stopped itself then.
                let _ = self.control.send(&Report::Stopped(signal));
            }
        }
        None
    }

    fn obey(&self, child: Pid) -> Result<(), ControlError> {
        while let Some(request) = self.control.receive()? {
            match request {
                Request::Signal(signal) => self.signal(child, signal),
                Request::Continue => self.signal(child, libc::SIGCONT),
            }
        }
        Ok(())
    }

    /// Signals of the keyboard go to the terminal's foreground, as from a keyboard; others to the
    /// agent; what wakes goes to both.
    fn signal(&self, child: Pid, signal: i32) {
        let own = rustix::process::getpid();
        let foreground = self.terminal.as_ref().and_then(|terminal| rustix::termios::tcgetpgrp(terminal.as_fd()).ok());
        // The agent chooses its foreground group. 1 would mean everyone (kill(2)).
        let foreground = foreground.filter(|group| *group != own && group.as_raw_nonzero().get() > 1);
        let keyboard = matches!(signal, libc::SIGINT | libc::SIGQUIT | libc::SIGTSTP);
        if let Some(group) = foreground.filter(|group| *group != child && (keyboard || signal == libc::SIGCONT)) {
            let sent = signals::send(group, true, signal);
            if keyboard && sent.is_ok() {
                return;
            }
        }
        // Its process group may not be there yet, or no longer.
        if signals::send(child, true, signal).is_err() {
            let _ = signals::send(child, false, signal);
        }
    }
}

/// Hides the process, and makes it the leader of a session that has no terminal yet.
fn enter_session() -> Result<SignalFd, StdioError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(system("hide PID 1"))?;
    replace_with_null()?;
    match rustix::process::setsid() {
        // It leads one already. (To ask first would not do: rustix takes the session 0 of a
        // process whose session is outside its pid namespace for an impossible value.)
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(system("make a session for the agent")(error)),
    }
    let blocked = [Signal::TTOU, Signal::TTIN, Signal::TSTP, Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];
    SignalFd::new(&[Signal::CHILD], &blocked).map_err(system("watch for the end of the agent"))
}

fn ended(status: WaitStatus) -> Option<Outcome> {
    let exited = status.exit_status().map(|code| Outcome::Exited(u8::try_from(code & 0xff).unwrap_or(u8::MAX)));
    exited.or_else(|| status.terminating_signal().map(Outcome::Killed))
}
