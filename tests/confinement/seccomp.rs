//! Judged with every capability in own namespaces, where the kernel itself would say yes.

use crate::fixture::{directory_of, filtered, holds, in_child, refused, users};
use libc::{EAFNOSUPPORT, ENOSYS, EPERM, c_int, c_long, c_ulong};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

/// A call with these arguments and zeros.
fn call(number: c_long, arguments: &[c_ulong]) -> i64 {
    let argument = |position: usize| arguments.get(position).copied().unwrap_or(0);
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(argument);
    // SAFETY: pointers among the arguments are null or live for the call.
    unsafe { libc::syscall(number, a, b, c, d, e) }
}

#[test]
fn privileged_calls_fail_with_eperm() {
    let calls = [
        ("mount", libc::SYS_mount),
        ("umount2", libc::SYS_umount2),
        ("fsopen", libc::SYS_fsopen),
        ("fsconfig", libc::SYS_fsconfig),
        ("fsmount", libc::SYS_fsmount),
        ("fspick", libc::SYS_fspick),
        ("move_mount", libc::SYS_move_mount),
        ("open_tree", libc::SYS_open_tree),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("pivot_root", libc::SYS_pivot_root),
        ("chroot", libc::SYS_chroot),
        ("setns", libc::SYS_setns),
        ("sethostname", libc::SYS_sethostname),
        ("bpf", libc::SYS_bpf),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("pidfd_getfd", libc::SYS_pidfd_getfd),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("kexec_load", libc::SYS_kexec_load),
        ("init_module", libc::SYS_init_module),
        ("finit_module", libc::SYS_finit_module),
        ("delete_module", libc::SYS_delete_module),
        ("reboot", libc::SYS_reboot),
        ("swapon", libc::SYS_swapon),
        ("syslog", libc::SYS_syslog),
        ("fanotify_init", libc::SYS_fanotify_init),
        ("quotactl", libc::SYS_quotactl),
        ("acct", libc::SYS_acct),
        ("settimeofday", libc::SYS_settimeofday),
        ("vhangup", libc::SYS_vhangup),
    ];
    for uid in users() {
        filtered(uid, || calls.iter().try_for_each(|(name, number)| refused(name, call(*number, &[]), EPERM)));
    }
}

#[test]
fn calls_that_need_no_filtering_elsewhere_do_not_exist() {
    let calls = [
        ("clone3", libc::SYS_clone3),
        ("openat2", libc::SYS_openat2),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("io_uring_enter", libc::SYS_io_uring_enter),
        ("io_uring_register", libc::SYS_io_uring_register),
        ("keyctl", libc::SYS_keyctl),
        ("add_key", libc::SYS_add_key),
        ("request_key", libc::SYS_request_key),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("kcmp", libc::SYS_kcmp),
        ("a call of the future", 5_000),
    ];
    for uid in users() {
        filtered(uid, || calls.iter().try_for_each(|(name, number)| refused(name, call(*number, &[]), ENOSYS)));
    }
}

const NAMESPACES: [(&str, c_int); 7] = [
    ("user", libc::CLONE_NEWUSER),
    ("mount", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
];

#[test]
fn no_namespace_can_be_made() {
    for uid in users() {
        filtered(uid, || {
            for (name, flag) in NAMESPACES.into_iter().chain([("time", libc::CLONE_NEWTIME)]) {
                refused(name, call(libc::SYS_unshare, &[flag as c_ulong]), EPERM)?;
                let among = (flag | libc::CLONE_FS) as c_ulong;
                refused(name, call(libc::SYS_unshare, &[among]), EPERM)?;
            }
            for (name, flag) in NAMESPACES {
                for high in [0, 1 << 32, 1 << 63] {
                    let flags = high | (flag | libc::SIGCHLD) as c_ulong;
                    let result = call(libc::SYS_clone, &[flags]);
                    if result == 0 {
                        // SAFETY: the clone that should not be ends at once.
                        unsafe { libc::_exit(0) }
                    }
                    refused(name, result, EPERM)?;
                }
            }
            holds("unshare without namespaces", call(libc::SYS_unshare, &[libc::CLONE_FS as c_ulong]) == 0)
        });
    }
}

#[test]
fn nothing_can_be_typed_into_a_terminal() {
    let requests = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD];
    for uid in users() {
        filtered(uid, || {
            for request in requests {
                for high in [0, 1 << 32, 0xffff_ffff << 32] {
                    // Without the filter no descriptor -1 would be EBADF.
                    let arguments = [c_ulong::MAX, high | request as c_ulong];
                    refused(&format!("ioctl {request:#x}"), call(libc::SYS_ioctl, &arguments), EPERM)?;
                }
            }
            refused("TIOCGWINSZ", call(libc::SYS_ioctl, &[c_ulong::MAX, libc::TIOCGWINSZ as c_ulong]), libc::EBADF)
        });
    }
}

#[test]
fn sockets_are_local_ip_or_rtnetlink() {
    let allowed = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let (stream, dgram, raw) = (libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW);
    let socket = |family: c_int, kind: c_int, protocol: c_int| {
        call(libc::SYS_socket, &[family as c_ulong, kind as c_ulong, protocol as c_ulong])
    };
    for uid in users() {
        filtered(uid, || {
            for family in (0..64).filter(|family| !allowed.contains(family)) {
                refused(&format!("family {family}"), socket(family, raw, 0), EAFNOSUPPORT)?;
            }
            for protocol in 1..32 {
                refused(&format!("netlink {protocol}"), socket(libc::AF_NETLINK, raw, protocol), EAFNOSUPPORT)?;
            }
            for family in [libc::AF_INET, libc::AF_INET6] {
                for protocol in [libc::IPPROTO_SCTP, libc::IPPROTO_DCCP, libc::IPPROTO_UDPLITE, libc::IPPROTO_RAW] {
                    refused(&format!("protocol {protocol}"), socket(family, raw, protocol), EAFNOSUPPORT)?;
                }
                for kind in [libc::SOCK_SEQPACKET, libc::SOCK_DCCP] {
                    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
                    refused(&format!("type {kind:#x}"), socket(family, kind, 0), EAFNOSUPPORT)?;
                }
                holds("TCP", socket(family, stream | libc::SOCK_CLOEXEC, libc::IPPROTO_TCP) >= 0)?;
                holds("UDP", socket(family, dgram, 0) >= 0)?;
            }
            holds("rtnetlink", socket(libc::AF_NETLINK, raw, libc::NETLINK_ROUTE) >= 0)?;
            holds("unix seqpacket", socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0) >= 0)?;
            let high = 1 << 32 | libc::AF_VSOCK as c_ulong;
            refused("vsock with high bits", call(libc::SYS_socket, &[high, stream as c_ulong]), EAFNOSUPPORT)?;
            let pair = call(libc::SYS_socketpair, &[libc::AF_TIPC as c_ulong, stream as c_ulong]);
            refused("socketpair", pair, EAFNOSUPPORT)
        });
    }
}

#[test]
fn no_file_becomes_setuid() {
    for uid in users() {
        let dir = directory_of(uid);
        let path = |name: &str| CString::new(dir.path().join(name).as_os_str().as_bytes()).unwrap();
        let (old, new, folder) = (path("old"), path("new"), path(""));
        filtered(uid, || {
            let [old, new, folder] = [&old, &new, &folder].map(|path| path.as_ptr() as c_ulong);
            let here = libc::AT_FDCWD as c_ulong;
            let (setuid, create) = (0o4755, (libc::O_CREAT | libc::O_RDWR) as c_ulong);
            let file = call(libc::SYS_openat, &[here, old, create, 0o755]);
            holds("an ordinary file", file >= 0)?;
            refused("fchmod", call(libc::SYS_fchmod, &[file as c_ulong, setuid]), EPERM)?;
            refused("fchmodat", call(libc::SYS_fchmodat, &[here, old, setuid]), EPERM)?;
            refused("fchmodat2", call(452, &[here, old, setuid]), EPERM)?;
            refused("openat", call(libc::SYS_openat, &[here, new, create, setuid]), EPERM)?;
            let unnamed = (libc::O_TMPFILE | libc::O_RDWR) as c_ulong;
            refused("openat O_TMPFILE", call(libc::SYS_openat, &[here, folder, unnamed, setuid]), EPERM)?;
            let regular = c_ulong::from(libc::S_IFREG) | setuid;
            refused("mknodat", call(libc::SYS_mknodat, &[here, new, regular]), EPERM)?;
            #[cfg(target_arch = "x86_64")]
            {
                refused("chmod", call(libc::SYS_chmod, &[old, setuid]), EPERM)?;
                refused("open", call(libc::SYS_open, &[new, create, setuid]), EPERM)?;
                refused("creat", call(libc::SYS_creat, &[new, setuid]), EPERM)?;
                refused("mknod", call(libc::SYS_mknod, &[new, regular]), EPERM)?;
            }
            holds("opening, with an idle mode", call(libc::SYS_openat, &[here, old, 0, setuid]) >= 0)?;
            holds("setgid directories", call(libc::SYS_fchmodat, &[here, folder, 0o2755]) == 0)
        });
    }
}

#[test]
fn only_harmless_personalities_can_be_taken() {
    for uid in users() {
        filtered(uid, || {
            for persona in [0x040_0000, 0x010_0000, 0x020_0000, 0x6] {
                refused(&format!("{persona:#x}"), call(libc::SYS_personality, &[persona]), EPERM)?;
            }
            holds("the query", call(libc::SYS_personality, &[0xffff_ffff]) == 0)
        });
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_32_bit_call_gate_kills() {
    for uid in users() {
        filtered(uid, || {
            let killed = in_child(|| {
                let mut result = 20_u32; // getpid, in i386's table
                // SAFETY: getpid touches no memory.
                unsafe { std::arch::asm!("int 0x80", inout("eax") result) };
                Err(format!("int 0x80 returned {result}"))
            });
            // SIGSEGV where the kernel has no 32-bit emulation at all.
            let signals = [libc::SIGSYS, libc::SIGSEGV].map(|signal| Err(format!("killed by signal {signal}")));
            holds(&format!("{killed:?}"), signals.contains(&killed))
        });
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn x32_numbers_are_no_way_around() {
    const X32: c_long = 0x4000_0000;
    for uid in users() {
        filtered(uid, || {
            for number in [libc::SYS_getpid, libc::SYS_mount, libc::SYS_keyctl] {
                refused("x32", call(X32 | number, &[]), ENOSYS)?;
            }
            refused("modify_ldt", call(libc::SYS_modify_ldt, &[]), ENOSYS)
        });
    }
}
