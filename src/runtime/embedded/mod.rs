//! The default runtime: namespaces, mounts and confinement made by this process itself.

pub mod cgroup;
pub mod landlock;
pub mod lockdown;
pub mod memory;
pub mod seccomp;
mod syscalls;
