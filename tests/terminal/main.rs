//! The terminal relay under a real pseudo-terminal, with a PID 1 that is a plain child process.
//!
//! This program is also the launcher that its tests start, and it forks without exec; so it
//! has its own `main`, in which nothing else runs.

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod host;
#[cfg(target_os = "macos")]
#[path = "no_runtime.rs"]
mod host;

use std::process::ExitCode;

fn main() -> ExitCode {
    host::main()
}
