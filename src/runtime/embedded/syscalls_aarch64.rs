//! What aarch64 has besides: calls that the `libc` crate does not name for it. The numbers are
//! those of the kernel's `include/uapi/asm-generic/unistd.h`.

use super::numbers;
use libc::c_long;

/// Allowed with any arguments.
pub(crate) const ALLOWED_HERE: &[c_long] = &[
    38,  // renameat
    84,  // sync_file_range
    163, // getrlimit
    164, // setrlimit
];

/// Refused with EPERM.
pub(crate) const PRIVILEGED_HERE: &[c_long] = &[294]; // kexec_file_load

/// Calls whose argument 1 is a file mode.
pub(crate) const SETS_MODE_AT_1: &[c_long] = numbers! { SYS_fchmod };

/// Calls whose argument 1 is open flags and whose argument 2 is a file mode.
pub(crate) const CREATES_AT_1: &[c_long] = &[];
