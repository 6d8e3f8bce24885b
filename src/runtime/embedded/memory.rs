//! What a sandbox uses, without cgroups.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the processes of one sandbox occupy together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident bytes; pages shared by several processes are counted in proportion, so that
    /// programs mapped by everybody don't count in full for each. Files in a private `/tmp` and
    /// page cache are not in it.
    pub bytes: u64,
    /// Processes, init included.
    pub processes: usize,
    /// Processor time of these and of those whose end one of them has noticed.
    pub processor: Duration,
}

/// Which processes there are and whose children, at one moment: read once, however many sandboxes are looked at.
#[derive(Debug)]
pub struct Processes {
    proc: PathBuf,
    children: BTreeMap<u32, Vec<u32>>,
    /// Those that are called like pasta, whatever it was built for and started as (`pasta.avx2`, `passt`).
    pastas: Vec<u32>,
    /// Of each, with that of its children whose end it has noticed.
    processor: BTreeMap<u32, Duration>,
}

impl Processes {
    /// Reads the caller's `/proc`. It is no snapshot: processes that come and go meanwhile may be missed.
    pub fn read(proc: &Path) -> io::Result<Self> {
        let mut seen =
            Self { proc: proc.to_owned(), children: BTreeMap::new(), pastas: Vec::new(), processor: BTreeMap::new() };
        for entry in std::fs::read_dir(proc)? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Ok(stat) = read(&entry.path().join("stat")) {
                seen.note(pid, &stat);
            }
        }
        Ok(seen)
    }

    fn note(&mut self, pid: u32, stat: &str) {
        let Some(parent) = parent(stat) else { return };
        self.children.entry(parent).or_default().push(pid);
        self.pastas.extend([" (pasta", " (passt"].iter().any(|name| stat.contains(name)).then_some(pid));
        let ticks = ticks(stat).saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1);
        self.processor.insert(pid, Duration::from_millis(ticks));
    }

    /// The users as whom pasta runs: the network identities that are connected. `None` where the processes of others
    /// are not shown (`hidepid` of proc(5)).
    pub fn connected(&self) -> Option<Vec<u32>> {
        self.proc.join("1/stat").exists().then(|| {
            let status = |pid: &u32| read(&self.proc.join(pid.to_string()).join("status")).ok();
            self.pastas.iter().filter_map(|pid| real_uid(&status(pid)?)).collect()
        })
    }

    /// Adds up the process `init`, the PID 1 of a pid namespace, and all its descendants: whatever lives in that
    /// namespace, since orphans become children of its init.
    ///
    /// # Errors
    /// `NotFound` where there is no process `init`.
    pub fn usage(&self, init: u32) -> io::Result<Usage> {
        let (proc, processor) = (&self.proc, |pid| self.processor.get(&pid).copied().unwrap_or_default());
        let mut usage = Usage { bytes: resident(proc, init)?, processes: 1, processor: processor(init) };
        let mut pending = vec![init];
        while let Some(parent) = pending.pop() {
            for &child in self.children.get(&parent).into_iter().flatten() {
                pending.push(child);
                match resident(proc, child) {
                    Ok(bytes) => {
                        usage.bytes += bytes;
                        usage.processes += 1;
                        usage.processor += processor(child);
                    }
                    Err(error) if gone(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(usage)
    }
}

/// [`Processes::usage`] of one sandbox.
///
/// # Errors
/// As there.
pub fn of_tree(proc: &Path, init: u32) -> io::Result<Usage> {
    Processes::read(proc)?.usage(init)
}

/// A process that ended while we read: ENOENT on its directory, ESRCH on its open files.
fn gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The beginning of a file of proc(5), which has all of it there: one page at most, in one call.
fn read(path: &Path) -> io::Result<String> {
    let mut page = [0; 4096];
    let length = File::open(path)?.read(&mut page)?;
    Ok(String::from_utf8_lossy(&page[..length]).into_owned())
}

/// `Uid:` and the real one (proc_pid_status(5)), which everybody is shown.
fn real_uid(status: &str) -> Option<u32> {
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    uids.split_ascii_whitespace().next()?.parse().ok()
}

/// proc_pid_stat(5): `pid (comm) state ppid ...`; comm is chosen by the process and may hold ')'.
fn parent(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// proc_pid_stat(5): `utime`, `stime`, `cutime` and `cstime`, the 14th to the 17th.
fn ticks(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let times = after_name.split_ascii_whitespace().skip(11).take(4);
    times.filter_map(|field| field.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

fn resident(proc: &Path, pid: u32) -> io::Result<u64> {
    let dir = proc.join(pid.to_string());
    match read(&dir.join("smaps_rollup")) {
        Ok(rollup) => Ok(proportional(&rollup)),
        // Undumpable processes, such as the sandbox's own PID 1, don't show their maps.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            // SAFETY: sysconf(3) only returns a number.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs();
            Ok(private_pages(&read(&dir.join("statm"))?) * page)
        }
        // A zombie has a directory but no memory.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) && dir.exists() => Ok(0),
        Err(error) => Err(error),
    }
}

/// `Pss:    123 kB` in bytes.
fn proportional(rollup: &str) -> u64 {
    let kib =
        rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or(0_u64).saturating_mul(1024)
}

/// proc_pid_statm(5): `size resident shared ...`, in pages.
fn private_pages(statm: &str) -> u64 {
    let mut pages = statm.split_ascii_whitespace().skip(1).map(|field| field.parse().unwrap_or(0_u64));
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_choose_its_parent() {
        assert_eq!(parent("7 (a) S 1 7) S 42 7 7 0"), Some(42));
        assert_eq!(parent("7 (x"), None);
    }

    #[test]
    fn the_identities_that_are_connected_are_those_of_pasta() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: u32, name: &str, uid: u32| {
            let dir = proc.path().join(pid.to_string());
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("stat"), format!("{pid} ({name}) S 1 {pid} 0\n")).unwrap();
            std::fs::write(dir.join("status"), format!("Name:\t{name}\nUid:\t{uid}\t0\t0\t0\n")).unwrap();
        };
        process(7, "pasta.avx2", 2001);
        process(8, "bash", 2002);
        assert_eq!(Processes::read(proc.path()).unwrap().connected(), None, "others are hidden");
        process(1, "init", 0);
        assert_eq!(Processes::read(proc.path()).unwrap().connected(), Some(vec![2001]));
    }

    #[test]
    fn processor_time_is_that_of_children_as_well() {
        assert_eq!(ticks("7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 1 20 300 4000 20 0"), 4321);
        assert_eq!(ticks(""), 0);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(proportional("00400000-7fff [rollup]\nRss:  900 kB\nPss:     12 kB\nPss_Anon: 3 kB\n"), 12 * 1024);
        assert_eq!(private_pages("1000 300 200 5 0 90 0\n"), 100);
    }

    #[test]
    fn a_process_without_children_counts_once_and_a_dead_one_not_at_all() {
        let mut shell = std::process::Command::new("sh");
        let mut child = shell.args(["-c", "read line"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let usage = of_tree(Path::new("/proc"), child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(usage.processes, 1);
        assert!((4096..64 << 20).contains(&usage.bytes), "{usage:?}");
        assert!(of_tree(Path::new("/proc"), child.id()).is_err());
    }
}
