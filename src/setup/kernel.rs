//! What the kernel offers: asked by system calls that have no effect.

use super::version::Version;

/// The floor, by mount_setattr(2): it makes whole mount trees read-only at once. Below it:
/// openat2(2) 5.6, close_range(2) 5.9, pidfd_open(2) 5.3, the new mount API 5.2.
pub const FLOOR: Version = Version([5, 12, 0]);

/// System calls that rcc can't do without. Some containers' seccomp filters hide them.
const CALLS: [(&str, libc::c_long); 5] = [
    ("openat2", libc::SYS_openat2),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("close_range", libc::SYS_close_range),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("move_mount", libc::SYS_move_mount),
];

/// Those of them that do not exist here.
pub fn missing_calls() -> Vec<&'static str> {
    let absent = |number: libc::c_long| {
        // SAFETY: every argument is invalid for each of these calls (a negative descriptor or
        // process, a range that ends before it begins, null pointers), so that none has an effect.
        let result = unsafe { libc::syscall(number, -1_i64, 0_i64, 0_i64, 0_i64, 0_i64) };
        result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
    };
    CALLS.iter().filter(|(_, number)| absent(*number)).map(|(name, _)| *name).collect()
}

/// Whether the kernel has seccomp filters; prctl(2), PR_GET_SECCOMP.
pub fn has_seccomp() -> bool {
    // SAFETY: reads one value of this process.
    let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) };
    mode >= 0 && std::path::Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

/// The version of Landlock's interface, or `None` where the kernel has it not or off;
/// landlock_create_ruleset(2).
pub fn landlock_abi() -> Option<u32> {
    const LANDLOCK_CREATE_RULESET_VERSION: libc::c_ulong = 1;
    // SAFETY: a null attribute of size 0 with this flag only asks for the version.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(abi).ok().filter(|&abi| abi > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_calls_closes_no_descriptor() {
        let file = tempfile::tempfile().unwrap();
        missing_calls();
        assert!(file.metadata().is_ok());
    }
}
