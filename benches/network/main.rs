//! What the network of a sandbox costs with 10,000 exceptions and 1,000 names, beside the same without,
//! and what the service that keeps it costs, all in one run.
//!
//! `cargo bench --bench network [-- ROUNDS PART...]`, as root, in a world of its own
//! (`checks/lib/world`). Parts are `apply`, `service`, `names`, `sandbox` and `flood`; without any, all
//! are measured. Needs what sandboxes need, and `iperf3`. The exit status is 1 if a bar is missed.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("measured on Linux only");
}
