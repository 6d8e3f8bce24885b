//! Directly connected prefixes.

use ipnet::IpNet;
use std::io;

/// Why the list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OnLinkError {
    /// The kernel said no.
    #[error("cannot ask the kernel for addresses and routes: {0}")]
    Read(#[from] io::Error),
}

/// What the host is next to.
pub struct Links {
    /// Prefixes.
    pub on_link: Vec<IpNet>,
}

/// Asks the kernel.
pub fn read() -> Result<Links, OnLinkError> {
    Err(io::Error::from(io::ErrorKind::Unsupported).into())
}
