//! What happens before anything is started: reading the host, the configuration and the project,
//! and planning.

#[cfg(target_os = "linux")]
mod linux;

fn main() {
    divan::main();
}
