//! Changing who does the work: root through sudo, or the user from root.

use super::Failure;
use crate::facts::{self, User};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The running program's file.
///
/// # Errors
/// If it was replaced since it was started, so that its path names another file or none.
pub fn running_program() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?;
    let replaced = path.to_string_lossy().ends_with(" (deleted)") || !path.exists();
    if replaced {
        return Err("rcc's program was replaced while it ran: start it again".into());
    }
    Ok(path)
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

/// Does something as this user: here, if this process is that user's, else in a child that has
/// given up root for good. Says whether it went well.
pub fn as_user(user: &User, act: &dyn Fn() -> bool) -> Result<bool, Failure> {
    if rustix::process::geteuid().as_raw() == user.uid {
        return Ok(act());
    }
    // SAFETY: setup runs a single thread, so that the child has a whole process to go on with.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    if child == 0 {
        let done = become_user(user) && act();
        // SAFETY: ends the child without running what belongs to its parent.
        unsafe { libc::_exit(i32::from(!done)) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child and writes to a local.
    while unsafe { libc::waitpid(child, &mut status, 0) } < 0 {
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error.into());
        }
    }
    Ok(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0)
}

fn become_user(user: &User) -> bool {
    // SAFETY: system calls on integers and on one local; the order matters, ids last. This
    // process has a single thread, so that its environment can be changed.
    unsafe {
        std::env::set_var("HOME", &user.home);
        std::env::set_var("USER", &user.name);
        libc::setgroups(1, &user.gid) == 0
            && libc::setresgid(user.gid, user.gid, user.gid) == 0
            && libc::setresuid(user.uid, user.uid, user.uid) == 0
            && libc::setuid(0) != 0
    }
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
