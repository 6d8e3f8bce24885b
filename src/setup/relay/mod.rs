//! `rcc relay install` and `rcc relay uninstall`: the relay's systemd units. A user's own relay takes no
//! privilege; the system's takes an account, a group, and root once.

pub mod system;
pub mod user;

#[cfg(test)]
mod tests;

use super::Failure;
use super::durable::{self, FileError};
use super::init::RunProgram;
use super::install::{self, CopyError, Say};
use super::relay_unit::{self, BRIDGE, Form, SERVICE, SOCKET};
use super::unit::is_plain;
use crate::relay::place::{SYSTEM_GROUP, SYSTEM_RUN, SYSTEM_STATE, SYSTEM_USER};
use crate::shown;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What installing and its undoing need from the host.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// Runs one of the host's programs to its end; a status other than 0 is a failure.
    pub command: RunProgram<'a>,
    /// Tells the user what was done.
    pub say: Say<'a>,
}

/// Why the relay was not installed. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A path that a unit would misread.
    #[error("{} can't stand in a unit file: move rcc to a path of letters, digits and ./_+- alone", shown::terminal(.0))]
    Program(PathBuf),
    /// The system's form without its manager.
    #[error(
        "the system's relay is a service of systemd, which does not run here. By hand: make the group {SYSTEM_GROUP} and \
         the user {SYSTEM_USER}, give that user {SYSTEM_RUN} and {SYSTEM_STATE}, and run `rcc relay start --system` as \
         it; the relay's page in the documentation has the commands"
    )]
    NoSystemd,
    /// NixOS makes its accounts and units itself.
    #[error(
        "accounts and units are declared here, not made: set services.rcc.relay.system.enable = true, with the rcc \
         module"
    )]
    Declared,
    /// A member of the group who cannot be.
    #[error("{0:?} is no login name: name those who may use the relay with --member NAME")]
    Member(String),
    /// What the program loads from the Nix store is open to others.
    #[error("others than root can change {}, so no service of the system may run it", shown::terminal(.0))]
    OpenStore(PathBuf),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The root-owned copy of rcc.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A program of the host's.
    #[error("cannot {doing}: {source}")]
    Command {
        /// What was attempted.
        doing: &'static str,
        /// What the program said.
        #[source]
        source: Failure,
    },
}

/// Some steps of the removal failed; the others were done.
#[derive(Debug, thiserror::Error)]
#[error("not everything was removed; run it again after mending this:\n  {}", .0.join("\n  "))]
pub struct UninstallError(pub Vec<String>);

/// Both units with their names, for this program: what an installation writes, and what a package installs.
///
/// # Errors
/// If the program's path can't stand in a unit.
pub fn units(form: Form, program: &Path) -> Result<[(&'static str, String); 2], RelayError> {
    if !is_plain(program) {
        return Err(RelayError::Program(program.to_owned()));
    }
    Ok(relay_unit::both(form, program))
}

/// Asks the relay to read its configuration again: `ExecReload=` of its unit. `main_pid` is `$MAINPID`, which
/// systemd sets there (systemd.exec(5)).
///
/// # Errors
/// If it is no process, or one that this may not signal.
pub fn reload(main_pid: Option<&OsStr>) -> Result<(), Failure> {
    let pid = main_pid.and_then(OsStr::to_str).and_then(|text| text.parse().ok()).filter(|pid| *pid > 1);
    let pid = pid.and_then(rustix::process::Pid::from_raw).ok_or_else(|| {
        format!(
            "systemd runs this, and names the relay's process: use `systemctl --user reload {SERVICE}`, or without \
                 --user for the system's relay"
        )
    })?;
    let sent = rustix::process::kill_process(pid, rustix::process::Signal::HUP);
    Ok(sent.map_err(|errno| format!("cannot signal the relay, process {pid}: {errno}"))?)
}

/// Arguments of systemctl(1) that choose the manager.
fn manager(form: Form) -> &'static [&'static str] {
    match form {
        Form::User => &["--user"],
        Form::System => &[],
    }
}

fn systemctl(form: Form, arguments: &[&str], hooks: Hooks<'_>) -> Result<(), Failure> {
    (hooks.command)("systemctl", &[manager(form), arguments].concat())
}

/// The bridge's unit for this program.
///
/// # Errors
/// If the program's path can't stand in a unit.
pub fn bridge_unit(form: Form, program: &Path) -> Result<String, RelayError> {
    if !is_plain(program) {
        return Err(RelayError::Program(program.to_owned()));
    }
    Ok(relay_unit::bridge(form, program))
}

/// Writes the units; that of the bridge where there is a cluster.
fn write(form: Form, directory: &Path, program: &Path, bridged: bool, hooks: Hooks<'_>) -> Result<(), RelayError> {
    for (name, text) in units(form, program)? {
        install::write(&directory.join(name), &text, hooks.say)?;
    }
    if bridged {
        install::write(&directory.join(BRIDGE), &bridge_unit(form, program)?, hooks.say)?;
    }
    Ok(())
}

/// Has the manager start them now and whenever it starts; a relay that runs is started anew. The bridge of a cluster
/// that is no more goes.
fn enable(form: Form, directory: &Path, bridged: bool, hooks: Hooks<'_>) -> Result<(), RelayError> {
    let systemctl = |doing, arguments: &[&str]| {
        systemctl(form, arguments, hooks).map_err(|source| RelayError::Command { doing, source })
    };
    let bridge = directory.join(BRIDGE);
    if !bridged && bridge.exists() {
        systemctl("stop the bridge", &["disable", "--now", BRIDGE])?;
        durable::remove(&bridge)?;
        (hooks.say)(&format!("removed {}", bridge.display()));
    }
    systemctl("make systemd read the new units", &["daemon-reload"])?;
    let units: &[&str] = if bridged { &["enable", SOCKET, SERVICE, BRIDGE] } else { &["enable", SOCKET, SERVICE] };
    systemctl("enable the relay", units)?;
    systemctl("start the relay", &["restart", SERVICE])?;
    (hooks.say)(&format!("started {SERVICE}"));
    Ok(())
}

/// Stops the units, if there is a manager, and removes them.
fn remove(form: Form, directory: &Path, has_manager: bool, hooks: Hooks<'_>) -> Result<(), Failure> {
    let mut units = vec![SOCKET, SERVICE];
    units.extend(Some(BRIDGE).filter(|name| directory.join(name).exists()));
    let paths: Vec<PathBuf> = units.iter().map(|name| directory.join(name)).collect();
    if !paths.iter().any(|path| path.exists()) {
        return Ok(());
    }
    // The files go in any case: what can't be stopped must not come back.
    let stopped = match has_manager {
        true => systemctl(form, &[&["disable", "--now"], &units[..]].concat(), hooks),
        false => Ok(()),
    };
    for path in &paths {
        install::remove(path, hooks.say)?;
    }
    let (user, system) = ("default.target.wants", "multi-user.target.wants");
    let wants = if form == Form::User { user } else { system };
    let links = [("sockets.target.wants", SOCKET), (wants, SERVICE), ("rcc-relay.service.wants", BRIDGE)];
    for (wants, name) in links {
        durable::remove(&directory.join(wants).join(name))?;
    }
    if has_manager {
        systemctl(form, &["daemon-reload"], hooks)?;
    }
    stopped
}

/// Removes what the relay stored, or tells that it was kept; says whether it is gone.
fn remove_state(state: &Path, purge: bool, hooks: Hooks<'_>) -> Result<bool, Failure> {
    if !state.is_dir() {
        return Ok(true);
    }
    if !purge {
        let kept = format!("kept {}, the messages and the audit; --purge removes them too", state.display());
        (hooks.say)(&kept);
        return Ok(false);
    }
    // Parts of it are the relay's own: the standard library removes without following symlinks.
    std::fs::remove_dir_all(state)?;
    (hooks.say)(&format!("removed {}", state.display()));
    Ok(true)
}

type Step<'a> = &'a dyn Fn() -> Result<(), Failure>;

/// All failures of these steps, each with its name.
fn all(steps: &[(&str, Step<'_>)]) -> Result<(), UninstallError> {
    let failed = steps.iter().filter_map(|(name, step)| step().err().map(|error| format!("{name}: {error}")));
    let failures: Vec<String> = failed.collect();
    if failures.is_empty() { Ok(()) } else { Err(UninstallError(failures)) }
}
