//! A daemon of rcc's that goes on without a terminal, and the log of what it says.

use crate::shown;
use miette::Diagnostic;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of the log above which the next start begins it anew.
const LOG_MAX: u64 = 1 << 20;
/// Bytes of the log that an error quotes.
const QUOTED: u64 = 4096;

/// Why it does not run.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum NotStarted {
    /// Its log.
    #[error("cannot {action} {}: {source}", shown::terminal(path))]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its process.
    #[error("cannot start rcc again: {0}")]
    Spawn(#[source] io::Error),
    /// It has ended.
    #[error("{what} did not start ({status}):\n{said}")]
    #[diagnostic(help("all that it said is in {}", shown::terminal(log)))]
    Ended {
        /// Which daemon.
        what: &'static str,
        /// How.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
        /// Where the rest is.
        log: PathBuf,
    },
    /// It takes too long.
    #[error("{what} does not listen after {} seconds", patience.as_secs())]
    #[diagnostic(help("process {pid} goes on; what it says is in {}", shown::terminal(log)))]
    Slow {
        /// Which daemon.
        what: &'static str,
        /// How long it had.
        patience: Duration,
        /// Its process.
        pid: u32,
        /// What it says.
        log: PathBuf,
    },
}

/// A daemon that was started.
#[derive(Debug)]
pub struct Detached {
    what: &'static str,
    child: Child,
    log: PathBuf,
    /// Where in the log it begins.
    from: u64,
}

impl Detached {
    /// Starts it in a session of its own; what it says goes to the log.
    ///
    /// # Errors
    /// If there is no log, or no process.
    pub fn launch(what: &'static str, program: &Path, words: &[&str], log: &Path) -> Result<Self, NotStarted> {
        let fail = |action, path: &Path| {
            let path = path.to_owned();
            move |source| NotStarted::File { action, path, source }
        };
        if let Some(dir) = log.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail("create", dir))?;
        }
        let open = File::options().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(log);
        let mut file = open.map_err(fail("open", log))?;
        let mut from = file.seek(SeekFrom::End(0)).map_err(fail("read", log))?;
        if from > LOG_MAX {
            file.set_len(0).map_err(fail("empty", log))?;
            from = 0;
        }
        let mut command = Command::new(program);
        command.args(words).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        // SAFETY: setsid(2) is async-signal-safe, and nothing else is done there.
        unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
        let child = command.spawn().map_err(NotStarted::Spawn)?;
        Ok(Self { what, child, log: log.to_owned(), from })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is ready or ends.
    ///
    /// # Errors
    /// If it has ended, or takes longer than this.
    pub fn await_it(mut self, patience: Duration, ready: &dyn Fn() -> bool) -> Result<(), NotStarted> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().map_err(NotStarted::Spawn)? {
                let said = said(&self.log, self.from);
                return Err(NotStarted::Ended { what: self.what, status, said, log: self.log });
            }
            if ready() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(NotStarted::Slow { what: self.what, patience, pid: self.child.id(), log: self.log });
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The end of what was logged since.
fn said(log: &Path, from: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(QUOTED))))?;
        let mut bytes = Vec::new();
        file.take(QUOTED).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(shown::text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn shell(script: &str, log: &Path) -> Detached {
        Detached::launch("the daemon", Path::new("/bin/sh"), &["-c", script], log).unwrap()
    }

    #[test]
    fn what_does_not_start_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("state/daemon.log");
        shell("echo earlier >&2; exit 1", &log).await_it(PATIENCE, &|| false).unwrap_err();
        let second = shell("printf 'the disk\\033 is full\\n' >&2; exit 3", &log);
        match second.await_it(PATIENCE, &|| false) {
            Err(NotStarted::Ended { status, said, .. }) => {
                assert_eq!((status.code(), said.as_str()), (Some(3), "the disk\\u{1b} is full"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_leads_a_session_of_its_own_and_is_ready_when_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (log, ready) = (dir.path().join("daemon.log"), dir.path().join("ready"));
        let daemon = shell(&format!("touch '{}'; sleep 5", ready.display()), &log);
        let pid = rustix::process::Pid::from_child(&daemon.child);
        daemon.await_it(PATIENCE, &|| ready.exists()).unwrap();
        assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
        rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn a_long_log_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("daemon.log");
        std::fs::write(&log, vec![b'a'; LOG_MAX as usize + 1]).unwrap();
        let daemon = shell("echo new >&2; exit 1", &log);
        let from = daemon.from;
        daemon.await_it(PATIENCE, &|| false).unwrap_err();
        assert_eq!((from, said(&log, from).as_str()), (0, "new"));
    }
}
