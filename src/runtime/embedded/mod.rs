//! The embedded runtime, the default: namespaces, mounts and confinement, made by this program
//! itself, without a container engine.

pub mod cgroup;
pub mod idmap;
pub mod init;
pub mod landlock;
pub mod lockdown;
pub mod memory;
pub mod process;
pub mod report;
pub mod seccomp;
pub mod supervisor;
mod syscalls;
pub mod verifier;
//! The embedded runtime: Linux namespaces without any helper program.

mod devices;
mod mounts;
mod processes;
pub mod root;
