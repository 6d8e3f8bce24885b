//! Which system calls exist inside, as data: names only, numbers come from the `libc` crate.
//!
//! Everything that is on no list does not exist inside (ENOSYS). The lists were drawn up from
//! what Docker's default profile gives a container without capabilities
//! (<https://docs.docker.com/engine/security/seccomp/>) and from the kernel's own tables;
//! [`super::seccomp`] says where and why they differ.

use libc::c_long;

#[cfg(target_arch = "aarch64")]
#[path = "syscalls_aarch64.rs"]
mod arch;
#[cfg(target_arch = "x86_64")]
#[path = "syscalls_x86_64.rs"]
mod arch;

pub(super) use arch::{ALLOWED_HERE, CREATES_AT_1, PRIVILEGED_HERE, SETS_MODE_AT_1};

/// A list of `libc::SYS_*` constants, written as bare names.
macro_rules! numbers {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}
pub(super) use numbers;

/// Allowed with any arguments, on every architecture.
pub(super) const ALLOWED: [&[c_long]; 7] = [FILES, WAITING, MEMORY, PROCESSES, IDENTITY, NETWORK, TIME];

const FILES: &[c_long] = numbers! {
    SYS_chdir SYS_close SYS_close_range SYS_copy_file_range SYS_dup SYS_dup3 SYS_faccessat
    SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown
    SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fremovexattr
    SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_getcwd SYS_getdents64
    SYS_getxattr SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch SYS_ioctl
    SYS_lgetxattr SYS_linkat SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr
    SYS_memfd_create SYS_mkdirat SYS_mknodat SYS_name_to_handle_at SYS_newfstatat SYS_openat
    SYS_pipe2 SYS_pread64 SYS_preadv SYS_preadv2 SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read
    SYS_readahead SYS_readlinkat SYS_readv SYS_removexattr SYS_renameat2 SYS_sendfile SYS_setxattr
    SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_syncfs SYS_tee SYS_truncate
    SYS_umask SYS_unlinkat SYS_utimensat SYS_vmsplice SYS_write SYS_writev
};

const WAITING: &[c_long] = numbers! {
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_futex
    SYS_futex_waitv SYS_get_robust_list SYS_io_cancel SYS_io_destroy SYS_io_getevents SYS_io_setup
    SYS_io_submit SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend
    SYS_mq_unlink SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd SYS_ppoll SYS_pselect6 SYS_semctl
    SYS_semget SYS_semop SYS_semtimedop SYS_set_robust_list SYS_shmat SYS_shmctl SYS_shmdt
    SYS_shmget SYS_signalfd4
};

const MEMORY: &[c_long] = numbers! {
    SYS_brk SYS_madvise SYS_membarrier SYS_memfd_secret SYS_mincore SYS_mlock SYS_mlock2
    SYS_mlockall SYS_mmap SYS_mprotect SYS_mremap SYS_mseal SYS_msync SYS_munlock SYS_munlockall
    SYS_munmap SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_process_mrelease
    SYS_remap_file_pages
};

const PROCESSES: &[c_long] = numbers! {
    SYS_clone SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_getcpu SYS_getpgid SYS_getpid
    SYS_getppid SYS_getpriority SYS_getrandom SYS_getrusage SYS_getsid SYS_gettid SYS_ioprio_get
    SYS_ioprio_set SYS_kill SYS_landlock_add_rule SYS_landlock_create_ruleset
    SYS_landlock_restrict_self SYS_personality SYS_pidfd_open SYS_pidfd_send_signal SYS_prctl
    SYS_prlimit64 SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace SYS_restart_syscall
    SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo
    SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo
    SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr
    SYS_sched_getparam SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity
    SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp
    SYS_set_tid_address SYS_setpgid SYS_setpriority SYS_setsid SYS_sigaltstack SYS_sysinfo
    SYS_tgkill SYS_tkill SYS_uname SYS_unshare SYS_wait4 SYS_waitid
};

const IDENTITY: &[c_long] = numbers! {
    SYS_capget SYS_capset SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getresgid
    SYS_getresuid SYS_getuid SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setregid
    SYS_setresgid SYS_setresuid SYS_setreuid SYS_setuid
};

const NETWORK: &[c_long] = numbers! {
    SYS_accept SYS_accept4 SYS_bind SYS_connect SYS_getpeername SYS_getsockname SYS_getsockopt
    SYS_listen SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_sendmmsg SYS_sendmsg SYS_sendto
    SYS_setsockopt SYS_shutdown SYS_socket SYS_socketpair
};

const TIME: &[c_long] = numbers! {
    SYS_adjtimex SYS_clock_adjtime SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep
    SYS_getitimer SYS_gettimeofday SYS_nanosleep SYS_setitimer SYS_timer_create SYS_timer_delete
    SYS_timer_getoverrun SYS_timer_gettime SYS_timer_settime SYS_timerfd_create
    SYS_timerfd_gettime SYS_timerfd_settime SYS_times
};

/// Allowed as above, but too new for the `libc` crate to name them. Their numbers are the same on
/// every architecture (the kernel's `scripts/syscall.tbl`).
pub(super) const ALLOWED_NEW: &[c_long] = &[
    451, // cachestat
    FCHMODAT2, 453, // map_shadow_stack
    454, // futex_wake
    455, // futex_wait
    456, // futex_requeue
    463, // setxattrat
    464, // getxattrat
    465, // listxattrat
    466, // removexattrat
];

/// `fchmodat2`, Linux 6.6.
pub(super) const FCHMODAT2: c_long = 452;

/// What a process without capabilities is refused by the kernel too: EPERM, as programs expect.
pub(super) const PRIVILEGED: &[c_long] = numbers! {
    SYS_acct SYS_bpf SYS_chroot SYS_clock_settime SYS_delete_module SYS_fanotify_init
    SYS_finit_module SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick SYS_init_module SYS_kexec_load
    SYS_mount SYS_mount_setattr SYS_move_mount SYS_open_by_handle_at SYS_open_tree
    SYS_perf_event_open SYS_pidfd_getfd SYS_pivot_root SYS_quotactl SYS_quotactl_fd SYS_reboot
    SYS_setdomainname SYS_sethostname SYS_setns SYS_settimeofday SYS_swapoff SYS_swapon SYS_syslog
    SYS_umount2 SYS_vhangup
};
