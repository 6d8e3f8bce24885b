//! What cgroups and sysctls leave of the machine.

use crate::runtime::embedded::cgroup;

/// The memory of the cgroup that rcc is in, where there is a ceiling, in bytes; processes that it can have.
pub(super) fn surroundings() -> (Option<u64>, u64) {
    let own = cgroup::Surroundings::of_caller();
    let sysctl = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        text.trim().parse::<u64>().ok()
    };
    // Each of them ends it (proc_sys_kernel(5), kernel's cgroup-v2.rst).
    let processes = [sysctl("pid_max"), sysctl("threads-max"), own.lowest("pids.max")];
    (own.lowest("memory.max"), processes.into_iter().flatten().min().unwrap_or(0))
}
