//! Children in namespaces of their own, confined as the agent is.
//!
//! Each check runs in a forked child and says what is wrong as text, which comes back through a
//! pipe: the confined child could not tell it otherwise.

use rcc::runtime::embedded::lockdown::{self, Confinement};
use rcc::runtime::embedded::seccomp;
use rustix::process::{DumpableBehavior, Gid, Uid};
use rustix::thread::UnshareFlags;
use std::io::{Read, Write};
use std::path::PathBuf;

/// What a check found wrong.
pub type Finding = Result<(), String>;

/// A uid that owns nothing on any machine.
const STRANGER: u32 = 4_242;

/// Whom the agent may be: root and an ordinary user, as far as the tests' own user can become them.
pub fn users() -> Vec<u32> {
    match rustix::process::geteuid().as_raw() {
        0 => vec![0, STRANGER],
        uid => vec![uid],
    }
}

/// In namespaces of its own, with every capability there, under the system call filter alone.
#[track_caller]
pub fn filtered(uid: u32, check: impl FnOnce() -> Finding) {
    report(uid, || {
        in_namespaces(uid, || {
            seccomp::install(&seccomp::compile().unwrap()).map_err(text)?;
            check()
        })
    });
}

/// As the agent: a child of a PID 1 that dropped everything. `writable` besides `/dev`.
#[track_caller]
pub fn confined(uid: u32, writable: &[PathBuf], check: impl FnOnce() -> Finding) {
    confined_with(uid, writable, None, check);
}

/// As [`confined`], with a ceiling of processes.
#[track_caller]
pub fn confined_with(uid: u32, writable: &[PathBuf], processes: Option<u64>, check: impl FnOnce() -> Finding) {
    confined_to(uid, writable, None, processes, check);
}

/// As [`confined`], where only these programs can be executed.
#[track_caller]
pub fn confined_to_programs(uid: u32, executes: &[PathBuf], check: impl FnOnce() -> Finding) {
    confined_to(uid, &[], Some(executes.to_owned()), None, check);
}

#[track_caller]
fn confined_to(
    uid: u32,
    writable: &[PathBuf],
    executes: Option<Vec<PathBuf>>,
    processes: Option<u64>,
    check: impl FnOnce() -> Finding,
) {
    let writable = [writable, &["/dev".into()]].concat();
    report(uid, || {
        in_namespaces(uid, || {
            lockdown::drop_privileges().map_err(text)?;
            let filter = seccomp::compile().unwrap();
            lockdown::confine(&Confinement { filter, writable, executes, processes }).map_err(text)?;
            in_child(check)
        })
    });
}

/// With every capability in namespaces of its own, and nothing taken away yet.
#[track_caller]
pub fn in_own_namespaces(uid: u32, check: impl FnOnce() -> Finding) {
    report(uid, || in_namespaces(uid, check));
}

/// A directory that `uid` owns.
pub fn directory_of(uid: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(uid), Some(uid)).unwrap();
    dir
}

/// `Ok` where the call fails with this errno, else what it did.
pub fn refused(what: &str, result: i64, errno: i32) -> Finding {
    let error = std::io::Error::last_os_error();
    match result {
        -1 if error.raw_os_error() == Some(errno) => Ok(()),
        -1 => Err(format!("{what}: {error}, expected {}", std::io::Error::from_raw_os_error(errno))),
        _ => Err(format!("{what}: succeeded with {result}")),
    }
}

/// `Ok` where this holds.
pub fn holds(what: &str, condition: bool) -> Finding {
    if condition { Ok(()) } else { Err(what.to_owned()) }
}

pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[track_caller]
fn report(uid: u32, check: impl FnOnce() -> Finding) {
    if let Err(finding) = in_child(check) {
        panic!("as uid {uid}: {finding}");
    }
}

/// Runs the check in a forked child.
pub fn in_child(check: impl FnOnce() -> Finding) -> Finding {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: the child only runs the check and exits; glibc keeps malloc usable after fork.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(reader);
        let panicked = || Err("the check panicked".to_owned());
        let finding = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).unwrap_or_else(|_| panicked());
        let status = finding.is_err().into();
        let _ = writer.write_all(finding.err().unwrap_or_default().as_bytes());
        // SAFETY: ends the child without running the test harness's exit handlers.
        unsafe { libc::_exit(status) }
    }
    drop(writer);
    let mut finding = String::new();
    reader.read_to_string(&mut finding).unwrap();
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    match (libc::WIFSIGNALED(status), finding) {
        (true, _) => Err(format!("killed by signal {}", libc::WTERMSIG(status))),
        (false, finding) if finding.is_empty() && status == 0 => Ok(()),
        (false, finding) => Err(format!("{finding} (status {status})")),
    }
}

fn in_namespaces(uid: u32, check: impl FnOnce() -> Finding) -> Finding {
    if uid != rustix::process::geteuid().as_raw() {
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        rustix::thread::set_thread_groups(&[]).map_err(text)?;
        rustix::thread::set_thread_res_gid(group, group, group).map_err(text)?;
        rustix::thread::set_thread_res_uid(user, user, user).map_err(text)?;
        // Else /proc/self belongs to root.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(text)?;
    }
    let gid = rustix::process::getegid().as_raw();
    let all = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    // SAFETY: no descriptor table is shared, hence none unshared.
    unsafe { rustix::thread::unshare_unsafe(all) }.map_err(|error| format!("unshare: {error}"))?;
    for (file, content) in [("setgroups", "deny".into()), ("uid_map", map(uid)), ("gid_map", map(gid))] {
        std::fs::write(format!("/proc/self/{file}"), content).map_err(|error| format!("{file}: {error}"))?;
    }
    in_child(|| {
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("proc", "/proc", "proc", flags, None).map_err(|error| format!("mount /proc: {error}"))?;
        check()
    })
}

fn map(id: u32) -> String {
    format!("{id} {id} 1")
}
