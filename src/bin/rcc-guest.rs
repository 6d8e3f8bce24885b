//! The `rcc-guest` program: what of rcc runs inside of a sandbox.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    rcc::guest::command::main()
}

/// Where sandboxes are another system's, nothing of this one's runs in them.
#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    rcc::output::tell_line("rcc-guest runs inside of sandboxes, on Linux");
    ExitCode::FAILURE
}
