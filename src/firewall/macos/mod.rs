//! Applying on macOS.

pub(super) mod onlink;

use super::Status;
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, Surroundings};

/// Why the rules were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Nothing is loaded by this version.
    #[error("this version of rcc cannot load rules on macOS")]
    Unsupported,
}

/// Why the service ended.
pub type WatchError = ApplyError;

type Load<'a> = &'a dyn Fn() -> Result<Policy, Box<dyn std::error::Error + Send + Sync>>;

/// Replaces the anchor.
pub fn apply(_: &Policy, _: &Surroundings) -> Result<(), ApplyError> {
    Err(ApplyError::Unsupported)
}

/// As [`apply`].
pub fn reload(_: &Policy) -> Result<(), ApplyError> {
    Err(ApplyError::Unsupported)
}

/// Removes the anchor.
pub fn reset() -> Result<(), ApplyError> {
    Err(ApplyError::Unsupported)
}

/// Stays.
pub fn watch(_: Load<'_>) -> Result<(), WatchError> {
    Err(ApplyError::Unsupported)
}

/// Compares.
pub fn status(_: &Ruleset) -> Result<Status, ApplyError> {
    Err(ApplyError::Unsupported)
}
