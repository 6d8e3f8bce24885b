//! The chamber process, as the broker holds it.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// The command by which this program becomes a chamber process; its standard input is the socket.
pub(super) const COMMAND: &str = "plugin-chamber";

/// How long a chamber whose socket was closed may take to end by itself.
const PARTING: Duration = Duration::from_secs(2);
/// What is kept of what a chamber process says, in bytes.
const SAID_MAX: usize = 16 << 10;

/// Variables of the broker's that say where the user's files are. The others are nobody's business: one may be
/// a credential.
const PASSED: [&str; 5] = ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "RCC_LOG"];

/// A chamber process. Dropped, it is killed, and the sandbox dies with it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Readable once it has ended.
    pidfd: AsyncFd<OwnedFd>,
}

impl Process {
    /// Starts this program once more. The caller's thread is what its life is tied to.
    pub(super) fn start(socket: UnixStream) -> io::Result<(Self, ChildStderr)> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("rcc").arg(COMMAND).arg(std::process::id().to_string());
        command.env_clear().envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::Other)?;
        let pidfd =
            Pid::from_raw(child.id() as i32).ok_or(Errno::SRCH).and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK));
        // SAFETY: the descriptor is owned by what is registered, and closed after it was deregistered.
        let pidfd = pidfd.map_err(io::Error::from).and_then(|pidfd| Ok(unsafe { AsyncFd::register(pidfd) }?));
        match pidfd {
            Ok(pidfd) => Ok((Self { child, pidfd }, stderr)),
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                Err(error)
            }
        }
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&self) {
        let _ = self.pidfd.readable().await;
    }

    /// Gives it a moment to end by itself, in which it takes back what it put into the project.
    pub(super) async fn part(self) {
        let _ = tokio::time::timeout(PARTING, self.ended()).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(self.pidfd.as_fd(), Signal::KILL);
        // Killed, it ends at once.
        let _ = self.child.wait();
    }
}

/// The last of what a chamber process said, for whoever asks why.
#[derive(Clone, Debug, Default)]
pub(super) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// Reads until its end.
    pub(super) async fn listen(self, stderr: ChildStderr) {
        use tokio::io::AsyncReadExt;
        let Ok(mut pipe) = tokio::net::unix::pipe::Receiver::from_owned_fd(OwnedFd::from(stderr)) else { return };
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut piece).await {
            let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            said.extend_from_slice(&piece[..length]);
            let excess = said.len().saturating_sub(SAID_MAX);
            said.drain(..excess);
        }
    }

    /// As text, without control characters.
    pub(super) fn text(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = String::from_utf8_lossy(&said);
        let lines: Vec<String> = lines.trim().lines().map(crate::shown::text).collect();
        if lines.is_empty() { "it said nothing".to_owned() } else { lines.join("\n") }
    }
}
