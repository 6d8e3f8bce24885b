//! What the host's files say about the network now: the policy, and how to recognise that it is
//! in force. Everybody reads the same world-readable files: root to load the rules, a launcher to
//! know what to expect, a verifier to notice that they changed.

use crate::config::{self, Admin, ConfigError};
use crate::network::identity::{self, IdentityError};
use crate::policy::{Policy, ProfileName};
use std::ops::Range;
use std::path::Path;

#[cfg(target_os = "linux")]
mod identity_probe;

#[cfg(target_os = "linux")]
pub use identity_probe::{Failure, ProbeError, Watch, probe, resolves};

/// Why a network profile cannot be enforced for a user.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EnforcementError {
    /// Root's configuration.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// The identities.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Root has not let this user in.
    #[error("user {uid} has no network identities")]
    #[diagnostic(help("`sudo rcc init` allots them; `--profile offline` works without"))]
    NoIdentity {
        /// The user.
        uid: u32,
    },
    /// It vanished between two readings.
    #[error("the network profile '{profile}' does not exist any more")]
    NoProfile {
        /// The profile.
        profile: ProfileName,
    },
}

/// The policy that the host's files ask for.
pub fn policy(admin: &Admin) -> Result<Policy, IdentityError> {
    Ok(admin.policy(identity::ranges()?))
}

/// [`policy`] of root's configuration as it is now.
pub fn current() -> Result<Policy, EnforcementError> {
    current_of(0)
}

/// [`current`], where the files may also seem to be this user's.
fn current_of(owner: u32) -> Result<Policy, EnforcementError> {
    Ok(policy(&config::load_admin(Path::new(config::ADMIN_FILE), owner)?)?)
}

/// The identities of a user in a profile.
pub fn identities(policy: &Policy, profile: &ProfileName, uid: u32) -> Result<Range<u32>, EnforcementError> {
    let range = policy.users.iter().find(|range| range.uid == uid).ok_or(EnforcementError::NoIdentity { uid })?;
    let missing = || EnforcementError::NoProfile { profile: profile.clone() };
    let (position, _) = policy.profile(profile).ok_or_else(missing)?;
    Ok(range.slots(position))
}
