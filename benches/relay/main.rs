//! The relay beside JetStream (`nats-server` with a file store), in one run, on one disk, with clients of the same
//! make: what is durable before its receipt leaves, and what that costs.
//!
//! `cargo bench --bench relay [-- ROUNDS PART...]`. Parts are `memory`, `throughput`, `latency` and `flood`; without
//! any, all are measured. Needs `nats-server`, or the program that `NATS_SERVER` names. As root it gives itself up for
//! `nobody`, as the relay refuses root. The exit status is 1 if a bar is missed.
//!
//! Beside each figure stands what a bare fdatasync(2) on that disk took, between the rounds and on a file of its own.
//! It is a floor on a quiet disk alone: where others write, one file waits longer than another, and a ratio below one
//! says that this was so, not that a receipt came before its sync.

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
