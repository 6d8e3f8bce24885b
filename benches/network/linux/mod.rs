//! See `../main.rs`.

mod apply;
mod client;
mod flood;
mod machine;
mod names;
mod sandbox;
mod service;
mod table;

use machine::Machine;
use std::env;
use std::fs::File;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use table::Table;

/// What is measured how often, where that is a matter of patience.
const ROUNDS: usize = 5;

/// What can be measured alone.
type Part = (&'static str, fn(&Machine, &mut Table, usize));
const PARTS: [Part; 5] = [
    ("apply", apply::measure),
    ("service", service::measure),
    ("names", names::measure),
    ("sandbox", sandbox::measure),
    ("flood", flood::measure),
];

pub fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--inside", ref parts @ ..] => measure(parts),
        ["--far"] => client::far(),
        ["--connect", address, count] => client::print(&client::connects(
            address.parse().expect("an address and a port"),
            count.parse().expect("a number"),
        )),
        ["--names", first, count] => client::print(&client::first_connections(
            client::nameserver(),
            first.parse().expect("a number"),
            count.parse().expect("a number"),
        )),
        ref parts => enter_world(parts),
    }
}

/// The world hides the directories of users, perhaps that of this program too: it is started by a
/// descriptor.
fn enter_world(parts: &[&str]) -> ExitCode {
    let program = OwnedFd::from(File::open("/proc/self/exe").expect("proc(5)"));
    rustix::io::fcntl_setfd(&program, rustix::io::FdFlags::empty()).expect("it is open");
    let program = program.into_raw_fd();
    let error = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/checks/lib/world"))
        .args([&format!("/proc/self/fd/{program}"), "--inside"])
        .args(parts)
        .env("RCC", env!("CARGO_BIN_EXE_rcc"))
        .env("WORLD_QUIET", program.to_string())
        .exec();
    panic!("cannot enter a world: {error}");
}

fn measure(words: &[&str]) -> ExitCode {
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let named = |name: &str| words.contains(&name) || words.iter().all(|word| word.parse::<usize>().is_ok());
    let fd = env::var("WORLD_QUIET").ok().and_then(|fd| fd.parse().ok()).expect("set on the way in");
    // SAFETY: `enter_world` left it open for this process, and nobody else here knows of it.
    let program = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    let machine = Machine::prepare(program);
    let mut table = Table::new();
    for (_, measure) in PARTS.iter().filter(|(name, _)| named(name)) {
        measure(&machine, &mut table, rounds);
    }
    table.end()
}
