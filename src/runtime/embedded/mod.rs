//! The embedded runtime: Linux namespaces, without a container engine.

pub mod idmap;
pub mod process;
pub mod report;
pub mod supervisor;
pub mod verifier;
//! The default runtime: namespaces, mounts and confinement made by this process itself.

pub mod cgroup;
pub mod landlock;
pub mod lockdown;
pub mod memory;
pub mod seccomp;
mod syscalls;
