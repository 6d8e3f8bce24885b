//! Becoming root through sudo.

use super::Failure;
use crate::facts;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The running program's file: an absolute path without symbolic links.
///
/// # Errors
/// If it was replaced since it was started, so that its path names another file or none.
pub fn running_program() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?;
    let replaced = path.to_string_lossy().ends_with(" (deleted)") || !path.exists();
    if replaced {
        return Err("rcc's program was replaced while it ran: start it again".into());
    }
    // macOS names it as it was called, by a link perhaps.
    Ok(std::fs::canonicalize(path)?)
}

/// The command that does `arguments` as root. `interactive`: whether sudo may ask for a password.
pub fn through_sudo(sudo: &Path, rcc: &Path, arguments: &[OsString], interactive: bool) -> Vec<OsString> {
    let mut command = vec![sudo.into()];
    if !interactive {
        command.push("--non-interactive".into());
    }
    command.extend(["--".into(), rcc.into()]);
    command.extend_from_slice(arguments);
    command
}

/// Runs rcc again as root with these arguments; says whether it ended well.
pub fn rerun_as_root(arguments: &[OsString], interactive: bool) -> Result<bool, Failure> {
    let rcc = running_program()?;
    let sudo = facts::program("sudo").ok_or("sudo is not installed: become root and run `rcc setup` again")?;
    let command = through_sudo(&sudo, &rcc, arguments, interactive);
    let status = Command::new(&command[0]).args(&command[1..]).status()?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_typed_becomes_an_option_of_sudo() {
        let typed: Vec<OsString> = vec!["setup".into(), "-y".into()];
        let command = through_sudo(Path::new("/usr/bin/sudo"), Path::new("/home/a/rcc"), &typed, false);
        let expected = ["/usr/bin/sudo", "--non-interactive", "--", "/home/a/rcc", "setup", "-y"];
        assert_eq!(command, expected);
    }
}
