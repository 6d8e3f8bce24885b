//! What git runs inside of a sandbox: the helper that leads it to the broker, and hooks that tell of its rules.

pub mod hook;
pub mod remote;

use super::tool::{PLUGINS, PLUGINS_VARIABLE};
use std::path::{Path, PathBuf};

/// The directory of the plugins' sockets.
fn plugins() -> PathBuf {
    std::env::var_os(PLUGINS_VARIABLE).map_or_else(|| Path::new(PLUGINS).to_owned(), PathBuf::from)
}
