//! Opens single addresses for names, in the sets of the loaded rules.
//!
//! The sets carry the version of the rules in their names, so that nothing can be granted under
//! rules that are not the loaded ones any more, and every grant ends by itself.

use crate::policy::ruleset::Ruleset;
use crate::policy::{DomainName, Lease};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// An address to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Position of the profile in the ruleset.
    pub profile: usize,
    /// By which rule.
    pub kind: GrantKind,
    /// The name that was asked for, which a rule of that kind and class covers. It stands in the
    /// element's comment, and `apply` keeps the address as long as rules cover this name.
    pub name: DomainName,
    /// What it was answered with.
    pub address: IpAddr,
    /// For how long; at most [`crate::policy::ruleset::ADDRESS_LIFETIME`] is taken.
    pub lifetime: Duration,
}

/// What allows a [`Grant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantKind {
    /// An exception by name: a class of `excepted`.
    Excepted(usize),
    /// A listed name: a class of `listed`.
    Listed(usize),
    /// A lease by name, which must be in the kernel still; it does not outlive that.
    Lease(Lease),
}

/// Why nothing was granted. Nothing of the same call was then.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The rules are gone, or of another version than the ruleset.
    #[error("the rules that this name is allowed by are not loaded (any more)")]
    NotLoaded,
    /// There is no such profile or class, or no such lease any more.
    #[error("no rule or lease grants this")]
    NoRule,
    /// So many addresses are open that no more are taken until some age out.
    #[error("too many addresses are open at the same time")]
    Full,
    /// The kernel.
    #[error("cannot {attempt} the addresses of a name: {source}")]
    Kernel {
        /// What was tried.
        attempt: &'static str,
        /// Its reason.
        source: io::Error,
    },
}

/// A way to the kernel's sets, for the network namespace of the thread that opened it.
pub struct Grants {}

impl Grants {
    /// Opens it; needs root.
    pub fn open() -> Result<Self, GrantError> {
        Ok(Self {})
    }

    /// Opens all of these or none, and returns when the kernel has them. Waits while rules are
    /// being loaded.
    pub fn add(&mut self, _ruleset: &Ruleset, _grants: &[Grant]) -> Result<(), GrantError> {
        Err(GrantError::NotLoaded)
    }

    /// The leases by name that cover `name` for this identity, with the time that they have left.
    pub fn leases(
        &mut self,
        _ruleset: &Ruleset,
        _identity: u32,
        _name: &DomainName,
    ) -> Result<Vec<(Lease, Duration)>, GrantError> {
        Err(GrantError::NotLoaded)
    }
}
