//! What both sides are to the measurements: a server, and sessions of which each has one connection.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a session hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The receipt for the next message that it sent: it is as durable as this server makes it.
    Receipt,
    /// A message. [`Ear::text`] has it.
    Message,
}

/// The end that writes.
pub trait Mouth: Send {
    /// Puts a message for that session where the next flush takes it.
    fn say(&mut self, to: usize, text: &str);
    /// Writes.
    fn flush(&mut self);
}

/// The end that reads.
pub trait Ear: Send {
    /// Waits for the next thing.
    fn hear(&mut self) -> Heard;
    /// Whether there is one that was read already.
    fn more(&self) -> bool;
    /// The text of the message that was heard last.
    fn text(&self) -> &[u8];
    /// Says that all messages so far were taken.
    fn acknowledge(&mut self);
}

pub type Session = (Box<dyn Mouth>, Box<dyn Ear>);

/// A server.
pub trait Broker {
    /// Its process.
    fn process(&self) -> u32;
    /// New sessions, which are the numbers 0.. of each other. Each takes its messages as they come, and as many ahead
    /// of its acknowledgements as have messages of `size` bytes of a few MiB.
    fn sessions(&mut self, count: usize, size: usize) -> Vec<Session>;
}

/// Bytes on their way to one session.
pub const AHEAD: usize = 16 << 20;

/// A server's process, which ends with this value.
pub struct Server(Child);

impl Server {
    pub fn start(command: &mut Command, ready: impl Fn() -> bool) -> Self {
        let silent = std::env::var_os("VERBOSE").is_none();
        if silent {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let mut server = Self(command.stdin(Stdio::null()).spawn().expect("the server is installed"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !ready() {
            let ended = server.0.try_wait().expect("a child");
            assert!(ended.is_none() && Instant::now() < deadline, "{command:?} does not listen: {ended:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub fn process(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds of processor time that the process took so far, by its threads' schedstat.
pub fn processor_time(process: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("proc(5)");
    let nanoseconds = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0)
    };
    tasks.flatten().map(nanoseconds).sum::<u64>() as f64 / 1e9
}

/// KiB of its memory that are resident.
pub fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it runs");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
