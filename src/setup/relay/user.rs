//! A user's own relay: two units in the user's directory, and nobody's privilege.

use super::super::gc_root;
use super::super::relay_unit::{Form, SERVICE, SOCKET};
use super::super::unit::is_plain;
use super::{Hooks, RelayError, UninstallError};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What is going to be done, as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The directory of the user's units.
    pub directory: PathBuf,
    /// What they run.
    pub program: PathBuf,
    /// Whether the user's manager runs.
    pub has_manager: bool,
    /// Whether the relay is one of several hosts'.
    pub bridged: bool,
}

/// The directory of a user's units, systemd.unit(5); `config_dir` is rcc's own in the user's configuration.
pub fn directory(config_dir: &Path) -> PathBuf {
    config_dir.with_file_name("systemd").join("user")
}

/// Whether the user's manager runs, by its directory in the login's; `exists` tells which are there.
pub fn has_manager(runtime_dir: Option<&Path>, exists: impl Fn(&Path) -> bool) -> bool {
    runtime_dir.is_some_and(|dir| dir.is_absolute() && exists(&dir.join("systemd")))
}

impl Plan {
    /// Decides. `running` is the absolute path of the running rcc.
    ///
    /// # Errors
    /// If a unit can't name it.
    pub fn new(config_dir: &Path, running: &Path, has_manager: bool, bridged: bool) -> Result<Self, RelayError> {
        if !is_plain(running) {
            return Err(RelayError::Program(running.to_owned()));
        }
        Ok(Self { directory: directory(config_dir), program: running.to_owned(), has_manager, bridged })
    }
}

/// Does it.
///
/// # Errors
/// The first failure. What was done before stays and is complete in itself.
pub fn install(plan: &Plan, hooks: Hooks<'_>) -> Result<(), RelayError> {
    super::write(Form::User, &plan.directory, &plan.program, plan.bridged, hooks)?;
    if gc_root::store_object(&plan.program).is_some() {
        (hooks.say)(&format!(
            "The units name {}, which the Nix store may collect after an update: install them again then, or use \
             services.rcc.relay.enable on NixOS",
            plan.program.display()
        ));
    }
    if plan.has_manager {
        return super::enable(Form::User, &plan.directory, plan.bridged, hooks);
    }
    (hooks.say)(&format!(
        "No systemd manager of yours runs here. Where one does: systemctl --user enable --now {SOCKET} {SERVICE}. \
         Without one: {} relay start --detach",
        plan.program.display()
    ));
    if plan.bridged {
        (hooks.say)(&format!(
            "And for other hosts, as long as the relay runs: {} relay bridge",
            plan.program.display()
        ));
    }
    Ok(())
}

/// Removes it; what was never there is fine. `state` is what the relay stored, which goes only by `purge`.
///
/// # Errors
/// Every step that failed.
pub fn uninstall(
    directory: &Path,
    has_manager: bool,
    state: &Path,
    purge: bool,
    hooks: Hooks<'_>,
) -> Result<(), UninstallError> {
    super::all(&[
        ("the service", &|| super::remove(Form::User, directory, has_manager, hooks)),
        ("what it stored", &|| super::remove_state(state, purge, hooks).map(drop)),
    ])
}
