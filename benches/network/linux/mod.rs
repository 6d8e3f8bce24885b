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
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use table::Table;

const ROUNDS: usize = 5;

pub fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--inside", rounds] => measure(rounds.parse().expect("a number of rounds")),
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
        [] => enter_world(ROUNDS),
        [rounds] => enter_world(rounds.parse().expect("a number of rounds")),
        _ => panic!("usage: cargo bench --bench network [-- ROUNDS]"),
    }
}

/// The world hides the directories of users, perhaps that of this program too: it is started by a
/// descriptor.
fn enter_world(rounds: usize) -> ExitCode {
    let program = OwnedFd::from(File::open("/proc/self/exe").expect("proc(5)"));
    rustix::io::fcntl_setfd(&program, rustix::io::FdFlags::empty()).expect("it is open");
    let program = program.into_raw_fd();
    let error = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/checks/lib/world"))
        .args([&format!("/proc/self/fd/{program}"), "--inside", &rounds.to_string()])
        .env("RCC", env!("CARGO_BIN_EXE_rcc"))
        .env("WORLD_QUIET", program.to_string())
        .exec();
    panic!("cannot enter a world: {error}");
}

fn measure(rounds: usize) -> ExitCode {
    let fd = env::var("WORLD_QUIET").ok().and_then(|fd| fd.parse().ok()).expect("set on the way in");
    // SAFETY: `enter_world` left it open for this process, and nobody else here knows of it.
    let program = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    assert!(program.as_raw_fd() == fd, "the program's own descriptor");
    let machine = Machine::prepare(program);
    let mut table = Table::new();
    apply::measure(&machine, &mut table, rounds);
    service::measure(&machine, &mut table);
    names::measure(&machine, &mut table);
    sandbox::measure(&machine, &mut table, rounds);
    flood::measure(&machine, &mut table);
    table.end()
}
