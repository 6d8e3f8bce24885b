//! The peer's processes.

use super::world::World;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/plugin/peer.py");

/// The interpreter itself: what stands in `PATH` may be a script that looks for it.
fn python() -> PathBuf {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let output = output.expect("python3 is installed");
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// A server, which ends with this value.
pub struct Server {
    child: Child,
    pub socket: PathBuf,
    python: PathBuf,
}

impl Server {
    pub fn start(world: &World, name: &str, program: &Path) -> Self {
        let (python, socket) = (python(), world.short.path().join(format!("{name}.sock")));
        let mut command = Command::new(&python);
        command.arg(SCRIPT).arg("serve").arg(&socket).arg(program).stdin(Stdio::null());
        let child = command.spawn().expect("it was found");
        let deadline = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "the peer does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, socket, python }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A wrapper: a process for a call. It imports no more than it needs.
    pub fn wrapper(&self, world: &World, socket: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-IS", SCRIPT, "call"]).arg(socket).current_dir(&world.project).stdin(Stdio::null());
        command
    }

    /// A client that runs already.
    pub fn clock(&self, world: &World) -> Clock {
        let mut command = Command::new(&self.python);
        command.args(["-IS", SCRIPT, "clock"]).current_dir(&world.project);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it was found");
        let lines = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Clock { child, lines, answers }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

pub struct Clock {
    child: Child,
    lines: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Clock {
    /// How long a call took, and how many characters it wrote.
    pub fn call(&mut self, socket: &Path, arguments: &[&str]) -> (Duration, usize) {
        let words: Vec<&str> = [socket.to_str().expect("UTF-8")].into_iter().chain(arguments.iter().copied()).collect();
        writeln!(self.lines, "{}", json!(words)).expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a pipe");
        let (took, length) = line.trim().split_once(' ').expect("the call succeeded");
        (Duration::from_nanos(took.parse().expect("a number")), length.parse().expect("a number"))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// It may have ended by itself.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
