//! The reference in /etc/pf.conf, for the next boot.

use super::pfctl::{self, PfctlError};
use crate::firewall::pf::conf::{self, ConfError};
use crate::setup::durable::{self, FileError};
use std::path::Path;

/// What the system's own daemon com.apple.pfctl loads at boot.
const CONF: &str = "/etc/pf.conf";
/// The most that it may hold, in bytes; the stock file has 1 KiB.
const SIZE_MAX: u64 = 1 << 20;

/// Why pf.conf was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum ConfFileError {
    /// Another program's.
    #[error(
        "{CONF} is a symbolic link, so another program declares it (nix-darwin?): let that program put the line \
         `anchor \"rcc\"` before the other rules"
    )]
    Symlink,
    /// There is none.
    #[error("there is no {CONF}, so nothing can load the rules with pf's own at boot")]
    Absent,
    /// Reading or replacing it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its structure.
    #[error("cannot change {CONF}: {0}")]
    Structure(#[from] ConfError),
    /// pf would not take the new one.
    #[error(transparent)]
    Refused(#[from] PfctlError),
}

/// Puts the reference in; says whether it was not there. Owner and mode stay.
///
/// # Errors
/// If the file is not one to be changed; then it is as it was.
pub fn refer() -> Result<bool, ConfFileError> {
    change(conf::with_reference)
}

/// Takes it out; says whether it was there.
///
/// # Errors
/// If the file is not one to be changed; then it is as it was.
pub fn forget() -> Result<bool, ConfFileError> {
    match change(conf::without_reference) {
        // Nothing of ours is in there.
        Err(ConfFileError::Absent | ConfFileError::Symlink) => Ok(false),
        changed => changed,
    }
}

/// Whether the next boot will load the reference.
pub fn refers() -> bool {
    std::fs::read(CONF).is_ok_and(|text| conf::refers(&text))
}

fn change(edit: fn(&[u8]) -> Result<Vec<u8>, ConfError>) -> Result<bool, ConfFileError> {
    let path = Path::new(CONF);
    if path.is_symlink() {
        return Err(ConfFileError::Symlink);
    }
    let (text, attributes) = durable::read(path, SIZE_MAX)?.ok_or(ConfFileError::Absent)?;
    let changed = edit(&text)?;
    if changed == text {
        return Ok(false);
    }
    pfctl::check_conf(&changed)?;
    durable::replace(path, &changed, attributes)?;
    Ok(true)
}
