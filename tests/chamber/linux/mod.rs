//! Runs the tests, or becomes what one of them needs.

mod attacks;
mod calls;
mod latency;
mod programs;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use world::World;

/// A test's sentence, with underscores, and the test.
type Test = (&'static str, fn(&World));

pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("plugin-chamber") => return rcc::cli::main(),
        Some(calls::BROKER) => return calls::broker(arguments[1].as_ref()),
        Some("attempt") => return programs::attempt(&arguments[1..]),
        _ => (),
    }
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let tests: Vec<Test> = [calls::TESTS, attacks::TESTS, latency::TESTS].concat();
    let chosen: Vec<Test> = tests.into_iter().filter(|(name, _)| wanted(name)).collect();
    println!("running {} tests", chosen.len());
    let mut failed = Vec::new();
    for (name, test) in &chosen {
        let world = World::new();
        let passed = catch_unwind(AssertUnwindSafe(|| test(&world))).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    println!("{} passed; {} failed {failed:?}", chosen.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A table of tests by their functions' names.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[crate::host::Test] = &[$((stringify!($name), $name)),*];
    };
}
use tests;
