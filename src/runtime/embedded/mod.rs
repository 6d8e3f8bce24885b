//! The embedded runtime, the default: namespaces, mounts and confinement, made by this program
//! itself, without a container engine.

pub mod agent;
pub mod as_identity;
pub mod cgroup;
mod devices;
mod elf;
pub mod idmap;
pub mod init;
pub mod landlock;
pub mod lockdown;
pub mod loopback;
pub mod memory;
mod mounts;
pub mod process;
mod processes;
pub mod report;
pub mod root;
pub mod seccomp;
pub mod supervisor;
mod syscalls;
pub mod verifier;
pub mod watch;
