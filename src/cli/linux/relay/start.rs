//! `rcc relay start`.

use super::Ground;
use super::state;
use crate::config::{self, ConfigError, LoadedPolicy};
use crate::facts;
use crate::output;
use crate::relay::client::{self, Client};
use crate::relay::daemon::{self, Load, Start};
use crate::relay::place::{Place, SYSTEM_USER};
use crate::relay::policy::Policy;
use crate::shown;
use miette::Diagnostic;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What the daemon needs at most until it listens, with a long audit to go through.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of the log above which the next start begins it anew.
const LOG_MAX: u64 = 1 << 20;
/// Bytes of the log that an error quotes.
const QUOTED: u64 = 4096;

/// Why it does not run.
#[derive(Debug, thiserror::Error, Diagnostic)]
enum NotStarted {
    #[error("the relay is never run by root")]
    #[diagnostic(help(
        "run it as yourself; the system's relay is a service, which runs as {SYSTEM_USER}: `systemctl start rcc-relay`"
    ))]
    Root,
    #[error("the system's relay runs as {SYSTEM_USER}, and you are {0}")]
    #[diagnostic(help(
        "`sudo systemctl start rcc-relay` starts it, where `sudo rcc relay install --system` set it up; without \
         --system it is your own"
    ))]
    Stranger(String),
    #[error("cannot {action} {}: {source}", shown::terminal(path))]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot start rcc again: {0}")]
    Spawn(#[source] io::Error),
    #[error("the relay did not start ({status}):\n{said}")]
    #[diagnostic(help("all that it said is in {}", shown::terminal(log)))]
    Ended { status: ExitStatus, said: String, log: PathBuf },
    #[error("the relay does not listen after {} seconds", PATIENCE.as_secs())]
    #[diagnostic(help("process {pid} goes on; what it says is in {}", shown::terminal(log)))]
    Slow { pid: u32, log: PathBuf },
}

pub(super) fn run(ground: &Ground, detach: bool) -> miette::Result<ExitCode> {
    if rustix::process::geteuid().is_root() {
        return Err(NotStarted::Root.into());
    }
    if matches!(ground, Ground::System) {
        let uid = rustix::process::geteuid().as_raw();
        let user = facts::login_name(uid).unwrap_or_else(|| uid.to_string());
        if user != SYSTEM_USER {
            return Err(NotStarted::Stranger(user).into());
        }
    }
    let (place, system) = match ground {
        Ground::System => (Place::system(), true),
        Ground::Caller(facts) => (client::own_place(facts), false),
    };
    if !detach {
        daemon::run(Start { place, system, load: policy(ground) })?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(pid) = listening(&place) {
        output::print(format!("the relay runs already, as process {pid}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = place.state.join("relay.log");
    let mut words = vec!["relay", "start"];
    words.extend(system.then_some("--system"));
    let (child, from) = launch(Path::new("/proc/self/exe"), &words, &log)?;
    let pid = child.id();
    await_it(child, &log, from, &|| listening(&place) == Some(pid))?;
    output::print(format!("the relay runs as process {pid}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What holds: root's file for the system's relay, the user's for the user's own.
pub(super) fn policy(ground: &Ground) -> Load {
    match ground {
        Ground::System => Box::new(|| loaded(config::load_relay_admin(Path::new(config::ADMIN_FILE), 0))),
        Ground::Caller(facts) => {
            let (directory, home, uid) = (facts.config_dir.clone(), facts.user.home.clone(), facts.user.uid);
            Box::new(move || loaded(config::load_relay_user(&directory, &home, uid)))
        }
    }
}

/// A log has a line for each warning, and no room for every mistake in the file.
fn loaded(policy: Result<LoadedPolicy, ConfigError>) -> Result<Policy, Box<dyn std::error::Error + Send + Sync>> {
    let LoadedPolicy { policy, warnings } = policy?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(policy)
}

/// The process that listens there.
fn listening(place: &Place) -> Option<u32> {
    Client::connect(&place.socket()).and_then(|mut client| state::ask(&mut client)).ok().map(|status| status.pid)
}

/// Starts it in a session of its own; what it says goes to the log, from the second value on.
fn launch(program: &Path, words: &[&str], log: &Path) -> Result<(Child, u64), NotStarted> {
    let fail = |action, path: &Path| {
        let path = path.to_owned();
        move |source| NotStarted::File { action, path, source }
    };
    if let Some(dir) = log.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail("create", dir))?;
    }
    let open = File::options().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(log);
    let mut file = open.map_err(fail("open", log))?;
    let mut from = file.seek(SeekFrom::End(0)).map_err(fail("read", log))?;
    if from > LOG_MAX {
        file.set_len(0).map_err(fail("empty", log))?;
        from = 0;
    }
    let mut command = Command::new(program);
    command.args(words).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    // SAFETY: setsid(2) is async-signal-safe, and nothing else is done there.
    unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
    Ok((command.spawn().map_err(NotStarted::Spawn)?, from))
}

/// Waits until it is ready or ends.
fn await_it(mut child: Child, log: &Path, from: u64, ready: &dyn Fn() -> bool) -> Result<(), NotStarted> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().map_err(NotStarted::Spawn)? {
            return Err(NotStarted::Ended { status, said: said(log, from), log: log.to_owned() });
        }
        if ready() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(NotStarted::Slow { pid: child.id(), log: log.to_owned() });
        }
        std::thread::sleep(LOOK);
    }
}

/// The end of what was logged since.
fn said(log: &Path, from: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(QUOTED))))?;
        let mut bytes = Vec::new();
        file.take(QUOTED).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(shown::text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> (Child, u64) {
        launch(Path::new("/bin/sh"), &["-c", script], log).unwrap()
    }

    #[test]
    fn what_does_not_start_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("state/relay.log");
        let (first, from) = shell("echo earlier >&2; exit 1", &log);
        await_it(first, &log, from, &|| false).unwrap_err();
        let (second, from) = shell("printf 'the disk\\033 is full\\n' >&2; exit 3", &log);
        match await_it(second, &log, from, &|| false) {
            Err(NotStarted::Ended { status, said, .. }) => {
                assert_eq!((status.code(), said.as_str()), (Some(3), "the disk\\u{1b} is full"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_leads_a_session_of_its_own_and_is_ready_when_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (log, ready) = (dir.path().join("relay.log"), dir.path().join("ready"));
        let (child, from) = shell(&format!("touch '{}'; sleep 5", ready.display()), &log);
        let pid = rustix::process::Pid::from_child(&child);
        await_it(child, &log, from, &|| ready.exists()).unwrap();
        assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
        rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn a_long_log_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("relay.log");
        std::fs::write(&log, vec![b'a'; LOG_MAX as usize + 1]).unwrap();
        let (child, from) = shell("echo new >&2; exit 1", &log);
        await_it(child, &log, from, &|| false).unwrap_err();
        assert_eq!((from, said(&log, from).as_str()), (0, "new"));
    }
}
