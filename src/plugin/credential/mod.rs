//! Credentials: where they come from, how they are held, and how they are taken out of what a tool prints.

#[cfg(target_os = "linux")]
mod secret;

#[cfg(target_os = "linux")]
pub use secret::{SECRET_MAX, Secret, SecretError, wipe};
