//! Running sandboxes: one file each, locked as long as the sandbox lives.

pub mod of_users;

use crate::settings::Limits;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is known of a running sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Unique among the user's running sandboxes: the project's name and four hexadecimal digits.
    pub id: String,
    /// The launcher.
    pub launcher: i32,
    /// The supervisor: when it ends, the sandbox does.
    pub supervisor: i32,
    /// What makes the sandbox, as `--runtime` names it.
    #[serde(default = "unknown")]
    pub runtime: String,
    /// The first process of the container, where an engine made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<i32>,
    /// The project, where it is not UTF-8 with replacement characters.
    pub project: String,
    /// The network profile.
    pub profile: String,
    /// The network identity; none when offline.
    pub identity: Option<u32>,
    /// The command line, likewise.
    pub command: Vec<String>,
    /// Seconds since the epoch.
    pub started: u64,
    /// The ceilings in force.
    #[serde(default)]
    pub ceilings: Limits,
    /// How those of them follow from the machine that nobody has asked for.
    #[serde(default)]
    pub by_default: Vec<String>,
}

/// What made a sandbox, as far as a program knows that recorded nothing of it.
const UNKNOWN: &str = "?";

fn unknown() -> String {
    UNKNOWN.to_owned()
}

impl Record {
    /// Whether an engine is about to make its container.
    pub fn is_starting(&self) -> bool {
        self.container.is_none() && !["embedded", UNKNOWN].contains(&self.runtime.as_str())
    }

    /// The process above all of the sandbox's own.
    pub fn root(&self) -> Option<u32> {
        u32::try_from(self.container.unwrap_or(self.supervisor)).ok()
    }
}

/// Why sessions could not be recorded, listed or ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A directory or file of the sessions.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another user could put something there.
    #[error("{} must be a directory of yours that nobody else can enter: remove it, rcc makes a new one", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// No session of that name.
    #[error("no sandbox '{id}' is running: `rcc ps` lists them")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// It survived a kill.
    #[error("the sandbox '{id}' does not end: its supervisor is process {pid}")]
    Survives {
        /// The session.
        id: String,
        /// The supervisor.
        pid: i32,
    },
}

/// Where root's `firewall apply` makes a directory for each user.
pub const RUN: &str = "/run/rcc";

/// The user's directory for locks and sessions: the one that root prepared; without the firewall
/// (offline runs) the login session's, or one among rcc's data.
pub fn runtime_dir(uid: u32, xdg_runtime_dir: Option<&Path>, data_dir: &Path) -> Result<PathBuf, SessionError> {
    let dir = runtime_path(uid, xdg_runtime_dir, data_dir);
    if !dir.starts_with(RUN) {
        make_dir(&dir)?;
    }
    owned(dir, uid)
}

/// Where that directory is, or would be.
pub fn runtime_path(uid: u32, xdg_runtime_dir: Option<&Path>, data_dir: &Path) -> PathBuf {
    let prepared = Path::new(RUN).join(uid.to_string());
    if prepared.is_dir() {
        return prepared;
    }
    match xdg_runtime_dir.filter(|dir| dir.is_absolute()) {
        Some(dir) => dir.join("rcc"),
        None => data_dir.join("run"),
    }
}

fn owned(dir: PathBuf, uid: u32) -> Result<PathBuf, SessionError> {
    let meta = std::fs::symlink_metadata(&dir).map_err(|source| SessionError::File {
        action: "look at",
        path: dir.clone(),
        source,
    })?;
    let private = meta.is_dir() && meta.uid() == uid && meta.mode() & 0o077 == 0;
    if private { Ok(dir) } else { Err(SessionError::Foreign { path: dir }) }
}

fn make_dir(dir: &Path) -> Result<(), SessionError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| SessionError::File { action: "create", path: dir.to_owned(), source })
}

/// The project's name as it is in the names of its sessions: letters, digits and '-', at most 32.
pub fn project_name(project: &Path) -> String {
    let name = project.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).take(32).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "sandbox".to_owned() } else { name.to_owned() }
}

/// A name for a new session.
pub fn new_id(project: &Path) -> String {
    let mut random = [0; 2];
    // Uniqueness only: `Session::register` refuses a name that is taken.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    format!("{}-{:02x}{:02x}", project_name(project), random[0], random[1])
}

/// A recorded session. Dropping it removes the record.
#[derive(Debug)]
pub struct Session {
    path: PathBuf,
    /// One for each record that there was: whoever has opened an earlier one must find it locked.
    locks: Vec<File>,
}

impl Session {
    /// Records a running sandbox. The record is visible only once it is complete and locked.
    pub fn register(runtime_dir: &Path, record: &Record) -> Result<Self, SessionError> {
        let dir = directory(runtime_dir);
        make_dir(&dir)?;
        let path = dir.join(format!("{}.json", record.id));
        let lock = publish(&path, record, |draft| rustix::fs::link(draft, &path))?;
        Ok(Self { path, locks: vec![lock] })
    }

    /// Records what has become known since.
    pub fn amend(&mut self, record: &Record) -> Result<(), SessionError> {
        self.locks.push(publish(&self.path, record, |draft| rustix::fs::rename(draft, &self.path))?);
        Ok(())
    }
}

/// Writes a record, and has it put into its place when it is complete and locked.
fn publish(path: &Path, record: &Record, put: impl FnOnce(&Path) -> Result<(), Errno>) -> Result<File, SessionError> {
    let draft = path.with_file_name(format!(".{}.{}", record.id, std::process::id()));
    let fail = |action, path: &Path| {
        let path = path.to_owned();
        move |source| SessionError::File { action, path, source }
    };
    let mut file = File::options().write(true).create_new(true).open(&draft).map_err(fail("create", &draft))?;
    let written = flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(io::Error::from)
        .and_then(|()| serde_json::to_writer(&file, record).map_err(io::Error::from))
        .and_then(|()| file.flush())
        .and_then(|()| put(&draft).map_err(io::Error::from));
    let _ = std::fs::remove_file(&draft);
    written.map_err(fail("write", path))?;
    Ok(file)
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without it the next listing removes the record.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn directory(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("sessions")
}

/// Every running sandbox of the user, the oldest first. Records that a crash left are removed.
pub fn list(runtime_dir: &Path) -> Result<Vec<Record>, SessionError> {
    let dir = directory(runtime_dir);
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(SessionError::File { action: "list", path: dir, source }),
    };
    let mut records = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            match is_running(&path) {
                Ok(true) => records.extend(read(&path)),
                Ok(false) => drop(std::fs::remove_file(&path)),
                Err(Errno::NOENT) => (),
                Err(source) => return Err(SessionError::File { action: "lock", path, source: source.into() }),
            }
        }
    }
    records.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
    Ok(records)
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn is_running(path: &Path) -> Result<bool, Errno> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Ends a sandbox: asks the agent to (SIGTERM), and after `patience` ends it all the same.
pub fn stop(runtime_dir: &Path, id: &str, patience: Duration) -> Result<(), SessionError> {
    let unknown = || SessionError::Unknown { id: id.to_owned() };
    let record = list(runtime_dir)?.into_iter().find(|record| record.id == id).ok_or_else(unknown)?;
    let path = directory(runtime_dir).join(format!("{id}.json"));
    let signal = |pid: i32, signal| {
        let pidfd = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        // The lock tells that the process is still the one that was recorded.
        if let (Some(Ok(pidfd)), Ok(true)) = (pidfd, is_running(&path)) {
            let _ = pidfd_send_signal(pidfd, signal);
        }
    };
    signal(record.launcher, Signal::TERM);
    if ends_within(&path, patience) {
        return Ok(());
    }
    signal(record.supervisor, Signal::KILL);
    let survives = SessionError::Survives { id: id.to_owned(), pid: record.supervisor };
    if ends_within(&path, Duration::from_secs(5)) { Ok(()) } else { Err(survives) }
}

fn ends_within(path: &Path, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if !matches!(is_running(path), Ok(true)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> Record {
        let (project, profile) = ("/p".into(), "public".into());
        Record { id: id.to_owned(), project, profile, command: vec!["true".into()], started: 1, ..Record::default() }
    }

    #[test]
    fn what_becomes_known_later_is_listed_and_the_session_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut session = Session::register(dir.path(), &record("a-1")).unwrap();
        let early = File::open(directory(dir.path()).join("a-1.json")).unwrap();
        let amended = Record { container: Some(7), ..record("a-1") };
        session.amend(&amended).unwrap();
        assert_eq!(list(dir.path()).unwrap(), [amended]);
        assert_eq!(flock(&early, FlockOperation::NonBlockingLockShared), Err(Errno::WOULDBLOCK));
        drop(session);
        assert!(std::fs::read_dir(directory(dir.path())).unwrap().next().is_none());
    }

    #[test]
    fn a_record_of_an_older_rcc_does_not_tell_its_runtime() {
        let old = r#"{"id":"a","launcher":1,"supervisor":2,"project":"/p","profile":"public","identity":null,"command":[],"started":1}"#;
        let record: Record = serde_json::from_str(old).unwrap();
        assert_eq!((record.runtime.as_str(), record.root()), ("?", Some(2)));
    }

    #[test]
    fn a_session_is_listed_while_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        let session = Session::register(dir.path(), &record("a-1")).unwrap();
        assert!(Session::register(dir.path(), &record("a-1")).is_err());
        assert_eq!(list(dir.path()).unwrap(), [record("a-1")]);
        drop(session);
        assert!(list(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn the_record_of_a_crash_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let stale = directory(dir.path()).join("a-1.json");
        std::fs::create_dir(directory(dir.path())).unwrap();
        std::fs::write(&stale, "{}").unwrap();
        assert!(list(dir.path()).unwrap().is_empty());
        assert!(!stale.exists());
    }

    #[test]
    fn stopping_what_does_not_run_says_so() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(stop(dir.path(), "x", Duration::ZERO), Err(SessionError::Unknown { .. })));
    }

    #[test]
    fn names_are_plain_whatever_the_project_is_called() {
        assert!(new_id(Path::new("/home/u/My Shop!")).starts_with("my-shop-"));
        assert!(new_id(Path::new("/")).starts_with("sandbox-"));
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("rcc");
        std::fs::create_dir(&open).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let path = owned(open, uid);
        assert!(matches!(path, Err(SessionError::Foreign { .. })));
    }
}
