//! The broker's process as others see it.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Credentials could be read out of this process, so it must not get any.
#[derive(Debug, thiserror::Error)]
pub enum HardenError {
    /// `PR_SET_DUMPABLE`.
    #[error("cannot keep other processes from reading the broker's memory (PR_SET_DUMPABLE): {0}")]
    Dumpable(#[source] Errno),
    /// setrlimit(2).
    #[error("cannot turn off the broker's core dumps (RLIMIT_CORE): {0}")]
    Core(#[source] Errno),
}

/// Keeps other processes of the same user from reading this one's memory, environment and file descriptors
/// (ptrace(2), `/proc/PID/mem`, `environ`, `fd`), and crashes from writing it down. To be called first thing, and again
/// after a change of credentials, which resets it (prctl(2)).
///
/// What such processes can still do is all that the user can: read a file that a credential comes from, run the
/// program that prints it, replace the user's own manifests or the broker's program, ask the broker as a session
/// of the user's would, end it. They are the user. Agents are not among them: they see none of the host's
/// processes.
///
/// From now on `/proc/self` belongs to root, for this process and for those that it forks, until they execute
/// another program: an id mapping, for one, is written by such a one alone.
///
/// # Errors
/// See [`HardenError`].
pub fn harden() -> Result<(), HardenError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(HardenError::Dumpable)?;
    // 1 and not 0: the kernel hands a dump to a program by core_pattern(5) whatever the limit, but for this value
    // (fs/coredump.c).
    let limit = getrlimit(Resource::Core).maximum.map_or(1, |maximum| maximum.min(1));
    setrlimit(Resource::Core, Rlimit { current: Some(limit), maximum: Some(limit) }).map_err(HardenError::Core)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const CHILD: &str = "RCC_TEST_HARDENS";

    /// This very test in another process, as it can't be undone.
    #[test]
    fn a_hardened_process_is_not_dumped() {
        if std::env::var_os(CHILD).is_some() {
            harden().unwrap();
            assert_eq!(rustix::process::dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
            assert!(getrlimit(Resource::Core).maximum.is_some_and(|limit| limit <= 1));
            return harden().unwrap();
        }
        let test = "plugin::credential::harden::tests::a_hardened_process_is_not_dumped";
        let output =
            Command::new(std::env::current_exe().unwrap()).args(["--exact", test]).env(CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
}
