//! The daemon as a child process.

use rcc::relay::place::Place;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"[relay]
rate_limit = 1000000
rate_burst = 1000000
stored_messages = 1000000
stored_bytes = "8GiB"
"#;

/// The user who runs it: a home, and what lies there.
pub struct Home(PathBuf);

impl Home {
    pub fn new(directory: &Path) -> Self {
        let config = directory.join("rcc");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config).expect("the directory is ours");
        std::fs::write(config.join("config.toml"), CONFIG).expect("it is ours");
        Self(directory.to_owned())
    }

    pub fn place(&self) -> Place {
        Place { run: self.0.join("rcc/relay"), state: self.0.join("data/rcc/relay") }
    }

    /// rcc with these words, as that user.
    pub fn rcc(&self, words: &[&str]) -> Command {
        let mut command =
            Command::new(std::env::var_os(super::RCC).unwrap_or_else(|| env!("CARGO_BIN_EXE_rcc").into()));
        command.args(words).env_clear().current_dir(&self.0).stdin(Stdio::null());
        for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
            command.env(variable, &self.0);
        }
        command.env("XDG_DATA_HOME", self.0.join("data"));
        command
    }

    pub fn start(&self) -> Daemon {
        let log = File::options().append(true).create(true).open(self.log()).expect("the directory is ours");
        let child = self.rcc(&["relay", "start"]).stdout(Stdio::null()).stderr(log).spawn().expect("rcc is built");
        Daemon(child)
    }

    /// How long it took until it listened.
    pub fn listening(&self, daemon: &mut Daemon) -> Duration {
        let start = Instant::now();
        while UnixStream::connect(self.place().socket()).is_err() {
            daemon.runs(self);
            assert!(start.elapsed() < PATIENCE, "it does not listen: {}", self.said());
            std::thread::sleep(Duration::from_millis(2));
        }
        start.elapsed()
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// All that any daemon said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }
}

/// Killed when this value goes.
pub struct Daemon(Child);

impl Daemon {
    pub fn process(&self) -> u32 {
        self.0.id()
    }

    /// It has not ended by itself.
    pub fn runs(&mut self, home: &Home) {
        let ended = self.0.try_wait().expect("a child");
        assert!(ended.is_none(), "it ended ({ended:?}): {}", home.said());
    }

    /// SIGKILL: nothing of it runs any more.
    pub fn kill(mut self, home: &Home) {
        self.runs(home);
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self, home: &Home) -> ExitStatus {
        assert!(home.rcc(&["relay", "stop"]).stdout(Stdio::null()).status().expect("rcc is built").success());
        self.0.wait().expect("a child")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// KiB that are resident.
pub fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it runs");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
