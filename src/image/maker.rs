//! The program that makes an image's files, and its archive as a stream that ends well only if the program does.

use crate::shown;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Octets that are read at once.
const CHUNK: usize = 256 << 10;
/// What is kept of the program's last words.
const LINES_MAX: usize = 12;
/// The longest of its lines, in octets.
const LINE_MAX: usize = 400;
/// How long the program may take to take away what it has begun.
const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(20);

/// What is known of a program while its archive is read elsewhere.
#[derive(Debug)]
pub struct Maker {
    words: Words,
    sent: Arc<AtomicU64>,
    ended: Arc<OnceLock<ExitStatus>>,
}

/// A directory for the temporary files of a program, which is removed with all that the program has left. Others may
/// pass through it: the users of a namespace are others.
#[derive(Debug)]
pub struct Workplace(PathBuf);

impl Workplace {
    /// A new one in this directory.
    pub fn make(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!("rcc-image-{}", std::process::id()));
        // Left by a process of that id.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::DirBuilder::new().mode(0o711).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts the program, whose standard output is the archive, with the place as its `TMPDIR`.
pub fn start(
    command: &mut Command,
    place: Workplace,
) -> io::Result<(Maker, impl Stream<Item = io::Result<Bytes>> + Send + use<>)> {
    command.env("TMPDIR", &place.0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: it ends when rcc says so, and only then.
    command.process_group(0);
    // SAFETY: prctl(2) is all that runs between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?));
    }
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let child = Running { child, _place: place };
    let missing = || io::Error::other("the program has no output");
    let out = Receiver::from_owned_fd(OwnedFd::from(out.ok_or_else(missing)?))?;
    let err = Receiver::from_owned_fd(OwnedFd::from(err.ok_or_else(missing)?))?;
    let (sent, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::new()));
    let archive = Archive { out, child, sent: sent.clone(), ended: ended.clone() };
    let stream = stream::unfold(Some(archive), |archive| async {
        let mut archive = archive?;
        match archive.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(archive))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok((Maker { words: Words::new(err), sent, ended }, stream))
}

impl Maker {
    /// Octets of the archive so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The next line that the program says; `None` when it says no more.
    pub async fn line(&mut self) -> Option<String> {
        self.words.next().await
    }

    /// Its last lines if it has failed, after all of them.
    pub async fn failure(&mut self) -> Option<String> {
        let status = *self.ended.get()?;
        if status.success() {
            return None;
        }
        while self.words.next().await.is_some() {}
        let last: Vec<&str> = self.words.last.iter().map(String::as_str).collect();
        Some(if last.is_empty() { format!("it ended with {status}") } else { last.join("\n") })
    }
}

struct Archive {
    out: Receiver,
    child: Running,
    sent: Arc<AtomicU64>,
    ended: Arc<OnceLock<ExitStatus>>,
}

impl Archive {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let length = self.out.read_buf(&mut chunk).await?;
        if length > 0 {
            self.sent.fetch_add(length as u64, Ordering::Relaxed);
            return Ok(Some(chunk.freeze()));
        }
        let status = loop {
            match self.child.child.try_wait()? {
                Some(status) => break status,
                None => tokio::time::sleep(INTERVAL).await,
            }
        };
        let _ = self.ended.set(status);
        if status.success() { Ok(None) } else { Err(io::Error::other(format!("the archive is not whole: {status}"))) }
    }
}

/// Dropping it ends the program, which gets the time to take away what it has made so far.
struct Running {
    child: Child,
    /// Goes after it.
    _place: Workplace,
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let deadline = Instant::now() + PATIENCE;
        let mut told = false;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = kill_process_group(pid, Signal::KILL);
                let _ = self.child.wait();
                return;
            }
            if !std::mem::replace(&mut told, true) {
                let _ = kill_process_group(pid, Signal::TERM);
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

/// Lines of standard error.
#[derive(Debug)]
struct Words {
    pipe: Receiver,
    line: Vec<u8>,
    ready: VecDeque<String>,
    last: VecDeque<String>,
    ended: bool,
}

impl Words {
    fn new(pipe: Receiver) -> Self {
        Self { pipe, line: Vec::new(), ready: VecDeque::new(), last: VecDeque::new(), ended: false }
    }

    /// Nothing is lost if this is dropped before it is done.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            let mut chunk = [0; 4096];
            let length = self.pipe.read(&mut chunk).await.unwrap_or(0);
            self.ended = length == 0;
            self.take(&chunk[..length]);
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            if byte != b'\n' && byte != b'\r' {
                if self.line.len() < LINE_MAX {
                    self.line.push(byte);
                }
                continue;
            }
            self.end_line();
        }
        if self.ended {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = shown::text(String::from_utf8_lossy(&line).trim());
        if line.is_empty() {
            return;
        }
        if self.last.len() == LINES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        self.ready.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use std::pin::pin;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn read(script: &str) -> (Vec<u8>, bool, Option<String>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let place = Workplace::make(directory.path()).unwrap();
            let (mut maker, archive) = start(&mut shell(script), place).unwrap();
            let (mut archive, mut all, mut whole) = (pin!(archive), Vec::new(), true);
            while let Some(chunk) = archive.next().await {
                match chunk {
                    Ok(bytes) => all.extend_from_slice(&bytes),
                    Err(_) => whole = false,
                }
            }
            assert_eq!(maker.sent(), all.len() as u64);
            (all, whole, maker.failure().await)
        })
    }

    #[test]
    fn the_archive_of_a_program_that_ends_well_is_whole() {
        assert_eq!(read("echo I: working >&2; printf abc"), (b"abc".to_vec(), true, None));
    }

    #[test]
    fn that_of_one_that_fails_is_not_and_its_words_are_kept() {
        let (all, whole, failure) = read("printf abc; printf 'E: no space\\033[2J left\\n' >&2; exit 25");
        assert_eq!((all, whole), (b"abc".to_vec(), false));
        assert_eq!(failure.unwrap(), "E: no space\\u{1b}[2J left");
    }

    #[test]
    fn one_that_is_given_up_ends_and_may_clear_up() {
        let directory = tempfile::tempdir().unwrap();
        let (cleared, ready) = (directory.path().join("cleared"), directory.path().join("ready"));
        let script = format!(
            "touch $TMPDIR/left; trap 'touch {}; exit 1' TERM; touch {}; while :; do sleep 0.05; done",
            cleared.display(),
            ready.display()
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let place = Workplace::make(directory.path()).unwrap();
        let (_maker, archive) = start(&mut shell(&script), place).unwrap();
        while !ready.exists() {
            std::thread::sleep(INTERVAL);
        }
        drop(archive);
        assert!(cleared.exists());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
