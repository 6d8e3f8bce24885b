//! The relay is killed at any moment, over and over, under load: what had a receipt arrives, once and in order.
//!
//! `cargo test --test relay_crash` kills it ten times, and as often as `RCC_RELAY_KILLS` says where that is set: a
//! hundred take a minute, with all that goes along. The relay refuses root, so as root this program goes on as
//! `nobody`; it is also the writer that it kills. That is why it has its own `main`.

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
