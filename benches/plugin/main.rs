//! Brokered calls beside the tool itself and beside a Python server and client of the same simple protocol, in one run:
//! what a call adds, what its output may be as fast as, and many calls at once.
//!
//! `cargo bench --bench plugin [-- ROUNDS PART...]`. Parts are `latency`, `output` and `many`; without any, all are
//! measured. Needs `git` and `python3`; as root output is measured with a credential to be taken out, too, since only
//! root's manifests have any. The tools' sandboxes are offline, so no firewall is needed. The exit status is 1 if a bar
//! is missed.
//!
//! The wrapper runs beside the broker and not in a sandbox of an agent's. Each round measures everything in turns; the
//! figures are those of the quietest round, the one in which the tool itself was fastest, and all rounds stand beside
//! them.

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
