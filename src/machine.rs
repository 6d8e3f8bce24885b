//! What the machine has for sandboxes, and what of it one sandbox may use if nobody says otherwise.

use serde::Serialize;

#[cfg(target_os = "linux")]
#[path = "machine/linux.rs"]
mod host;
#[cfg(target_os = "macos")]
#[path = "machine/macos.rs"]
mod host;

/// What there is for all sandboxes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Bytes of memory: the machine's, or those of the cgroup that rcc itself is in. 0 where nobody tells.
    pub memory: u64,
    /// Processes and threads, likewise.
    pub processes: u64,
}

const GIB: u64 = 1 << 30;
/// What is left to the host of a machine that has twice as much, in bytes: enough to log in, look and stop a sandbox.
const HOSTS_SHARE: u64 = GIB;
/// The most processes that a sandbox has without being asked: what the largest builds and tests of a large machine start
/// at once, while their kernel stacks (16 KiB each) take 256 MiB at most.
const PROCESSES_MAX: u64 = 16_384;

impl Machine {
    /// Looks.
    pub fn read() -> Self {
        let page = rustix::param::page_size() as u64;
        // SAFETY: sysconf(3) only returns a number.
        let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
        let memory = u64::try_from(pages).unwrap_or(0).saturating_mul(page);
        let (within, processes) = host::surroundings();
        Self { memory: within.map_or(memory, |within| within.min(memory)), processes }
    }

    /// The ceiling of memory: three quarters, but what leaves 1 GiB, or half of a machine that has less than two.
    /// `None` where the machine does not tell.
    pub fn default_memory(&self) -> Option<u64> {
        let left = self.memory.saturating_sub(HOSTS_SHARE).max(self.memory / 2);
        (self.memory > 0).then(|| left.min(self.memory / 4 * 3))
    }

    /// Why it is that one.
    pub fn why_memory(&self) -> String {
        let of = format!("this machine's {:.1} GiB", self.memory as f64 / GIB as f64);
        let (quarters, default) = (self.memory / 4 * 3, self.default_memory().unwrap_or_default());
        if default == quarters {
            format!("three quarters of {of}")
        } else if default == self.memory / 2 {
            format!("half of {of}")
        } else {
            format!("what leaves 1 GiB of {of}")
        }
    }

    /// The ceiling of processes: a quarter, but at most 16384.
    pub fn default_processes(&self) -> Option<u64> {
        (self.processes > 0).then(|| (self.processes / 4).clamp(1, PROCESSES_MAX))
    }

    /// Why it is that one.
    pub fn why_processes(&self) -> String {
        if self.processes / 4 > PROCESSES_MAX {
            "the most that a sandbox has without being asked".to_owned()
        } else {
            format!("a quarter of this machine's {}", self.processes)
        }
    }

    /// So many hundredths of the memory.
    pub fn percent(&self, percent: u64) -> u64 {
        u64::try_from(u128::from(self.memory) * u128::from(percent) / 100).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(of: u64) -> (u64, String) {
        let machine = Machine { memory: of, processes: 1 };
        (machine.default_memory().unwrap(), machine.why_memory())
    }

    #[test]
    fn a_large_machine_gives_three_quarters_and_a_small_one_keeps_a_gibibyte() {
        assert_eq!(memory(64 * GIB), (48 * GIB, "three quarters of this machine's 64.0 GiB".into()));
        assert_eq!(memory(4 * GIB), (3 * GIB, "three quarters of this machine's 4.0 GiB".into()));
        assert_eq!(memory(3 * GIB), (2 * GIB, "what leaves 1 GiB of this machine's 3.0 GiB".into()));
        assert_eq!(memory(GIB), (GIB / 2, "half of this machine's 1.0 GiB".into()));
        assert_eq!(Machine { memory: 0, processes: 0 }.default_memory(), None);
    }

    #[test]
    fn processes_are_a_quarter_within_reason() {
        let of = |processes| Machine { memory: GIB, processes }.default_processes();
        assert_eq!([of(32_768), of(4_194_304), of(2), of(0)], [Some(8192), Some(16_384), Some(1), None]);
    }

    #[test]
    fn this_machine_has_memory_and_processes() {
        let machine = Machine::read();
        assert!(machine.memory >= 64 << 20, "{machine:?}");
        assert_eq!(machine.processes >= 100, cfg!(target_os = "linux"), "{machine:?}");
        assert_eq!(machine.percent(100), machine.memory);
        assert!(machine.percent(50).abs_diff(machine.memory / 2) <= 1);
    }
}
