//! See `../main.rs`.

mod client;
mod daemon;
mod kills;
mod load;
mod queued;
mod rotation;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::geteuid;
use std::env;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// This very program, wherever it lies.
const SELF: &str = "/proc/self/exe";
/// Names rcc for those who do not reach it by its path.
const RCC: &str = "RCC_RELAY_CRASH_PROGRAM";
/// `nobody`.
const UNPRIVILEGED: u32 = 65534;
/// Kills in the ordinary suite.
const KILLS: u32 = 10;

pub fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--write", directory, from] => rotation::write(Path::new(directory), from.parse().expect("a number")),
        ["--in", directory] => prove(Path::new(directory)),
        _ => unprivileged(),
    }
}

/// Goes on as somebody who may run a relay, in a directory of theirs. Root's own directories may let nobody through:
/// then rcc is reached by a descriptor.
fn unprivileged() -> ExitCode {
    let root = geteuid().is_root();
    let directory = if root { tempfile::tempdir() } else { tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")) }
        .expect("a directory");
    let mut command = Command::new(SELF);
    command.arg("--in").arg(directory.path());
    let rcc = File::open(env!("CARGO_BIN_EXE_rcc")).expect("it was built");
    if root {
        chown(directory.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("it is root's");
        fcntl_setfd(&rcc, FdFlags::empty()).expect("fcntl(2)");
        command.env(RCC, format!("/proc/self/fd/{}", rcc.as_raw_fd()));
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED).current_dir("/");
    }
    let status = command.status().expect("this very program");
    ExitCode::from(u8::from(!status.success()))
}

/// Whoever finds otherwise panics.
fn prove(directory: &Path) -> ExitCode {
    let kills = env::var("RCC_RELAY_KILLS").ok().map_or(KILLS, |kills| kills.parse().expect("a number"));
    for (name, prove) in
        [("kills", kills::prove as fn(&Path, u32)), ("rotation", rotation::prove), ("queued", queued::prove)]
    {
        let own = directory.join(name);
        std::fs::create_dir(&own).expect("a fresh directory");
        prove(&own, kills);
    }
    ExitCode::SUCCESS
}

/// Times to kill at: any of them, and the same ones in each run.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// Up to so many milliseconds; xorshift64 (Marsaglia, 2003).
    fn next(&mut self, most: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(self.0 % (most * 1000))
    }
}
