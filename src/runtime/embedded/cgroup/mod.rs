//! Ceilings for one sandbox by cgroup v2, and what to say where there is none to be had.
//!
//! Two ways, chosen by [`plan`]: a child of the own cgroup, where its controllers are already handed
//! down (a container's or a service's delegated subtree, a machine without systemd), else a
//! transient scope from systemd, the user's own or, for root, the system's. [`Plan::enter`] moves
//! one process there; what it forks later is born there.

mod reclaim;
mod scope;

pub use reclaim::Reclaimer;

use crate::settings::Limits;
use rustix::process::Pid;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Where the limits of one run will be enforced. Made without effects.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    place: Place,
    limits: Limits,
}

#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// A child of this directory, in whose `cgroup.subtree_control` these may have to be enabled.
    Child { of: PathBuf, enable: Vec<&'static str> },
    /// A transient unit.
    Scope(scope::Bus),
}

/// Limits can't be enforced here. A limit that somebody asked for is then a reason not to start;
/// a default one is a reason to say so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limits of memory, processes and processors cannot be enforced: {why}; {remedy}")]
pub struct Missing {
    /// A clause.
    pub why: String,
    /// What to do, a clause.
    pub remedy: &'static str,
}

/// Why a planned cgroup did not come about. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The name of the session would not be one file name and unit name.
    #[error("cannot name a cgroup after the session {0:?}: only letters, digits, '-' and '_' may be in it")]
    Name(String),
    /// A file of the hierarchy.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// "create", "write" and so on.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// busctl could not be run.
    #[error("cannot run {program} to ask systemd for a scope: {source}")]
    Busctl {
        /// Its path.
        program: PathBuf,
        /// What exec said.
        source: io::Error,
    },
    /// systemd said no.
    #[error("systemd refused the scope {unit}: {message}; see systemctl status")]
    Refused {
        /// The unit's name.
        unit: String,
        /// busctl's standard error.
        message: String,
    },
    /// systemd said yes, but the process did not arrive.
    #[error("process {pid} is not in the scope {unit} after {seconds} s; see journalctl for systemd's reason")]
    NotMoved {
        /// The process.
        pid: u32,
        /// The unit's name.
        unit: String,
        /// How long we waited.
        seconds: u64,
    },
    /// The limit was set but reads as unlimited.
    #[error("{path} says {found:?}: the limit is not in force; is its controller delegated?")]
    NotEnforced {
        /// The control file.
        path: PathBuf,
        /// Its content.
        found: String,
    },
}

/// What the planner looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    own: Option<Own>,
    bus: Option<scope::Bus>,
}

/// The cgroup of the calling process, on the unified hierarchy.
#[derive(Clone, Debug, Default, PartialEq)]
struct Own {
    dir: PathBuf,
    writable: bool,
    /// The root of the machine's hierarchy: the only cgroup that may have both processes and
    /// controllers handed down (cgroups(7), "no internal processes").
    root: bool,
    available: Vec<String>,
    handed_down: Vec<String>,
}

impl Host {
    /// Looks; changes nothing. `uid` is the caller's.
    pub fn probe(uid: u32) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let dir = directory(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        Self { own: dir.map(Own::read), bus: scope::Bus::probe(uid) }
    }
}

impl Own {
    fn read(dir: PathBuf) -> Self {
        let words = |file: &str| -> Vec<String> {
            let content = fs::read_to_string(dir.join(file)).unwrap_or_default();
            content.split_ascii_whitespace().map(str::to_owned).collect()
        };
        let writable = |file: &str| rustix::fs::access(dir.join(file), rustix::fs::Access::WRITE_OK).is_ok();
        Self {
            writable: writable("") && writable("cgroup.procs"),
            root: dir.join("cgroup.procs").exists() && !dir.join("cgroup.type").exists(),
            available: words("cgroup.controllers"),
            handed_down: words("cgroup.subtree_control"),
            dir,
        }
    }
}

/// Finds the way to enforce these limits; `None` where there are none to enforce.
pub fn plan(host: &Host, limits: &Limits) -> Result<Option<Plan>, Missing> {
    let needed = controllers(limits);
    if needed.is_empty() {
        return Ok(None);
    }
    let lacking = |have: &[String]| -> Vec<&'static str> {
        needed.iter().copied().filter(|name| !have.iter().any(|have| have == name)).collect()
    };
    let own = host.own.as_ref();
    if let Some(own) = own.filter(|own| own.writable && lacking(&own.available).is_empty()) {
        let enable = lacking(&own.handed_down);
        if enable.is_empty() || (own.root && host.bus.is_none()) {
            return Ok(Some(Plan { place: Place::Child { of: own.dir.clone(), enable }, limits: *limits }));
        }
    }
    if let Some(bus) = &host.bus {
        let lacking = lacking(&bus.controllers);
        if lacking.is_empty() {
            return Ok(Some(Plan { place: Place::Scope(bus.clone()), limits: *limits }));
        }
        let why = format!("systemd does not delegate cgroup v2's controller {} here", lacking.join(", "));
        let remedy = "add Delegate=yes to user@.service, or boot without systemd.unified_cgroup_hierarchy=0";
        return Err(Missing { why, remedy });
    }
    Err(missing(own, &needed))
}

fn missing(own: Option<&Own>, needed: &[&str]) -> Missing {
    const DELEGATE: &str = "give the user a systemd manager (loginctl enable-linger USER), or rcc a delegated cgroup v2 \
                            that hands its controllers down";
    let Some(own) = own else {
        return Missing { why: "there is no cgroup v2 here".into(), remedy: "mount it at /sys/fs/cgroup" };
    };
    let dir = own.dir.display();
    let lacking: Vec<&str> =
        needed.iter().copied().filter(|name| !own.available.iter().any(|have| have == name)).collect();
    if lacking == needed {
        let why = format!("cgroup v2 at {dir} has none of the controllers {}", needed.join(", "));
        return Missing { why, remedy: "boot with the unified hierarchy alone (cgroup_no_v1=all)" };
    }
    let why = if !lacking.is_empty() {
        format!("{dir} lacks the controller {}", lacking.join(", "))
    } else if own.writable {
        format!("{dir} has processes and hands no controllers down")
    } else {
        format!("{dir} is not ours to write")
    };
    Missing { why, remedy: DELEGATE }
}

fn controllers(limits: &Limits) -> Vec<&'static str> {
    let wanted = [(limits.memory.is_some(), "memory"), (limits.pids.is_some(), "pids"), (limits.cpus.is_some(), "cpu")];
    wanted.into_iter().filter_map(|(wanted, name)| wanted.then_some(name)).collect()
}

/// The directory of the process whose `/proc/PID/cgroup` this is, from proc_pid_mountinfo(5) and
/// cgroups(7). `None` without a cgroup2 mount that shows it.
fn directory(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let own = Path::new(cgroup.lines().find_map(|line| line.strip_prefix("0::"))?);
    mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, target) = (fields.next()?, fields.next()?);
        let below = own.strip_prefix(root).ok()?;
        let escapes = below.components().any(|part| part == std::path::Component::ParentDir);
        (kind.starts_with("cgroup2 ") && !escapes).then(|| Path::new(target).join(below))
    })
}

/// The cgroup that the calling process is in, and those above it as far as they are seen.
#[derive(Clone, Debug)]
pub struct Surroundings(Vec<PathBuf>);

impl Surroundings {
    /// Looks; without cgroup v2 there are none.
    pub fn of_caller() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let own = directory(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        Self(own.iter().flat_map(|dir| dir.ancestors()).map(Path::to_owned).collect())
    }

    /// The lowest number that this control file has in any of them.
    pub fn lowest(&self, file: &str) -> Option<u64> {
        let number = |dir: &PathBuf| fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok();
        self.0.iter().filter_map(number).min()
    }
}

/// A cgroup with one sandbox in it. Dropping it kills what is left inside and removes it, so
/// whoever forks must not let a copy of it be dropped inside.
#[derive(Debug)]
pub struct Cgroup {
    dir: PathBuf,
    /// A scope is systemd's to remove, which it does when the last process ends.
    ours: bool,
}

impl Plan {
    /// Moves process `pid` (in the caller's pid namespace) under the limits and reads them back.
    /// `session` becomes part of the name.
    pub fn enter(&self, pid: u32, session: &str) -> Result<Cgroup, CgroupError> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if session.is_empty() || session.len() > 64 || !session.bytes().all(named) {
            return Err(CgroupError::Name(session.to_owned()));
        }
        let cgroup = match &self.place {
            Place::Child { of, enable } => child(of, enable, &self.limits, session)?,
            Place::Scope(bus) => Cgroup { dir: bus.start_scope(session, pid, &self.limits)?, ours: false },
        };
        for (file, _) in settings(&self.limits) {
            cgroup.check(file)?;
        }
        if cgroup.ours {
            write(&cgroup.dir.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(cgroup)
    }
}

/// A directory with the limits set and nobody in it.
fn child(parent: &Path, enable: &[&str], limits: &Limits, session: &str) -> Result<Cgroup, CgroupError> {
    sweep(parent);
    for controller in enable {
        write(&parent.join("cgroup.subtree_control"), &format!("+{controller}"))?;
    }
    let dir = parent.join(format!("{PREFIX}{session}"));
    fs::create_dir(&dir).map_err(|source| CgroupError::File { action: "create", path: dir.clone(), source })?;
    let cgroup = Cgroup { dir, ours: true };
    for (file, value) in settings(limits) {
        write(&cgroup.dir.join(file), &value)?;
    }
    // Else what is above the ceiling moves to swap. Absent where the kernel has no swap.
    let swap = cgroup.dir.join("memory.swap.max");
    if limits.memory.is_some() && swap.exists() {
        write(&swap, "0")?;
    }
    Ok(cgroup)
}

const PREFIX: &str = "rcc-";

/// An empty cgroup of ours that is older than this was left by a launcher that was killed; a
/// younger one may be about to be entered.
const ABANDONED: Duration = Duration::from_secs(60);

/// Removes what killed launchers left. The kernel refuses to remove a cgroup that is in use.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default());
        if ours && age.is_ok_and(|age| age > ABANDONED) {
            // One that is in use stays, and so it should.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// `cpu.max`'s period in microseconds, and its least quota (kernel's cgroup-v2.rst, sched/core.c).
const CPU_PERIOD: f64 = 100_000.0;
const CPU_QUOTA_MIN: f64 = 1_000.0;

/// Control files and what to write into them.
fn settings(limits: &Limits) -> Vec<(&'static str, String)> {
    let memory = limits.memory.map(|bytes| ("memory.max", bytes.to_string()));
    let pids = limits.pids.map(|pids| ("pids.max", pids.to_string()));
    let quota = |cpus: f64| (cpus * CPU_PERIOD).max(CPU_QUOTA_MIN) as u64;
    let cpu = limits.cpus.map(|cpus| ("cpu.max", format!("{} {CPU_PERIOD}", quota(cpus))));
    [memory, pids, cpu].into_iter().flatten().collect()
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    fs::write(path, value).map_err(|source| CgroupError::File { action: "write", path: path.to_owned(), source })
}

/// Whether somebody else has put this process under the limits, or under lower ones: in its cgroup or above that.
///
/// # Errors
/// A limit is not in force.
pub fn verify(pid: Pid, limits: &Limits) -> Result<(), CgroupError> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let membership = PathBuf::from(format!("/proc/{}/cgroup", pid.as_raw_pid()));
    let dir = directory(&read(Path::new("/proc/self/mountinfo")), &read(&membership));
    in_force(dir.as_deref(), limits)
}

/// As [`verify`], for a process whose cgroup has this directory: without one nothing is in force.
fn in_force(dir: Option<&Path>, limits: &Limits) -> Result<(), CgroupError> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    for (file, wanted) in settings(limits) {
        let Some(dir) = dir else {
            return Err(CgroupError::NotEnforced { path: file.into(), found: String::new() });
        };
        if !dir.ancestors().any(|dir| holds(&read(&dir.join(file)), &wanted)) {
            let path = dir.join(file);
            let found = read(&path).trim().to_owned();
            return Err(CgroupError::NotEnforced { path, found });
        }
    }
    Ok(())
}

/// Whether a control file's content allows no more than the wanted one: a number, or one and its period.
fn holds(found: &str, wanted: &str) -> bool {
    let share = |text: &str| {
        let numbers: Option<Vec<f64>> = text.split_ascii_whitespace().map(|word| word.parse().ok()).collect();
        match numbers?[..] {
            [number] => Some(number),
            [quota, period] => Some(quota / period),
            _ => None,
        }
    };
    share(found).zip(share(wanted)).is_some_and(|(found, wanted)| found <= wanted)
}

impl Cgroup {
    /// Its directory, absolute, for the record of the session.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills what is left inside and removes it.
    pub fn remove(mut self) -> Result<(), CgroupError> {
        self.clear()
    }

    fn check(&self, file: &str) -> Result<(), CgroupError> {
        let path = self.dir.join(file);
        match fs::read_to_string(&path) {
            Ok(found) if !found.starts_with("max") => Ok(()),
            Ok(found) => Err(CgroupError::NotEnforced { path, found: found.trim().to_owned() }),
            Err(source) => Err(CgroupError::File { action: "read", path, source }),
        }
    }

    fn clear(&mut self) -> Result<(), CgroupError> {
        if !std::mem::take(&mut self.ours) {
            return Ok(());
        }
        // Linux before 5.14 has no cgroup.kill; the sandbox's pid namespace has then killed them all.
        let _ = fs::write(self.dir.join("cgroup.kill"), "1");
        // The processes are gone a moment after the signal.
        let patience = Instant::now() + Duration::from_secs(2);
        loop {
            match fs::remove_dir(&self.dir) {
                Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < patience => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(CgroupError::File { action: "remove", path: self.dir.clone(), source });
                }
                _ => return Ok(()),
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // remove() is for callers that want to know; here nobody does.
        let _ = self.clear();
    }
}

/// What a sandbox's cgroup says of it; `None` for what its controllers do not count (kernel's cgroup-v2.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// `memory.current` without `inactive_file`, in bytes: private `/tmp` included, but not the page cache that the
    /// kernel drops first.
    pub memory: Option<u64>,
    /// `memory.max`, in bytes.
    pub memory_max: Option<u64>,
    /// `pids.current`.
    pub processes: Option<u64>,
    /// `usage_usec` of `cpu.stat`.
    pub processor: Option<Duration>,
}

/// Where cgroups are seen, read once for however many sandboxes.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    mounts: String,
    /// The reader's own.
    own: Option<PathBuf>,
}

impl Hierarchy {
    /// Reads it.
    pub fn read() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").ok().and_then(|own| directory(&mounts, &own));
        Self { mounts, own }
    }

    /// The cgroup of the sandbox that process `pid` is in, which has nobody else in it: ours, or a container's. `None`
    /// where it has none of its own.
    pub fn of_sandbox(&self, pid: u32) -> Option<PathBuf> {
        let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        self.sandboxs(&directory(&self.mounts, &cgroup)?)
    }

    /// What the cgroup counts of the sandbox that process `pid` is in; nothing where it has none of its own.
    pub fn counted(&self, pid: u32) -> Counted {
        self.of_sandbox(pid).map(|dir| count(&dir)).unwrap_or_default()
    }
}

/// [`Hierarchy::of_sandbox`] of one.
pub fn of_sandbox(pid: u32) -> Option<PathBuf> {
    Hierarchy::read().of_sandbox(pid)
}

/// How engines name the cgroups of containers, before the id: Podman, Docker with systemd.
const CONTAINERS: [&str; 2] = ["libpod-", "docker-"];

impl Hierarchy {
    /// That of one sandbox, if this is in one. crun puts the processes of a container one level below. A container that
    /// the reader is in as well is around the sandbox.
    fn sandboxs(&self, dir: &Path) -> Option<PathBuf> {
        let of_one = |name: &str| {
            let id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            id || name.starts_with(PREFIX) || CONTAINERS.iter().any(|prefix| name.starts_with(prefix))
        };
        let named = |dir: &&Path| dir.file_name().and_then(|name| name.to_str()).is_some_and(of_one);
        let found = dir.ancestors().take(2).find(named)?;
        let around = self.own.as_ref().is_some_and(|own| own.starts_with(found));
        (!around).then(|| found.to_owned())
    }
}

/// [`Hierarchy::counted`] of one.
pub fn counted(pid: u32) -> Counted {
    Hierarchy::read().counted(pid)
}

fn count(dir: &Path) -> Counted {
    let number = |file: &str| fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok();
    let usage = |text: String| text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse().ok());
    let processor = fs::read_to_string(dir.join("cpu.stat")).ok().and_then(usage).map(Duration::from_micros);
    Counted {
        memory: number("memory.current").map(|current: u64| current.saturating_sub(inactive_file(dir))),
        memory_max: number("memory.max"),
        processes: number("pids.current"),
        processor,
    }
}

/// Bytes of a cgroup's page cache that nobody has used for a while (`memory.stat`); 0 where it is not told.
pub fn inactive_file(dir: &Path) -> u64 {
    let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
    let bytes = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
    bytes.unwrap_or_default()
}

/// Whether RLIMIT_NPROC, set inside the sandbox, counts the sandbox's processes alone: so from
/// Linux 5.14 on, which counts by user namespace, and never for the machine's root, whom the kernel
/// exempts (copy_process in kernel/fork.c). Where it does, it can stand in for `pids.max`.
pub fn rlimit_counts_processes(uid: u32, kernel: (u32, u32)) -> bool {
    uid != 0 && kernel >= (5, 14)
}

#[cfg(test)]
mod tests;
