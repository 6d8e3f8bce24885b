//! What x86_64 has besides: mostly the calls that newer architectures replaced by `*at` variants.

use super::numbers;
use libc::c_long;

/// Allowed with any arguments.
pub(crate) const ALLOWED_HERE: &[c_long] = numbers! {
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create
    SYS_epoll_wait SYS_eventfd SYS_fork SYS_futimesat SYS_get_thread_area SYS_getdents SYS_getpgrp
    SYS_getrlimit SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod SYS_open
    SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_renameat SYS_rmdir SYS_select
    SYS_set_thread_area SYS_setrlimit SYS_signalfd SYS_stat SYS_symlink SYS_sync_file_range
    SYS_time SYS_unlink SYS_utime SYS_utimes SYS_vfork
};

/// Refused with EPERM.
pub(crate) const PRIVILEGED_HERE: &[c_long] = numbers! { SYS_ioperm SYS_iopl SYS_kexec_file_load };

/// Calls whose argument 1 is a file mode.
pub(crate) const SETS_MODE_AT_1: &[c_long] = numbers! { SYS_chmod SYS_creat SYS_fchmod SYS_mknod };

/// Calls whose argument 1 is open flags and whose argument 2 is a file mode.
pub(crate) const CREATES_AT_1: &[c_long] = numbers! { SYS_open };
