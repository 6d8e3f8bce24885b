//! `rcc firewall reload`, which the unit's `ExecReload=` runs: makes the watching service read the
//! configuration again and waits for the result, as systemd.service(5) asks of such a command.

use super::apply::{self, ApplyError};
use super::kernel::{Nft, NftError};
use super::loaded::Loaded;
use super::nft;
use super::run_directory;
use crate::policy::Policy;
use crate::policy::ruleset::Ruleset;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the service may take: below the 30 s that its unit gives a reload, above what a few
/// names that do not answer take it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at the kernel's rules.
const PAUSE: Duration = Duration::from_millis(50);

/// Why the configured rules are not in force. Whatever was loaded before still is.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Nobody holds its lock.
    #[error(
        "the service rcc-firewall is not running: start it (`systemctl start rcc-firewall`), or load the rules \
         once (`rcc firewall apply`)"
    )]
    NotRunning,
    /// Root's part, the locks, or a sandbox that stands in the way.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Reading the kernel's rules.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// Finding or signalling the process.
    #[error("cannot {attempt} the service rcc-firewall: {source}")]
    Service {
        /// What was tried.
        attempt: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended before the rules were in force.
    #[error("the service rcc-firewall ended while it reloaded: `journalctl -u rcc-firewall` says why")]
    Ended,
    /// The service did not get there.
    #[error(
        "the service rcc-firewall has not put the configured rules into force within {} s: \
         `journalctl -u rcc-firewall` says why",
        .0.as_secs()
    )]
    TimedOut(Duration),
}

/// Has the service load the rules of this policy, which root's configuration asks for now. Returns
/// when they are in force.
///
/// # Errors
/// Without a running service, for what the service would refuse, and after 20 s.
pub fn reload(policy: &Policy) -> Result<(), ReloadError> {
    reload_in(Path::new(apply::RUN), policy, PATIENCE)
}

/// Whether the service runs. Anybody may ask.
pub fn is_watched() -> bool {
    let path = Path::new(apply::RUN).join(run_directory::WATCH);
    std::fs::metadata(path).and_then(|file| holder_of(&file)).is_ok_and(|holder| holder.is_some())
}

/// [`reload`] with another directory for the locks, and another patience.
pub(super) fn reload_in(run: &Path, policy: &Policy, patience: Duration) -> Result<(), ReloadError> {
    apply::require_root()?;
    let service = open_service(run)?;
    let (ruleset, nft) = (Ruleset::from(policy), Nft::find()?);
    // The service would only log it.
    apply::check_moves(run, policy, &ruleset, &nft)?;
    pidfd_send_signal(&service, Signal::HUP).map_err(failed_to("signal"))?;
    let (version, deadline) = (nft::version(&ruleset), Instant::now() + patience);
    loop {
        if nft.outline()?.is_some_and(|loaded| Loaded::new(loaded).is_version(&version, &ruleset)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(ReloadError::TimedOut(patience));
        }
        if has_ended_after(&service, PAUSE)? {
            return Err(ReloadError::Ended);
        }
    }
}

fn failed_to(attempt: &'static str) -> impl FnOnce(Errno) -> ReloadError {
    move |errno| ReloadError::Service { attempt, source: errno.into() }
}

/// The process that holds the service's lock: only the service does, whatever started it, and it
/// blocks SIGHUP before it takes the lock. A descriptor, because the number may be another
/// process's a moment later: whoever holds the lock after it was opened is who was opened.
fn open_service(run: &Path) -> Result<OwnedFd, ReloadError> {
    let lock = apply::watch_lock(run)?;
    let pid = holder(&lock)?.ok_or(ReloadError::NotRunning)?;
    let service = pidfd_open(pid, PidfdFlags::empty()).map_err(failed_to("open the process of"))?;
    if holder(&lock)? == Some(pid) { Ok(service) } else { Err(ReloadError::NotRunning) }
}

fn holder(lock: &File) -> Result<Option<Pid>, ReloadError> {
    let find = lock.metadata().and_then(|file| holder_of(&file));
    find.map_err(|source| ReloadError::Service { attempt: "find the process of", source })
}

fn holder_of(file: &std::fs::Metadata) -> io::Result<Option<Pid>> {
    let name = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()), file.ino());
    Ok(holder_in(&std::fs::read_to_string("/proc/locks")?, name))
}

/// proc_locks(5), without those that wait, which have an arrow before the second word:
/// `1: FLOCK  ADVISORY  WRITE 4321 00:1a:567 0 EOF`, with device numbers in base 16.
fn holder_in(locks: &str, (major, minor, inode): (u32, u32, u64)) -> Option<Pid> {
    let name = format!("{major:02x}:{minor:02x}:{inode}");
    let pids = locks.lines().filter_map(|line| match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, "WRITE", pid, file, ..] if file == name => pid.parse().ok(),
        _ => None,
    });
    // Processes of other pid namespaces have the number 0 or below.
    pids.filter(|pid| *pid > 0).find_map(Pid::from_raw)
}

/// A process's descriptor can be read from once it has ended; pidfd_open(2).
fn has_ended_after(process: &OwnedFd, time: Duration) -> Result<bool, ReloadError> {
    let timeout = Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() };
    match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(failed_to("wait for")(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_holds_the_very_file_is_the_service() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 10 00:1a:567 0 EOF
2: FLOCK  ADVISORY  READ 11 00:1a:567 0 EOF
3: -> FLOCK  ADVISORY  WRITE 12 00:1a:567 0 EOF
4: FLOCK  ADVISORY  WRITE 13 00:1b:567 0 EOF
5: FLOCK  ADVISORY  WRITE 14 00:1a:5670 0 EOF
6: FLOCK  ADVISORY  WRITE 0 00:1a:567 0 EOF
7: FLOCK  ADVISORY  WRITE -1 00:1a:567 0 EOF
";
        assert_eq!(holder_in(locks, (0, 0x1a, 567)), None);
        let held = format!("{locks}8: FLOCK  ADVISORY  WRITE 15 00:1a:567 0 EOF\n");
        assert_eq!(holder_in(&held, (0, 0x1a, 567)), Pid::from_raw(15));
    }

    #[test]
    fn the_kernel_names_the_holder_of_a_lock() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(holder(&file).unwrap(), None);
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        assert_eq!(holder(&file).unwrap(), Some(rustix::process::getpid()));
    }
}
