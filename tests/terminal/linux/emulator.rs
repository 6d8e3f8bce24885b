//! A terminal emulator for one session: what a user sees, types and does to the window.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No step of a test takes longer, on a machine that does other things as well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A command for the launcher, as arguments.
pub fn launcher(command: &[&str]) -> Command {
    let mut launcher = Command::new(std::env::current_exe().unwrap());
    launcher.arg(super::launcher::ROLE).args(command).env("LC_ALL", "C");
    launcher
}

/// The same for a shell's command line.
pub fn launcher_line(script: &str) -> String {
    let program = std::env::current_exe().unwrap();
    format!("{} {} sh -c '{script}'", program.display(), super::launcher::ROLE)
}

pub struct Emulator {
    master: Option<OwnedFd>,
    pub child: Child,
    /// Everything shown and not yet expected.
    shown: Vec<u8>,
}

impl Emulator {
    /// Starts a command as the leader of a session on a new terminal, which replaces those of its
    /// streams that are still inherited.
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&master).unwrap();
        let slave = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(slave, flags, Mode::empty()).unwrap();
        tcsetwinsize(&master, size(rows, columns)).unwrap();
        // SAFETY: setsid and ioctl are async-signal-safe; nothing is allocated.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                // stderr is on the terminal in every test that uses one.
                rustix::process::ioctl_tiocsctty(rustix::stdio::stderr())?;
                Ok(())
            })
        };
        command.stderr(Stdio::from(slave.try_clone().unwrap()));
        let child = command.spawn().unwrap();
        Self { master: Some(master), child, shown: Vec::new() }
    }

    /// All three streams on the terminal.
    pub fn full(command: Command) -> Self {
        Self::with(command, true, true)
    }

    pub fn with(mut command: Command, stdin: bool, stdout: bool) -> Self {
        // Opened by name in the child, which has no other way to the slave before it is spawned.
        let redirect = match (stdin, stdout) {
            (true, true) => "exec \"$@\" <&2 >&2",
            (true, false) => "exec \"$@\" <&2",
            (false, true) => "exec \"$@\" >&2",
            (false, false) => "exec \"$@\"",
        };
        let mut shell = Command::new("sh");
        shell.args(["-c", redirect, "sh"]).arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command = shell;
        if !stdin {
            command.stdin(Stdio::piped());
        }
        if !stdout {
            command.stdout(Stdio::piped());
        }
        Self::start(command, 24, 80)
    }

    pub fn shell() -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-i").env("PS1", "prompt> ").env("LC_ALL", "C").env_remove("ENV");
        let mut shell = Self::full(shell);
        shell.expect("prompt> ");
        shell
    }

    pub fn type_in(&self, keys: &str) {
        let master = self.master.as_ref().unwrap();
        assert_eq!(rustix::io::write(master, keys.as_bytes()).unwrap(), keys.len());
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(self.master.as_ref().unwrap(), size(rows, columns)).unwrap();
    }

    pub fn hang_up(&mut self) {
        self.master = None;
    }

    /// The modes of the terminal.
    pub fn modes(&self) -> Termios {
        tcgetattr(self.master.as_ref().unwrap()).unwrap()
    }

    pub fn is_raw(&self) -> bool {
        !self.modes().local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits for a condition that has no event.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the text is shown, and forgets what was shown up to its end.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.shown.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(start) = found {
                let before = self.shown.drain(..start + text.len()).collect::<Vec<u8>>();
                return String::from_utf8_lossy(&before[..start]).into_owned();
            }
            let more = self.read(deadline);
            assert!(more, "no {text:?} in {:?}", String::from_utf8_lossy(&self.shown));
        }
    }

    /// Everything that is shown until the session's end, and its exit status.
    #[track_caller]
    pub fn finish(mut self) -> (Vec<u8>, i32) {
        let deadline = Instant::now() + PATIENCE;
        while self.read(deadline) {}
        let status = self.end();
        (std::mem::take(&mut self.shown), status)
    }

    /// Waits for the child: its exit status, or 128 and its signal.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        status(&mut self.child)
    }

    /// Reads once. False at the end of the session or of patience.
    fn read(&mut self, deadline: Instant) -> bool {
        let Some(master) = &self.master else { return false };
        if !readable(master, deadline) {
            return false;
        }
        let mut buffer = [0; 65_536];
        let length = rustix::io::read(master, &mut buffer).unwrap_or(0);
        self.shown.extend_from_slice(&buffer[..length]);
        length > 0
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Of a failed test something may still run; its session's end is its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn readable(fd: impl AsFd, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)).unwrap() > 0
}

/// Waits for a child, not longer than patience lasts.
#[track_caller]
pub fn status(child: &mut Child) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            panic!("it doesn't end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: columns * 8, ws_ypixel: rows * 16 }
}
