//! Preparing a host: what it lacks ([`doctor`]), the privileged step ([`init`], [`undo`]) and the
//! agent's own program ([`agent`]).

pub mod durable;
pub mod identities;
pub mod init;
#[cfg(test)]
mod init_tests;
pub mod layout;
pub mod program;
mod shadow_lock;
pub mod subid;
pub mod undo;
pub mod unit;

/// What another part of rcc, or a program of the host, reports as the cause of a failure.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
