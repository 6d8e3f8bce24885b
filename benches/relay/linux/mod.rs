//! See `../main.rs`.

mod broker;
mod disk;
mod flood;
mod hand_over;
mod jetstream;
mod latency;
mod memory;
mod relay;
mod table;
mod throughput;

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use std::env;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use table::Table;

/// Each figure is the median of so many rounds.
const ROUNDS: usize = 3;
/// `nobody`.
const UNPRIVILEGED: u32 = 65534;

type Part = (&'static str, fn(&Path, &mut Table, usize));
const PARTS: [Part; 4] = [
    ("memory", memory::measure),
    ("throughput", throughput::measure),
    ("latency", latency::measure),
    ("flood", flood::measure),
];

pub fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--in", directory, ref words @ ..] => measure(Path::new(directory), words),
        ref words => unprivileged(words),
    }
}

/// Goes on as somebody who may run a relay, in a directory of theirs.
fn unprivileged(words: &[&str]) -> ExitCode {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
    let mut command = Command::new(env::current_exe().expect("proc(5)"));
    command.arg("--in").arg(directory.path()).args(words).env("RCC", env!("CARGO_BIN_EXE_rcc"));
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).expect("up to the hard one");
    if geteuid().is_root() {
        chown(directory.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("it is root's");
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    let status = command.status().expect("this very program");
    ExitCode::from(u8::from(!status.success()))
}

fn measure(directory: &Path, words: &[&str]) -> ExitCode {
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let named = |name: &str| words.contains(&name) || words.iter().all(|word| word.parse::<usize>().is_ok());
    let mut table = Table::new();
    for (name, measure) in PARTS.iter().filter(|(name, _)| named(name)) {
        let own: PathBuf = directory.join(name);
        std::fs::create_dir(&own).expect("a fresh directory");
        measure(&own, &mut table, rounds);
    }
    table.end()
}
