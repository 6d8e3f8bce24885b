//! What the agent and its PID 1 have left.

use crate::fixture::{confined, confined_with, holds, in_child, in_own_namespaces, refused, text, users};
use libc::{EACCES, EAGAIN, EPERM};
use rcc::runtime::embedded::lockdown;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::process::Command;

/// The value of a line of /proc/self/status.
fn status(key: &str) -> Result<String, String> {
    let status = fs::read_to_string("/proc/self/status").map_err(text)?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned()).ok_or(format!("no {key}"))
}

#[test]
fn no_capability_is_left_in_any_set() {
    for uid in users() {
        confined(uid, &[], || {
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                holds(set, status(set)? == "0000000000000000")?;
            }
            holds("NoNewPrivs", status("NoNewPrivs")? == "1")?;
            // 2 is SECCOMP_MODE_FILTER.
            holds("Seccomp", status("Seccomp")? == "2")
        });
    }
}

#[test]
fn executing_a_program_as_root_gives_nothing_back() {
    for uid in users() {
        confined(uid, &[], || {
            let output = Command::new("grep").args(["-c", "^Cap.*:.*[1-9a-f]", "/proc/self/status"]).output();
            holds("some capability", output.map_err(text)?.stdout == b"0\n")
        });
    }
}

#[test]
fn the_secure_bits_are_locked() {
    for uid in users() {
        in_own_namespaces(uid, || {
            lockdown::drop_privileges().map_err(text)?;
            let bits = rustix::thread::capabilities_secure_bits().map_err(text)?;
            let locked = rustix::thread::CapabilitiesSecureBits::NO_ROOT_LOCKED;
            holds(&format!("{bits:?}"), bits.contains(locked | rustix::thread::CapabilitiesSecureBits::NO_ROOT))
        });
    }
}

#[test]
fn the_session_keyring_is_not_the_callers() {
    const SESSION: libc::c_long = -3; // KEY_SPEC_SESSION_KEYRING
    // SAFETY: takes no pointers.
    let keyring = || unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_GET_KEYRING_ID, SESSION, 0) };
    for uid in users() {
        in_own_namespaces(uid, || {
            let before = keyring();
            lockdown::drop_privileges().map_err(text)?;
            holds(&format!("keyring {before} is kept"), before != keyring())
        });
    }
}

#[test]
fn the_first_process_cannot_be_touched() {
    for uid in users() {
        confined(uid, &[], || {
            let nothing = std::ptr::null_mut::<libc::c_void>();
            // SAFETY: attaching touches no memory of ours.
            refused("ptrace", unsafe { libc::ptrace(libc::PTRACE_ATTACH, 1, nothing, nothing) }, EPERM)?;
            let mut byte = 0_u8;
            let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
            let remote = libc::iovec { iov_base: 0x1000 as *mut libc::c_void, iov_len: 1 };
            // SAFETY: one byte of ours is writable.
            let read = unsafe { libc::process_vm_readv(1, &local, 1, &remote, 1, 0) };
            refused("process_vm_readv", read as i64, EPERM)?;
            for entry in ["mem", "environ", "maps", "root/etc", "cwd/etc", "fd/0"] {
                let opened = fs::File::open(format!("/proc/1/{entry}"));
                let errno = opened.as_ref().err().and_then(std::io::Error::raw_os_error);
                holds(&format!("/proc/1/{entry}: {opened:?}"), matches!(errno, Some(EACCES | EPERM)))?;
            }
            Ok(())
        });
    }
}

#[test]
fn the_first_process_survives_its_children() {
    for uid in users() {
        confined(uid, &[], || {
            for signal in [libc::SIGKILL, libc::SIGSTOP, libc::SIGTERM] {
                // SAFETY: PID 1 of our own namespace, which the kernel shields.
                unsafe { libc::kill(1, signal) };
            }
            // SAFETY: takes no pointers.
            holds("its state", unsafe { libc::getppid() } == 1)
        });
    }
}

#[test]
fn no_core_is_dumped() {
    for uid in users() {
        confined(uid, &[], || {
            let core = rustix::process::getrlimit(rustix::process::Resource::Core);
            holds(&format!("{core:?}"), core.current == Some(1) && core.maximum == Some(1))
        });
    }
}

#[test]
fn the_process_ceiling_counts_this_sandbox_alone() {
    for uid in users().into_iter().filter(|uid| *uid != 0) {
        // The fixture that entered the user namespace, PID 1, the agent and three more.
        confined_with(uid, &[], Some(6), || {
            let mut asleep = Vec::new();
            for _ in 0..3 {
                asleep.push(Command::new("sleep").arg("60").spawn().map_err(text)?);
            }
            let surplus = Command::new("true").spawn().map(|_| "one too many");
            let errno = surplus.as_ref().err().and_then(std::io::Error::raw_os_error);
            holds(&format!("{surplus:?}"), errno == Some(EAGAIN))
        });
    }
}

#[test]
fn only_the_kept_descriptors_stay_open() {
    in_child(|| {
        let [low, kept, high] = [(); 3].map(|()| fs::File::open("/dev/null").unwrap());
        let numbers = [low.as_raw_fd(), high.as_raw_fd()];
        let far = rustix::io::fcntl_dupfd_cloexec(&high, 900).map_err(text)?.into_raw_fd();
        // SAFETY: the others are leaked, and this child ends by _exit.
        unsafe { lockdown::close_inherited(&[kept.as_fd()]) }.map_err(text)?;
        std::mem::forget((low, high));
        // SAFETY: only asks about numbers.
        let open = |fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
        let stay = [0, 1, 2, kept.as_raw_fd()].into_iter().all(open);
        let gone = ![numbers[0], numbers[1], far].into_iter().any(open);
        // The pipe that would carry a finding is closed too: the status tells.
        if stay && gone { Ok(()) } else { Err(String::from("wrong descriptors")) }
    })
    .unwrap();
}
