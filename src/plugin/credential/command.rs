//! A credential that a program prints.

use super::pages::Wiped;
use super::secret::{SECRET_MAX, Secret, SecretError};
use super::source::{CredentialError, DIRECTORY};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Runs it and keeps what it prints, without the line feed at the end. What it says on stderr goes where the
/// broker's goes. It gets the broker's environment, in which no other credential is left.
pub fn run(
    program: &str,
    arguments: &[String],
    limit: Duration,
) -> Result<Result<Secret, SecretError>, CredentialError> {
    if !Path::new(program).is_absolute() {
        return Err(CredentialError::NotAProgram(program.to_owned()));
    }
    let fail =
        |attempt| move |source: io::Error| CredentialError::Program { attempt, program: program.to_owned(), source };
    let deadline = Instant::now() + limit;
    let mut command = Command::new(program);
    command.args(arguments).env_remove(DIRECTORY).current_dir("/");
    // A group of its own, so that what it started ends with it.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).process_group(0);
    let mut running = Running { child: command.spawn().map_err(fail("run"))?, reaped: false };
    let Some(stdout) = running.child.stdout.take() else {
        return Err(fail("read from")(io::ErrorKind::NotFound.into()));
    };
    let mut printed = Wiped::with_room(SECRET_MAX + 2);
    match running.read(&stdout, &mut printed, deadline).map_err(fail("read from"))? {
        Outcome::Ended => {}
        Outcome::Late => return Err(CredentialError::Slow { program: program.to_owned(), limit }),
        Outcome::TooMuch => return Ok(Err(SecretError::TooLong)),
    }
    let status = running.reap().map_err(fail("wait for"))?;
    if !status.success() {
        return Err(CredentialError::Exit { program: program.to_owned(), status });
    }
    printed.without_line_feed();
    Ok(Secret::take(printed.inner()))
}

/// How the reading ended.
enum Outcome {
    Ended,
    Late,
    TooMuch,
}

/// Its process group ends with this value, unless it ended by itself.
struct Running {
    child: Child,
    reaped: bool,
}

impl Running {
    fn pid(&self) -> io::Result<Pid> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.reaped = true;
        Ok(status)
    }

    /// Reads until it has ended, or has printed more than a credential. What it leaves in the background may keep
    /// its stdout open for good, and is not waited for.
    fn read(&self, stdout: &ChildStdout, printed: &mut Wiped, deadline: Instant) -> io::Result<Outcome> {
        let pidfd = pidfd_open(self.pid()?, PidfdFlags::empty())?;
        let mut open = true;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            let mut polled = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(stdout, PollFlags::IN)];
            let watched = if open { &mut polled[..] } else { &mut polled[..1] };
            match poll(watched, Some(&timeout)) {
                Ok(0) => return Ok(Outcome::Late),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            let [ended, readable] = polled.map(|polled| !polled.revents().is_empty());
            if open && readable {
                match printed.read(|room| Ok(rustix::io::read(stdout, room)?))? {
                    0 if printed.bytes().len() > SECRET_MAX + 1 => return Ok(Outcome::TooMuch),
                    0 => open = false,
                    _ => {}
                }
            } else if ended {
                return Ok(Outcome::Ended);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The number is nobody else's as long as it is not reaped.
        if !self.reaped {
            if let Ok(pid) = self.pid() {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn shell(script: &str, limit: Duration) -> Result<Result<Secret, SecretError>, CredentialError> {
        run("/bin/sh", &["-c".to_owned(), script.to_owned()], limit)
    }

    #[test]
    fn what_it_prints_is_the_credential_without_the_line_feed() {
        let secret = shell("printf 'canary-'; sleep 0.05; echo 1", MINUTE).unwrap().unwrap();
        assert_eq!(secret.expose(), b"canary-1");
        let long = shell(&format!("head -c {SECRET_MAX} /dev/zero; echo"), MINUTE).unwrap().unwrap();
        assert_eq!(long.expose(), vec![0; SECRET_MAX]);
    }

    #[test]
    fn it_has_no_input_and_no_shell_of_ours() {
        let input = shell("cat; echo end", MINUTE).unwrap().unwrap();
        assert_eq!(input.expose(), b"end");
        let words = run("/bin/echo", &["$HOME; `id`".to_owned()], MINUTE).unwrap().unwrap();
        assert_eq!(words.expose(), b"$HOME; `id`");
    }

    #[test]
    fn what_it_leaves_in_the_background_is_not_waited_for() {
        let secret = shell("sleep 20 & echo canary-1", MINUTE).unwrap().unwrap();
        assert_eq!(secret.expose(), b"canary-1");
        let before = Instant::now();
        shell("exec >&-; sleep 0.2", MINUTE).unwrap().unwrap_err();
        assert!(before.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let trace = directory.path().join("trace");
        let script = format!("(sleep 2; echo late > {}) & wait", trace.display());
        let before = Instant::now();
        let error = shell(&script, Duration::from_millis(300)).unwrap_err();
        assert!(matches!(error, CredentialError::Slow { .. }), "{error}");
        assert!(before.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(2200));
        assert!(!trace.exists());
    }

    #[test]
    fn one_that_prints_without_end_is_ended() {
        assert!(matches!(shell("cat /dev/zero", MINUTE).unwrap(), Err(SecretError::TooLong)));
    }

    #[test]
    fn one_that_fails_printed_no_credential_and_the_error_has_nothing_of_it() {
        let error = shell("echo canary-1; exit 3", MINUTE).unwrap_err();
        assert!(matches!(&error, CredentialError::Exit { status, .. } if status.code() == Some(3)));
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert!(matches!(run("pass", &[], MINUTE), Err(CredentialError::NotAProgram(_))));
        let missing = run("/nowhere/pass", &[], MINUTE).unwrap_err().to_string();
        assert!(missing.contains("cannot run /nowhere/pass"), "{missing}");
    }
}
