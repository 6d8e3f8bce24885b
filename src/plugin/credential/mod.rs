//! Credentials: where they come from, how they are held, and how they are taken out of what a tool prints.
//!
//! ```text
//! at start: take_environment, harden
//! manifest ─ Source ─ obtain ─ Secret ─┬─ the chamber, over its socket
//!                                      ├─ a header (kind `http`)
//!                                      └─ Redactor: every byte that comes back
//! ```
//!
//! Every credential is in locked pages that are overwritten when it is dropped, and so is every buffer that it
//! passes through. No error and no `Debug` has any of its bytes.

#[cfg(target_os = "linux")]
mod command;
#[cfg(target_os = "linux")]
mod environment;
#[cfg(target_os = "linux")]
mod file;
#[cfg(target_os = "linux")]
mod harden;
#[cfg(target_os = "linux")]
mod pages;
#[cfg(target_os = "linux")]
mod redact;
#[cfg(target_os = "linux")]
mod secret;
#[cfg(target_os = "linux")]
mod source;

#[cfg(target_os = "linux")]
pub use environment::{TakeError, Taken, take_environment};
#[cfg(target_os = "linux")]
pub use harden::{HardenError, harden};
#[cfg(target_os = "linux")]
pub use pages::wipe;
#[cfg(target_os = "linux")]
pub use redact::{MARK, RedactError, Redactor};
#[cfg(target_os = "linux")]
pub use secret::{SECRET_MAX, SECRET_MIN, Secret, SecretError};
#[cfg(target_os = "linux")]
pub use source::{CredentialError, obtain};
