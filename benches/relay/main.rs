//! The relay beside JetStream (`nats-server` with a file store), in one run, on one disk, with clients of the same
//! make: what is durable before its receipt leaves, and what that costs.
//!
//! `cargo bench --bench relay [-- ROUNDS PART...]`. Parts are `memory`, `throughput`, `latency` and `flood`; without
//! any, all are measured. Needs `nats-server`, or the program that `NATS_SERVER` names. As root it gives itself up for
//! `nobody`, as the relay refuses root. The exit status is 1 if a bar is missed.
//!
//! Beside each figure stands what a bare fdatasync(2) of that disk took in the same seconds: no durable receipt is
//! faster.

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
