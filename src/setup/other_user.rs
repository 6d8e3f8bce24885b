//! Giving up root for a user.

use super::Failure;
use crate::facts::User;

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
