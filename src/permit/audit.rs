//! Who changed the network policy, how, when and until when: one line of JSON for each step, in a
//! file that only root can read and write.

use super::moment;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where the host's log is. `/var/log` is for such files (FHS 3.0, 5.10).
pub const LOG: &str = "/var/log/rcc/policy.log";
/// Bytes after which a new file is begun: some thousands of changes.
const SIZE_MAX: u64 = 1 << 20;
/// Older files that are kept, as `policy.log.1` and so on.
const KEPT: u32 = 3;

/// Nothing was recorded, so nothing must be widened.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[diagnostic(help("nothing was changed: make room, or see to the directory, and try again"))]
#[error("cannot {attempt} {}, where every change of the policy is recorded: {source}", path.display())]
pub struct AuditError {
    attempt: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Who asks for a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The process's own uid.
    pub uid: u32,
    /// Who called sudo, by sudo's word.
    pub sudo_uid: Option<u32>,
    /// Who logged in, by the kernel's word, which only a process with CAP_AUDIT_CONTROL can change
    /// (`loginuid`, proc(5)).
    pub login_uid: Option<u32>,
}

impl Who {
    /// The calling process.
    pub fn calling() -> Self {
        let number = |text: String| text.trim().parse().ok();
        // (uid_t) -1 stands for nobody (`AUDIT_UID_UNSET`, linux/audit.h).
        let login = std::fs::read_to_string("/proc/self/loginuid").ok().and_then(number);
        Self {
            uid: rustix::process::getuid().as_raw(),
            sudo_uid: std::env::var("SUDO_UID").ok().and_then(number),
            login_uid: login.filter(|uid| *uid != u32::MAX),
        }
    }
}

/// What is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// `allow` or `deny`.
    pub action: &'static str,
    /// Host and ports.
    pub destination: String,
    /// `tcp`, `udp` or `any`.
    pub protocol: &'static str,
    /// The profile.
    pub profile: String,
    /// The session, if it is for one alone.
    pub session: Option<String>,
    /// When it ends, RFC 3339; never if it is written into the file.
    pub until: Option<String>,
}

/// Rules that are put into force, or taken away. The versions are the first digits of those that
/// `rcc firewall status` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// By which command: `apply`, `reload`, `reset`, `init`, `undo`; `service` if by none.
    pub action: &'static str,
    /// What was loaded before, if anything and if its sets tell.
    pub from: Option<String>,
    /// What is to be loaded; `None` if nothing.
    pub to: Option<String>,
}

/// What a line is about.
pub trait Recorded: Serialize {}

impl Recorded for Entry {}
impl Recorded for Rules {}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "reason")]
pub enum State<'a> {
    /// About to be done.
    Requested,
    /// In force.
    Done,
    /// Not in force, for this reason.
    Failed(&'a str),
}

#[derive(Serialize)]
struct Line<'a, T> {
    time: String,
    #[serde(flatten)]
    state: State<'a>,
    who: &'a Who,
    #[serde(flatten)]
    what: &'a T,
}

/// A log.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    owner: u32,
}

impl Log {
    /// The host's.
    pub fn host() -> Self {
        Self { path: LOG.into(), owner: 0 }
    }

    /// Another, in a directory of this owner's.
    pub fn at(path: PathBuf, owner: u32) -> Self {
        Self { path, owner }
    }

    /// Adds a line, and returns when it is on the disk.
    ///
    /// # Errors
    /// If that can't be; then the log is as before.
    pub fn add(&self, who: &Who, what: &impl Recorded, state: State<'_>) -> Result<(), AuditError> {
        let line = Line { time: moment(SystemTime::now()), state, who, what };
        let mut text = serde_json::to_string(&line).map_err(|error| self.error("write")(error.into()))?;
        text.push('\n');
        let file = self.open()?;
        let before = file.metadata().map_err(self.error("look at"))?.len();
        let written = (&file).write_all(text.as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|error| {
            // A full disk takes the first half of a line; a log of whole lines stays one.
            let _ = file.set_len(before);
            self.error("write")(error)
        })
    }

    /// Records what goes on whether it can be recorded or not: root's own file put into force, or
    /// rules taken away. To refuse would keep what is looser as often as what is tighter, and the
    /// service loads the same file at the next boot. `warn` hears that there is no record. `to` is
    /// asked before and after.
    pub fn around<T, E: std::fmt::Display>(
        &self,
        mut what: Rules,
        to: &dyn Fn() -> Option<String>,
        warn: &dyn Fn(&AuditError),
        act: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let who = Who::calling();
        what.to = to();
        let begun = self.add(&who, &what, State::Requested).map_err(|error| warn(&error)).is_ok();
        let done = act();
        // One warning is enough, and whoever had the record removed does not want another.
        if begun && self.path.exists() {
            what.to = to();
            let reason = done.as_ref().err().map(ToString::to_string);
            let end = self.add(&who, &what, reason.as_deref().map_or(State::Done, State::Failed));
            end.unwrap_or_else(|error| warn(&error));
        }
        done
    }

    fn error(&self, attempt: &'static str) -> impl Fn(io::Error) -> AuditError {
        let path = self.path.clone();
        move |source| AuditError { attempt, path: path.clone(), source }
    }

    /// The file, locked, and below its size.
    fn open(&self) -> Result<File, AuditError> {
        self.check_directory().map_err(self.error("use the directory of"))?;
        // Whoever waits for the lock may find that another process has begun a new file.
        loop {
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::open(&self.path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o600));
            let file: File = file.map_err(|errno| self.error("open")(errno.into()))?.into();
            flock(&file, FlockOperation::LockExclusive).map_err(|errno| self.error("lock")(errno.into()))?;
            let found = file.metadata().map_err(self.error("look at"))?;
            let ours = found.is_file() && found.uid() == self.owner && found.nlink() <= 1;
            if !ours {
                return Err(self.error("trust")(io::Error::other("it is not root's own regular file")));
            }
            if !is_at(&self.path, &found) {
                continue;
            }
            if found.len() < SIZE_MAX {
                return Ok(file);
            }
            self.rotate().map_err(self.error("move away the full"))?;
        }
    }

    /// Root's, and nobody else's to write; made if it is not there.
    fn check_directory(&self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        match std::fs::DirBuilder::new().mode(0o755).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = std::fs::symlink_metadata(directory)?;
        if !found.is_dir() || found.uid() != self.owner || found.mode() & 0o022 != 0 {
            return Err(io::Error::other("it must be a directory of root's that nobody else can write"));
        }
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let older = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..KEPT).rev() {
            match std::fs::rename(older(number), older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, older(1))
    }
}

/// Whether the path leads to that very file still.
fn is_at(path: &Path, found: &std::fs::Metadata) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(destination: &str) -> Entry {
        Entry {
            action: "allow",
            destination: destination.to_owned(),
            protocol: "tcp",
            profile: "public".to_owned(),
            session: None,
            until: Some("2026-01-01T00:00:00Z".to_owned()),
        }
    }

    fn log(dir: &Path) -> Log {
        Log::at(dir.join("log/policy.log"), rustix::process::geteuid().as_raw())
    }

    fn who() -> Who {
        Who { uid: 0, sudo_uid: Some(1000), login_uid: None }
    }

    #[test]
    fn each_step_is_one_line_of_json_whatever_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        log.add(&who(), &entry("a\nb\u{1b}\"}{\u{2028}"), State::Requested).unwrap();
        log.add(&who(), &entry("x"), State::Failed("no\nroom")).unwrap();
        let text = std::fs::read_to_string(&log.path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["state"], &lines[0]["who"]["sudo_uid"]), (&"requested".into(), &1000.into()));
        assert_eq!((&lines[1]["state"], &lines[1]["reason"]), (&"failed".into(), &"no\nroom".into()));
        assert_eq!(std::fs::metadata(&log.path).unwrap().mode() & 0o7777, 0o600);
    }

    fn rules() -> Rules {
        Rules { action: "apply", from: Some("aa".to_owned()), to: None }
    }

    #[test]
    fn rules_are_on_record_before_and_after_with_both_versions() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        let warn = |error: &AuditError| panic!("{error}");
        let to = || Some("bb".to_owned());
        log.around(rules(), &to, &warn, || {
            assert!(std::fs::read_to_string(&log.path).unwrap().contains("requested"));
            Ok::<_, String>(())
        })
        .unwrap();
        log.around(rules(), &to, &warn, || Err::<(), _>("no nft")).unwrap_err();
        let text = std::fs::read_to_string(&log.path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let states: Vec<&str> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["requested", "done", "requested", "failed"]);
        assert!(
            lines
                .iter()
                .all(|line| (&line["action"], &line["from"], &line["to"])
                    == (&"apply".into(), &"aa".into(), &"bb".into()))
        );
        assert_eq!(lines[3]["reason"], "no nft");
    }

    #[test]
    fn rules_do_not_wait_for_the_record_and_a_removed_one_stays_away() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        let none = || None;
        log.around(rules(), &none, &|error| panic!("{error}"), || std::fs::remove_dir_all(log.path.parent().unwrap()))
            .unwrap();
        assert!(!log.path.parent().unwrap().exists());
        std::fs::write(log.path.parent().unwrap(), "in the way").unwrap();
        let warnings = std::cell::Cell::new(0);
        let warn = |_: &AuditError| warnings.set(warnings.get() + 1);
        assert_eq!(log.around(rules(), &none, &warn, || Ok::<_, String>(7)), Ok(7));
        assert_eq!(warnings.get(), 1);
    }

    #[test]
    fn a_full_log_moves_away_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        for round in 0..6_u32 {
            log.add(&who(), &entry(&round.to_string()), State::Done).unwrap();
            std::fs::File::options().append(true).open(&log.path).unwrap().set_len(SIZE_MAX).unwrap();
        }
        log.add(&who(), &entry("last"), State::Done).unwrap();
        let kept = std::fs::read_dir(log.path.parent().unwrap()).unwrap().count();
        assert_eq!(kept as u32, KEPT + 1);
        assert!(std::fs::metadata(&log.path).unwrap().len() < SIZE_MAX);
    }

    #[test]
    fn a_log_that_somebody_else_could_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let add = |log: &Log| log.add(&who(), &entry("x"), State::Requested).map_err(|error| error.to_string());
        let first = log(dir.path());
        add(&first).unwrap();
        let directory = first.path.parent().unwrap();
        let mode =
            |mode| std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        mode(0o777);
        assert!(add(&first).unwrap_err().contains("nobody else can write"));
        mode(0o755);
        std::fs::remove_file(&first.path).unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "").unwrap();
        std::os::unix::fs::symlink(&victim, &first.path).unwrap();
        add(&first).unwrap_err();
        std::fs::remove_file(&first.path).unwrap();
        std::fs::hard_link(&victim, &first.path).unwrap();
        add(&first).unwrap_err();
        assert_eq!(std::fs::read(&victim).unwrap(), b"");
        let other = Log::at(first.path.clone(), first.owner + 1);
        std::fs::remove_file(&first.path).unwrap();
        add(&other).unwrap_err();
    }

    #[test]
    fn processes_that_write_at_once_lose_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let log = &log;
                scope.spawn(move || {
                    (0..25).for_each(|at| log.add(&who(), &entry(&format!("{thread} {at}")), State::Done).unwrap())
                });
            }
        });
        let text = std::fs::read_to_string(&log.path).unwrap();
        assert_eq!(text.lines().count(), 100);
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }
}
