//! The resolver beside dnsmasq, in one run, with the same client and the same upstream: how long a
//! cached name takes, and how many queries a second of processor time answers.
//!
//! `cargo bench --bench resolver [-- SECONDS]`; needs `dnsmasq`.

#[cfg(target_os = "linux")]
#[path = "resolver/linux.rs"]
mod linux;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the resolver runs on Linux");
}
