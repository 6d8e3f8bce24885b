//! Without a runtime there is no terminal to relay.

use std::process::ExitCode;

pub fn main() -> ExitCode {
    println!("0 tests: there is no runtime for this system");
    ExitCode::SUCCESS
}
