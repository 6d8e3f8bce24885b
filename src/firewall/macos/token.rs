//! The token that keeps pf enabled. It is a number that only the kernel and `pfctl -E`'s caller know
//! and the only way to release it, so it has to be kept: in a file that only root can read, in a
//! directory that macOS empties at boot, when tokens end as well.

use super::pfctl::{self, PfctlError};
use crate::setup::durable::{self, Attributes, FileError};
use ::pfctl::PfCtl;
use std::path::{Path, PathBuf};

/// Why pf could not be enabled or released.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// pfctl.
    #[error(transparent)]
    Pfctl(#[from] PfctlError),
    /// /dev/pf.
    #[error("cannot tell whether pf is enabled: {0}")]
    Device(#[from] ::pfctl::Error),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
}

fn path(run: &Path) -> PathBuf {
    run.join("pf.token")
}

/// Keeps pf enabled; does nothing while a token of ours does that already.
pub(super) fn hold(run: &Path, pf: &mut PfCtl) -> Result<(), TokenError> {
    if let Some(token) = read(run)?
        && pf.is_enabled()?
        && pfctl::holds(token)?
    {
        return Ok(());
    }
    let token = pfctl::enable()?;
    let kept = durable::replace(&path(run), format!("{token}\n").as_bytes(), Attributes::mode(0o600));
    if kept.is_err() {
        // Nobody could release it any more.
        pfctl::release(token)?;
    }
    Ok(kept?)
}

/// Gives our token back, if we hold one.
pub(super) fn release(run: &Path) -> Result<(), TokenError> {
    // Who disabled pf by force has ended all tokens.
    if let Some(token) = read(run)?
        && pfctl::holds(token)?
    {
        pfctl::release(token)?;
    }
    durable::remove(&path(run))?;
    Ok(())
}

fn read(run: &Path) -> Result<Option<u64>, TokenError> {
    let content = durable::read(&path(run), 64)?;
    Ok(content.and_then(|(bytes, _)| std::str::from_utf8(&bytes).ok()?.trim().parse().ok()))
}
