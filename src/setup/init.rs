//! `rcc init`: the one privileged step. Everything is decided before the first effect; every
//! effect can be repeated.

use super::Failure;
use super::durable::FileError;
use super::gc_root;
use super::identities::{self, IdentityError};
use super::install::{self, CopyError, Images};
use super::layout::Layout;
use super::program::{self, Program};
use super::unit;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Runs one of the host's programs with arguments, to its end.
pub type RunProgram<'a> = &'a dyn Fn(&str, &[&str]) -> Result<(), Failure>;

/// What `init` and its undoing need from other parts of rcc and from the host.
#[derive(Clone, Copy)]
pub struct Hooks<'a> {
    /// Loads the ruleset and creates `/run/rcc` and each user's directory in it.
    pub apply: &'a dyn Fn() -> Result<(), Failure>,
    /// Removes the ruleset; fine where there is none.
    pub reset: &'a dyn Fn() -> Result<(), Failure>,
    /// Runs one of the host's programs to its end; a status other than 0 is a failure.
    pub command: RunProgram<'a>,
    /// Processes that hold a network identity: those of running sandboxes.
    pub sandboxes: &'a dyn Fn() -> Result<Vec<i32>, Failure>,
    /// Tells the user what was done.
    pub say: &'a dyn Fn(&str),
}

/// Why `init` stopped. It can be run again.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// No user was named and none can be inferred.
    #[error("no user to set up: name one with `rcc init --user NAME`")]
    NoUser,
    /// The network identities.
    #[error("network identities: {0}")]
    Identities(#[from] IdentityError),
    /// One of rcc's own files.
    #[error(transparent)]
    File(#[from] FileError),
    /// The root-owned copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// What the program loads from the Nix store is open to others, wherever a copy of it lies.
    #[error("the Nix store belongs to another user than root, who could change what {} loads, so no root service may run it: install Nix with its daemon (multi-user), or build rcc outside of the store", .0.display())]
    OpenStore(PathBuf),
    /// The ruleset.
    #[error("cannot load the firewall rules: {0}")]
    Apply(#[source] Failure),
    /// systemd or AppArmor.
    #[error("cannot {doing}: {source}")]
    Command {
        /// What was attempted.
        doing: &'static str,
        /// What the program said.
        #[source]
        source: Failure,
    },
}

/// What `init` is going to do, as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Users who get network identities.
    pub users: Vec<u32>,
    /// Whether the configuration's template is written.
    pub write_config: bool,
    /// What the service runs.
    pub program: PathBuf,
    /// Whether `program` is a copy to be installed.
    pub copy: bool,
    /// The object of the Nix store that is kept from collection: the running program's.
    pub store_object: Option<PathBuf>,
    /// Whether a systemd unit is installed.
    pub unit: bool,
    /// Programs that get an AppArmor profile; empty where the kernel asks for none.
    pub apparmor: Vec<PathBuf>,
}

impl Plan {
    /// Decides. `running` is the absolute path of the running rcc, free of symlinks.
    pub fn new(layout: &Layout, running: &Path, users: &[u32]) -> Result<Self, InitError> {
        if users.is_empty() {
            return Err(InitError::NoUser);
        }
        let in_store = gc_root::store_object(running).is_some() && *layout == Layout::host();
        if in_store && !program::is_guarded(running) {
            return Err(InitError::OpenStore(running.to_owned()));
        }
        identities::check_editable(layout)?;
        let chosen = Program::choose(layout, running);
        let mut apparmor = Vec::new();
        if layout.apparmor_switch().exists() {
            apparmor.push(chosen.path().to_owned());
            // The user goes on running the rcc that ran `init`.
            if chosen.path() != running && unit::is_plain(running) {
                apparmor.push(running.to_owned());
            }
        }
        let mut users = users.to_vec();
        users.sort_unstable();
        users.dedup();
        Ok(Self {
            users,
            write_config: !layout.config().exists(),
            program: chosen.path().to_owned(),
            copy: matches!(chosen, Program::Copy(_)),
            store_object: gc_root::store_object(running),
            unit: layout.has_systemd(),
            apparmor,
        })
    }
}

/// Does it. The images are read for the copies.
///
/// # Errors
/// The first failure. What was done before stays and is complete in itself.
pub fn execute(plan: &Plan, layout: &Layout, images: Images, hooks: Hooks) -> Result<(), InitError> {
    if plan.write_config {
        install::write(&layout.config(), unit::CONFIG_TEMPLATE, hooks.say)?;
    }
    let (ranges, changed) = identities::allot(layout, &plan.users)?;
    for range in ranges {
        let verb = if changed { "allotted" } else { "kept" };
        (hooks.say)(&format!("{verb} network identities of uid {}: from {}", range.uid, range.start));
    }
    if plan.copy {
        install::copies(layout, images, hooks.say)?;
    }
    if let Some(object) = &plan.store_object
        && gc_root::keep(layout, object)?
    {
        (hooks.say)(&format!("kept {} from garbage collection", object.display()));
    }
    if !plan.apparmor.is_empty() {
        install_profile(plan, layout, hooks)?;
    }
    (hooks.apply)().map_err(InitError::Apply)?;
    (hooks.say)("loaded the firewall rules");
    if plan.unit { install_unit(plan, layout, hooks) } else { explain_boot(plan, hooks) }
}

fn install_profile(plan: &Plan, layout: &Layout, hooks: Hooks) -> Result<(), InitError> {
    let programs: Vec<&Path> = plan.apparmor.iter().map(PathBuf::as_path).collect();
    let path = layout.apparmor_profile();
    install::write(&path, &unit::apparmor(&programs), hooks.say)?;
    let path = path.display().to_string();
    (hooks.command)("apparmor_parser", &["--replace", "--write-cache", &path])
        .map_err(|source| InitError::Command { doing: "load the AppArmor profile", source })
}

fn install_unit(plan: &Plan, layout: &Layout, hooks: Hooks) -> Result<(), InitError> {
    install::write(&layout.unit(), &unit::systemd(&plan.program), hooks.say)?;
    let systemctl = |doing, arguments: &[&str]| {
        (hooks.command)("systemctl", arguments).map_err(|source| InitError::Command { doing, source })
    };
    systemctl("make systemd read the new unit", &["daemon-reload"])?;
    systemctl("enable rcc-firewall.service", &["enable", unit::NAME])?;
    systemctl("start rcc-firewall.service", &["restart", unit::NAME])?;
    (hooks.say)(&format!("started {}, which also runs at boot before any login", unit::NAME));
    Ok(())
}

fn explain_boot(plan: &Plan, hooks: Hooks) -> Result<(), InitError> {
    (hooks.say)(&format!(
        "There is no systemd here to run the service, without which no sandbox with a network starts. Keep this \
         running as root, from now on and after each boot before any login: {} firewall apply --watch",
        plan.program.display()
    ));
    Ok(())
}
