//! What a session's directory has for git: its configuration, the rules that the hooks tell of, and the hooks.

use crate::plugin::git::inside;
use crate::plugin::manifest::Git;
use crate::plugin::place::INSIDE;
use crate::relay::seat::INSIDE_PROGRAM;
use crate::sockets::{SocketError, failed};
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// What git reads where there is no plugin for remotes: what it would read without rcc.
const WITHOUT: &str = "[include]\n\tpath = /etc/gitconfig\n";

/// Writes all of it into the directory, each file at once.
///
/// # Errors
/// If one cannot be written.
pub(super) fn write(directory: &Path, git: Option<&Git>) -> Result<(), SocketError> {
    let Some(git) = git else {
        return put(&directory.join(inside::CONFIGURATION_FILE), WITHOUT, 0o600);
    };
    let hooks = directory.join(inside::TEMPLATE).join("hooks");
    DirBuilder::new().recursive(true).mode(0o700).create(&hooks).map_err(failed("create", &hooks))?;
    for name in inside::HOOKS {
        put(&hooks.join(name), &inside::hook(name, Path::new(INSIDE_PROGRAM)), 0o700)?;
    }
    let rules = directory.join(inside::RULES_FILE);
    let text = serde_json::to_string(&git.rules).map_err(|error| failed("write", &rules)(error.into()))?;
    put(&rules, &text, 0o600)?;
    // What leads there comes last.
    put(&directory.join(inside::CONFIGURATION_FILE), &inside::configuration(git, Path::new(INSIDE)), 0o600)
}

fn put(path: &Path, text: &str, mode: u32) -> Result<(), SocketError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let written = || -> io::Result<()> {
        std::fs::write(&beside, text)?;
        std::fs::set_permissions(&beside, Permissions::from_mode(mode))?;
        std::fs::rename(&beside, path)
    };
    written().map_err(failed("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_plugin_git_reads_what_it_would_read_without_rcc() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), None).unwrap();
        let text = std::fs::read_to_string(dir.path().join(inside::CONFIGURATION_FILE)).unwrap();
        assert_eq!(text, "[include]\n\tpath = /etc/gitconfig\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
