//! The `rcc` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    rcc::cli::main()
}
