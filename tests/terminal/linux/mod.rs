//! Runs the tests, or the launcher for one of them.

mod emulator;
mod interactive;
mod launcher;
mod streams;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test's sentence, with underscores, and the test.
type Test = (&'static str, fn());

pub fn main() -> ExitCode {
    heed_interrupts();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, command @ ..] = arguments.as_slice()
        && role == launcher::ROLE
    {
        return launcher::run(command);
    }
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let tests: Vec<Test> = [streams::TESTS, interactive::TESTS].concat();
    let chosen: Vec<Test> = tests.into_iter().filter(|(name, _)| wanted(name)).collect();
    println!("running {} tests", chosen.len());
    let mut failed = Vec::new();
    for (name, test) in &chosen {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    println!("{} passed; {} failed {failed:?}", chosen.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A shell without job control starts what is in the background with these ignored, which everything
/// that a test starts would inherit: it could not be interrupted, and the test would wait for ever.
fn heed_interrupts() {
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: resetting a disposition to its default has no preconditions.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// A table of tests by their functions' names.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[crate::host::Test] = &[$((stringify!($name), $name)),*];
    };
}
use tests;
