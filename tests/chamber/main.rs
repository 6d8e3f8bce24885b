//! Real chambers, without a network, and tools in them that try what they must not.
//!
//! A chamber process is the program that starts it once more, which here is this one; it is what tools run, too,
//! where a shell would not do.

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
