//! The last steps before untrusted code: everything that a process can give up, in the only order
//! in which it can be given up.
//!
//! The sandbox's PID 1 calls [`drop_privileges`] when the file system stands, and [`confine`] right
//! before it forks the agent, which inherits it all. The verifier, which runs for as long and needs
//! but a pipe, calls [`close_inherited`].

use super::landlock::{self, LandlockError, LandlockStatus};
use super::seccomp::{self, Filter, SeccompError};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::PathBuf;

/// What [`confine`] needs.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// Compiled before the first fork.
    pub filter: Filter,
    /// Directories and files inside the new root that may be written: the project, `HOME`, `/tmp`,
    /// `/var/tmp`, `/dev`, `/run`, the user's writable mounts.
    pub writable: Vec<PathBuf>,
    /// The only programs that may be executed, with their loaders; any, if `None`. It needs Landlock.
    pub executes: Option<Vec<PathBuf>>,
    /// Ceiling of processes and threads, 1 or more, where no cgroup holds it; see
    /// [`super::cgroup::rlimit_counts_processes`].
    pub processes: Option<u64>,
}

/// The step that failed. The caller must not start the agent.
#[derive(Debug, thiserror::Error)]
pub enum LockdownError {
    /// close_range(2).
    #[error("cannot close inherited file descriptors: {0}; Linux 5.9 or newer is needed")]
    CloseInherited(#[source] Errno),
    /// keyctl(2).
    #[error("cannot leave the session keyring of the caller: {0}; keyctl show tells what is in the way")]
    Keyring(#[source] Errno),
    /// `PR_CAP_AMBIENT`.
    #[error("cannot clear the ambient capabilities: {0}")]
    Ambient(#[source] Errno),
    /// `PR_CAPBSET_DROP`.
    #[error("cannot drop capability {capability} from the bounding set: {source}")]
    Bounding {
        /// Its number in linux/capability.h.
        capability: u32,
        /// What prctl said.
        source: Errno,
    },
    /// `PR_SET_SECUREBITS`.
    #[error("cannot lock the secure bits: {0}")]
    SecureBits(#[source] Errno),
    /// capset(2).
    #[error("cannot drop the capabilities: {0}")]
    Capabilities(#[source] Errno),
    /// capset(2) reported success, yet capabilities remain.
    #[error("capabilities remain after dropping them all; this is a bug of rcc or of an outer sandbox")]
    CapabilitiesRemain,
    /// `PR_SET_NO_NEW_PRIVS`.
    #[error("cannot set no_new_privs: {0}")]
    NoNewPrivileges(#[source] Errno),
    /// `PR_SET_DUMPABLE`.
    #[error("cannot make the sandbox's PID 1 undumpable: {0}")]
    Dumpable(#[source] Errno),
    /// setrlimit(2).
    #[error("cannot set the limit of {what}: {source}")]
    Limit {
        /// The resource.
        what: &'static str,
        /// What setrlimit said.
        source: Errno,
    },
    /// See there.
    #[error(transparent)]
    Landlock(#[from] LandlockError),
    /// See there.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
}

/// Closes every file descriptor but stdin, stdout, stderr and those in `keep`.
///
/// # Safety
/// No other file descriptor may be used or dropped afterwards by this process: Rust values that
/// own one must be leaked, as is the case for whatever a forked child inherits and never drops.
pub unsafe fn close_inherited(keep: &[BorrowedFd<'_>]) -> Result<(), LockdownError> {
    let mut kept: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).chain(0..=2).collect();
    kept.sort_unstable();
    kept.dedup();
    let above = kept.iter().map(|fd| *fd as libc::c_uint + 1);
    let below = kept.iter().skip(1).map(|fd| *fd as libc::c_uint - 1).chain([libc::c_uint::MAX]);
    for (first, last) in above.zip(below).filter(|(first, last)| first <= last) {
        // SAFETY: the caller gave up every descriptor in these gaps.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } < 0 {
            return Err(LockdownError::CloseInherited(last_errno()));
        }
    }
    Ok(())
}

/// Gives up every capability, for good, and the session keyring. The caller has `CAP_SETPCAP` in its
/// user namespace; afterwards uid 0 is a uid as any other.
pub fn drop_privileges() -> Result<(), LockdownError> {
    leave_session_keyring()?;
    rustix::thread::clear_ambient_capability_set().map_err(LockdownError::Ambient)?;
    drop_bounding_set()?;
    rustix::thread::set_capabilities_secure_bits(locked_bits()).map_err(LockdownError::SecureBits)?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(LockdownError::Capabilities)?;
    if rustix::thread::capabilities(None).map_err(LockdownError::Capabilities)? != sets {
        return Err(LockdownError::CapabilitiesRemain);
    }
    rustix::thread::set_no_new_privs(true).map_err(LockdownError::NoNewPrivileges)
}

/// [`drop_privileges`] where somebody else has dropped them: makes sure that nothing is left, and that
/// nothing comes back.
pub fn verify_unprivileged() -> Result<(), LockdownError> {
    leave_session_keyring()?;
    drop_bounding_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    if rustix::thread::capabilities(None).map_err(LockdownError::Capabilities)? != sets {
        return Err(LockdownError::CapabilitiesRemain);
    }
    rustix::thread::set_no_new_privs(true).map_err(LockdownError::NoNewPrivileges)
}

/// Confines the calling process and whatever it forks. To be called after [`drop_privileges`], in
/// the sandbox's PID 1: a forked child becomes dumpable again when it executes a program.
pub fn confine(confinement: &Confinement) -> Result<LandlockStatus, LockdownError> {
    // Changing credentials resets this flag (prctl(2)), so not before they are final.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(LockdownError::Dumpable)?;
    // Below 1 a crash inside would still run the host's core_pattern program, as root: the kernel
    // ignores the limit for pipes, except this one value (fs/coredump.c).
    limit(Resource::Core, "core dumps", 1)?;
    if let Some(processes) = confinement.processes {
        limit(Resource::Nproc, "processes", processes)?;
    }
    let landlock = landlock::restrict(&confinement.writable, confinement.executes.as_deref())?;
    seccomp::install(&confinement.filter)?;
    Ok(landlock)
}

/// A new, empty, anonymous session keyring in place of the user's own, which may hold tickets and
/// keys. Where the kernel has no keyrings (ENOSYS) there is nothing to leave; an outer container's
/// seccomp profile (Docker's, EPERM) hides them from us and from the agent alike.
fn leave_session_keyring() -> Result<(), LockdownError> {
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: the kernel reads no memory for an anonymous keyring.
    if unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, anonymous) } >= 0 {
        return Ok(());
    }
    match last_errno() {
        Errno::NOSYS | Errno::PERM => Ok(()),
        errno => Err(LockdownError::Keyring(errno)),
    }
}

/// Drops what the kernel knows, up to the first number that it does not.
fn drop_bounding_set() -> Result<(), LockdownError> {
    for capability in 0..u64::BITS {
        let set = CapabilitySet::from_bits_retain(1 << capability);
        match rustix::thread::capability_is_in_bounding_set(set) {
            Ok(true) => rustix::thread::remove_capability_from_bounding_set(set),
            Ok(false) => Ok(()),
            Err(Errno::INVAL) => return Ok(()),
            Err(errno) => Err(errno),
        }
        .map_err(|source| LockdownError::Bounding { capability, source })?;
    }
    Ok(())
}

/// No capabilities for uid 0, none kept over a change of uid, none ambient, and no way back.
fn locked_bits() -> CapabilitiesSecureBits {
    CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED
}

/// Sets both limits, never above what the process has.
fn limit(resource: Resource, what: &'static str, ceiling: u64) -> Result<(), LockdownError> {
    let ceiling = rustix::process::getrlimit(resource).maximum.map_or(ceiling, |maximum| maximum.min(ceiling));
    let both = Rlimit { current: Some(ceiling), maximum: Some(ceiling) };
    rustix::process::setrlimit(resource, both).map_err(|source| LockdownError::Limit { what, source })
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
