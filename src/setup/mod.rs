//! Preparing a host: what it lacks ([`doctor`]), the privileged step ([`init`], [`undo`]) and the
//! agent's own program ([`agent`]).

pub mod agent;
pub mod cgroup;
pub mod doctor;
pub mod durable;
pub mod identities;
pub mod init;
#[cfg(test)]
mod init_tests;
pub mod kernel;
pub mod layout;
pub mod observe;
pub mod packages;
pub mod program;
mod shadow_lock;
pub mod subid;
pub mod undo;
pub mod unit;
pub mod userns;
pub mod version;

/// What another part of rcc, or a program of the host, reports as the cause of a failure.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
