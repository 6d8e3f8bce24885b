//! Gives a sandbox's idle page cache back while the host is short of memory.
//!
//! A thread of the launcher sleeps until the kernel tells of pressure (psi.rst in the kernel's documentation), and has
//! it drop what the sandbox has not used for a while (`memory.reclaim`, since Linux 5.19). Processes lose nothing of
//! theirs: nothing is swapped.

use super::inactive_file;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::JoinHandle;

/// Where the kernel tells of the whole machine's pressure.
const PRESSURE: &str = "/proc/pressure/memory";
/// Some process waited for memory for 100 ms in 2 s. Of those who have no privilege, Linux takes windows of whole
/// multiples of 2 s alone, and earlier than 6.5 none at all.
const TRIGGER: &str = "some 100000 2000000\0";
/// The same share as `avg10` has it, in hundredths.
const SHARE: f64 = 5.0;
/// Between two looks at `avg10`, where the kernel takes no trigger: it is an average of 10 s.
const INTERVAL: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// For a look without waiting.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// What is asked for at once, in bytes: the kernel is busy with it for some milliseconds.
const STEP: u64 = 64 << 20;
/// Less is not worth the sandbox's reading it again.
const WORTH: u64 = 4 << 20;
/// The thread calls a few functions and keeps nothing.
const STACK: usize = 128 << 10;

/// The thread. Dropping it ends it, and returns when it has ended: whoever forks later has one thread again.
#[derive(Debug)]
pub struct Reclaimer {
    end: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Reclaimer {
    /// Starts it for the sandbox that has this cgroup. `None` where the kernel has not got what it takes.
    ///
    /// The thread takes no signals if the caller does not.
    pub fn start(dir: &Path) -> Option<Self> {
        if !dir.join("memory.reclaim").exists() || !Path::new(PRESSURE).exists() {
            return None;
        }
        let (end, writer) = io::pipe().ok()?;
        let dir = dir.to_owned();
        let watch = move || watch(&dir, &end);
        let thread = std::thread::Builder::new().name("reclaim".into()).stack_size(STACK).spawn(watch).ok()?;
        Some(Self { end: Some(writer), thread: Some(thread) })
    }
}

impl Drop for Reclaimer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It has told the kernel what it wants, and nobody else.
            let _ = thread.join();
        }
    }
}

/// Until the other end of the pipe is closed, or the sandbox's cgroup is gone.
fn watch(dir: &Path, end: &PipeReader) {
    let trigger = trigger(Path::new(PRESSURE)).ok();
    let interval = if trigger.is_some() { None } else { Some(&INTERVAL) };
    loop {
        let mut fds = vec![PollFd::new(end, PollFlags::IN)];
        fds.extend(trigger.as_ref().map(|trigger| PollFd::new(trigger, PollFlags::PRI)));
        match poll(&mut fds, interval) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !fds[0].revents().is_empty() => return,
            // What is watched is gone.
            Ok(_) if fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::ERR)) => return,
            Ok(_) => (),
        }
        if trigger.is_none() && !is_pressed(&fs::read_to_string(PRESSURE).unwrap_or_default()) {
            continue;
        }
        let ends = || poll(&mut [PollFd::new(end, PollFlags::IN)], Some(&NOW)) != Ok(0);
        if is_short(&fs::read_to_string("/proc/meminfo").unwrap_or_default()) && give_back(dir, &ends).is_err() {
            return;
        }
    }
}

/// Has the kernel tell of pressure on this descriptor.
fn trigger(pressure: &Path) -> io::Result<OwnedFd> {
    let mut file = File::options().read(true).write(true).open(pressure)?;
    file.write_all(TRIGGER.as_bytes())?;
    Ok(file.into())
}

/// `some avg10=1.23 avg60=...`.
fn is_pressed(pressure: &str) -> bool {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some avg10="));
    some.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<f64>().ok()).is_some_and(|share| share >= SHARE)
}

/// Whether it is the machine that is short, with less than an eighth of its memory free, and not some cgroup that has
/// come to its ceiling: who waits there is counted as well.
fn is_short(meminfo: &str) -> bool {
    let field = |name: &str| {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.split_ascii_whitespace().next()?.parse::<u64>().ok())
    };
    field("MemFree:").zip(field("MemTotal:")).is_none_or(|(free, total)| free < total / 8)
}

/// Has the kernel drop the idle page cache of this cgroup, until `ends` says otherwise. Returns how much of it was there.
///
/// # Errors
/// The cgroup is gone, or not the caller's.
fn give_back(dir: &Path, ends: &dyn Fn() -> bool) -> io::Result<u64> {
    let idle = inactive_file(dir);
    if idle < WORTH {
        return Ok(0);
    }
    let reclaim = dir.join("memory.reclaim");
    let mut left = idle;
    while left > 0 && !ends() {
        let step = left.min(STEP);
        match ask(&reclaim, step, swaps(dir)) {
            Ok(()) => left -= step,
            // There was less to be had.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(idle)
}

/// Whether what is reclaimed of this cgroup could be swapped.
fn swaps(dir: &Path) -> bool {
    fs::read_to_string(dir.join("memory.swap.max")).is_ok_and(|max| max.trim() != "0")
}

/// Asks without swapping; where the kernel is too old to be told that, only if there is nothing to swap to.
fn ask(reclaim: &Path, bytes: u64, swaps: bool) -> io::Result<()> {
    match write(reclaim, &format!("{bytes} swappiness=0")) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && !swaps => write(reclaim, &bytes.to_string()),
        asked => asked,
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_a_share_of_time_in_which_somebody_waited() {
        let pressure =
            |avg10: &str| format!("some avg10={avg10} avg60=0.00 avg300=0.00 total=1\nfull avg10=90.00 avg60=0\n");
        assert_eq!(
            ["4.99", "5.00", "87.20", "", "x"].map(|avg10| is_pressed(&pressure(avg10))),
            [false, true, true, false, false]
        );
        assert!(!is_pressed(""));
    }

    #[test]
    fn a_machine_with_free_memory_is_not_short_whoever_waits() {
        assert!(!is_short("MemTotal: 8000 kB\nMemFree: 1000 kB\n"));
        assert!(is_short("MemTotal: 8000 kB\nMemFree: 999 kB\nMemAvailable: 7000 kB\n"));
    }

    fn cgroup(inactive: u64) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("memory.stat"), format!("anon 9\ninactive_file {inactive}\nactive_file 7\n"))
            .unwrap();
        fs::write(dir.path().join("memory.reclaim"), "").unwrap();
        dir
    }

    #[test]
    fn idle_page_cache_is_asked_for_in_steps_and_without_swapping() {
        let dir = cgroup(STEP + (5 << 20));
        assert_eq!(give_back(dir.path(), &|| false).unwrap(), STEP + (5 << 20));
        // A file that is only a file keeps what was written last, from its beginning.
        let asked = fs::read_to_string(dir.path().join("memory.reclaim")).unwrap();
        assert!(asked.starts_with("5242880 swappiness=0"), "{asked}");
    }

    #[test]
    fn the_end_of_the_sandbox_is_not_waited_with() {
        let dir = cgroup(STEP);
        give_back(dir.path(), &|| true).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("memory.reclaim")).unwrap(), "");
    }

    #[test]
    fn little_is_left_where_it_is() {
        let dir = cgroup(WORTH - 1);
        assert_eq!(give_back(dir.path(), &|| false).unwrap(), 0);
        assert_eq!(fs::read_to_string(dir.path().join("memory.reclaim")).unwrap(), "");
    }

    #[test]
    fn a_cgroup_that_is_gone_ends_it() {
        let dir = cgroup(8 << 20);
        fs::remove_file(dir.path().join("memory.reclaim")).unwrap();
        assert!(give_back(dir.path(), &|| false).is_err());
    }

    #[test]
    fn the_thread_ends_with_its_reclaimer() {
        let (end, writer) = io::pipe().unwrap();
        let dir = cgroup(0);
        let thread = std::thread::spawn(move || watch(dir.path(), &end));
        drop(writer);
        thread.join().unwrap();
    }
}
