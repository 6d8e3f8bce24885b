//! Whether the kernel lets a user build a sandbox: tried, in a child that exits at once.

use crate::facts::User;
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;

/// Namespaces that need the capabilities which a new user namespace gives. AppArmor may grant the
/// namespace and withhold these.
const FURTHER: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// The child could not be made or become the user.
    Start = 1,
    /// A user namespace.
    User = 2,
    /// The other namespaces in it.
    Further = 3,
    /// A new `/proc` in them.
    Proc = 4,
}

/// A refusal by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// At which stage.
    pub stage: Stage,
    /// errno(3)
    pub errno: i32,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.stage {
            Stage::Start => "starting the trial",
            Stage::User => "creating a user namespace",
            Stage::Further => "creating the other namespaces inside a user namespace",
            Stage::Proc => "mounting /proc inside the namespaces",
        };
        write!(out, "{what} failed: {}", std::io::Error::from_raw_os_error(self.errno))
    }
}

/// Builds what a sandbox needs, as this user.
pub fn attempt(user: &User) -> Result<(), Refusal> {
    let start = |errno: rustix::io::Errno| Refusal { stage: Stage::Start, errno: errno.raw_os_error() };
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(start)?;
    // SAFETY: the child calls nothing but system calls, all of them safe after fork, and exits.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(Refusal { stage: Stage::Start, errno: last_errno() });
    }
    if child == 0 {
        let report = match try_stages(user.uid, user.gid) {
            Ok(()) => [0, 0],
            // Errno values lie below 256 on Linux (asm-generic/errno.h).
            Err(Refusal { stage, errno }) => [stage as u8, errno as u8],
        };
        // SAFETY: the buffer outlives the call, and `_exit` ends the child without running
        // anything that belongs to its parent.
        unsafe {
            libc::write(writer.as_raw_fd(), report.as_ptr().cast(), report.len());
            libc::_exit(0);
        }
    }
    drop(writer);
    let mut report = [Stage::Start as u8, libc::ECHILD as u8];
    let _ = File::from(reader).read_exact(&mut report);
    // SAFETY: waits for our own child; a null status pointer is allowed.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let stage = match report[0] {
        0 => return Ok(()),
        2 => Stage::User,
        3 => Stage::Further,
        4 => Stage::Proc,
        _ => Stage::Start,
    };
    Err(Refusal { stage, errno: i32::from(report[1]) })
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn check(stage: Stage, result: libc::c_int) -> Result<(), Refusal> {
    if result < 0 { Err(Refusal { stage, errno: last_errno() }) } else { Ok(()) }
}

/// Runs in the child.
fn try_stages(uid: u32, gid: u32) -> Result<(), Refusal> {
    // SAFETY: plain system calls on integers; this process is a throwaway child.
    unsafe {
        if libc::geteuid() != uid {
            check(Stage::Start, libc::setgroups(0, std::ptr::null()))?;
            check(Stage::Start, libc::setresgid(gid, gid, gid))?;
            check(Stage::Start, libc::setresuid(uid, uid, uid))?;
            // Changing ids makes a process undumpable, and its /proc files root's.
            check(Stage::Start, libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0))?;
        }
        check(Stage::User, libc::unshare(libc::CLONE_NEWUSER))?;
        check(Stage::Further, libc::unshare(FURTHER))?;
        // The first child in the new pid namespace: a proc for it can be mounted only there.
        let inner = libc::fork();
        check(Stage::Further, inner)?;
        if inner == 0 {
            let status = mount_proc().err().map_or(0, |refusal| refusal.errno);
            libc::_exit(status);
        }
        let mut status = 0;
        check(Stage::Proc, libc::waitpid(inner, &mut status, 0))?;
        match libc::WEXITSTATUS(status) {
            0 if libc::WIFEXITED(status) => Ok(()),
            errno => Err(Refusal { stage: Stage::Proc, errno }),
        }
    }
}

fn mount_proc() -> Result<(), Refusal> {
    const PROC: &CStr = c"proc";
    const TARGET: &CStr = c"/proc";
    // SAFETY: all pointers are to constant C strings; the mount is seen by this namespace alone.
    check(Stage::Proc, unsafe { libc::mount(PROC.as_ptr(), TARGET.as_ptr(), PROC.as_ptr(), 0, std::ptr::null()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_tried_and_why_not() {
        let refusal = Refusal { stage: Stage::Further, errno: libc::EPERM };
        let expected = "creating the other namespaces inside a user namespace failed: Operation not permitted";
        assert!(refusal.to_string().starts_with(expected), "{refusal}");
    }

    #[test]
    fn the_trial_changes_nothing_of_the_caller() {
        let namespaces = || {
            let link = |name: &str| std::fs::read_link(format!("/proc/thread-self/ns/{name}")).unwrap();
            ["user", "net", "mnt", "pid"].map(link)
        };
        let before = namespaces();
        let _ = attempt(&crate::facts::Facts::gather().unwrap().user);
        assert_eq!(namespaces(), before);
    }
}
