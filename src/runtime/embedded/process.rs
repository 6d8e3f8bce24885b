//! Creating processes: fork(2) and clone3(2) for a program with one thread.

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use std::path::Path;

/// Namespaces of the sandbox's PID 1 on every kernel.
const SANDBOX_NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

/// Namespaces of the supervisor.
pub const SUPERVISOR_NAMESPACES: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) as u64;

/// `CLONE_NEWTIME`, linux/sched.h; only clone3 and unshare take it.
const CLONE_NEWTIME: u64 = 0x80;

/// What Rust's own runtime exits with after a panic.
const PANICKED: u8 = 101;

/// Makes a child in new namespaces and runs `child` there; it ends with the status that `child`
/// returns, without running exit handlers.
///
/// The caller must have a single thread: only the calling thread exists in the child. The child
/// is new to glibc, which still has the parent's thread id cached; nothing here depends on it.
pub fn clone_into(namespaces: u64, child: impl FnOnce() -> u8) -> Result<Pid, Errno> {
    let mut arguments = libc::clone_args {
        flags: namespaces,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    // SAFETY: without CLONE_VM this is a fork: the child gets a copy of the address space and of
    // the stack; the structure outlives the call and its size is passed.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    finish_fork(pid, child)
}

/// [`SANDBOX_NAMESPACES`], and a time namespace where the kernel has them.
pub fn sandbox_namespaces() -> u64 {
    let time = if Path::new("/proc/self/ns/time").exists() { CLONE_NEWTIME } else { 0 };
    SANDBOX_NAMESPACES | time
}

/// fork(2); see [`clone_into`].
pub fn fork(child: impl FnOnce() -> u8) -> Result<Pid, Errno> {
    // SAFETY: the program has one thread, so the child may run any code.
    let pid = unsafe { libc::fork() };
    finish_fork(i64::from(pid), child)
}

/// fork(2) of a child whose parent is the caller's own (`CLONE_PARENT`, clone(2)), which is told of its end as of the
/// caller's.
pub fn fork_sibling(child: impl FnOnce() -> u8) -> Result<Pid, Errno> {
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    // SAFETY: as of fork; without a stack and pointers nothing else is read, in whichever order the machine has them.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    finish_fork(pid, child)
}

fn finish_fork(pid: i64, child: impl FnOnce() -> u8) -> Result<Pid, Errno> {
    match pid {
        0 => {
            // A panic must not unwind into the parent's copy of the stack, whose values would
            // be dropped here too: locks released, files removed.
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(PANICKED);
            // SAFETY: _exit has no preconditions; it never returns, so nothing is dropped.
            unsafe { libc::_exit(libc::c_int::from(status)) }
        }
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
        pid => Ok(Pid::from_raw(pid as i32).unwrap_or(Pid::INIT)),
    }
}

/// Keeps what the caller left to this program from the programs that it executes, pasta and the id
/// mappers: open descriptors, a secret's perhaps.
pub fn keep_descriptors() -> Result<(), Errno> {
    const FIRST: libc::c_uint = 3; // above standard error
    // SAFETY: with this flag nothing is closed before an exec, and no memory is touched.
    let result = unsafe { libc::close_range(FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
    }
}

/// Makes the ends of children known again: a caller may have left SIGCHLD ignored, which exec
/// keeps, and the kernel then reaps them all by itself (wait(2)). Signals that a caller has reason
/// to ignore, as nohup(1) does, stay so.
pub fn notice_children() {
    // SAFETY: resetting a disposition to its default has no preconditions.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Waits for this child, however often a signal interrupts.
pub fn wait(pid: Pid) -> Result<WaitStatus, Errno> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) | Err(Errno::INTR) => (),
            Err(error) => return Err(error),
        }
    }
}

/// The status as one byte, as shells do: the exit code, or 128 and the signal.
pub fn exit_byte(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    u8::try_from(code.unwrap_or(255)).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_what_it_returns() {
        let child = fork(|| 42).unwrap();
        assert_eq!(exit_byte(wait(child).unwrap()), 42);
    }

    #[test]
    fn the_end_of_a_child_is_noticed_though_the_caller_ignored_them_all() {
        let middle = fork(|| {
            // SAFETY: SIG_IGN installs no handler.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            notice_children();
            fork(|| 42).and_then(wait).map_or(1, exit_byte)
        });
        assert_eq!(exit_byte(wait(middle.unwrap()).unwrap()), 42);
    }

    #[test]
    fn a_panic_in_a_child_drops_nothing_of_the_parent() {
        let dir = tempfile::tempdir().unwrap();
        let child = fork(|| panic!("in the child")).unwrap();
        assert_eq!(exit_byte(wait(child).unwrap()), PANICKED);
        assert!(dir.path().exists());
    }

    #[test]
    fn a_clone_is_the_first_process_of_its_namespace() {
        let child = clone_into(SUPERVISOR_NAMESPACES, || u8::from(std::process::id() == 1)).unwrap();
        assert_eq!(exit_byte(wait(child).unwrap()), 1);
    }
}
