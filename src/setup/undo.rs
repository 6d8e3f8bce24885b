//! `rcc init --undo`: removes every trace of `init`. Runs every step and reports all failures.

use super::Failure;
use super::durable;
use super::identities;
use super::init::Hooks;
use super::install;
use super::layout::Layout;
use super::relay;
use super::unit;
use std::cell::Cell;
use std::io::ErrorKind;

/// Why traces are left.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// Removing the rules would cut or free them.
    #[error(
        "sandboxes are running (process {}): end them with `rcc stop`, or undo with --force, which cuts their network",
        .0.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
    )]
    Running(Vec<i32>),
    /// Whether sandboxes run can't be told.
    #[error("cannot tell whether sandboxes are running: {0}")]
    Unknown(#[source] Failure),
    /// Some steps failed; the others were done.
    #[error("not everything was removed; run it again after mending this:\n  {}", .0.join("\n  "))]
    Steps(Vec<String>),
}

/// How far undoing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Also while sandboxes run.
    pub force: bool,
    /// Also a configuration that was edited, and the record of changes.
    pub purge: bool,
}

type Step<'a> = &'a dyn Fn() -> Result<(), Failure>;

/// Removes what `init` made; what was never there is fine.
pub fn execute(layout: &Layout, scope: Scope, hooks: Hooks) -> Result<(), UndoError> {
    if !scope.force {
        let running = (hooks.sandboxes)().map_err(UndoError::Unknown)?;
        if !running.is_empty() {
            return Err(UndoError::Running(running));
        }
    }
    // Removing the rules takes a lock in there, and makes the directory for that.
    let had_run_directory = layout.run().exists();
    let rules_gone = Cell::new(false);
    let steps: [(&str, Step); 8] = [
        ("the service", &|| service(layout, hooks)),
        ("the firewall rules", &|| rules(hooks).inspect(|()| rules_gone.set(true))),
        ("the network identities", &|| identities(layout, hooks)),
        // By its locks a service that is still running is known.
        ("the run-time directory", &|| match rules_gone.get() {
            true => run_directory(layout, had_run_directory, hooks),
            false => Ok(()),
        }),
        ("the AppArmor profile", &|| profile(layout, hooks)),
        ("the root-owned copy", &|| copy(layout, hooks)),
        ("the configuration", &|| install::remove_config(layout, scope.purge, hooks.say)),
        ("the record of changes", &|| install::remove_record(layout, scope.purge, hooks.say)),
    ];
    let failed = steps.iter().filter_map(|(name, step)| step().err().map(|error| format!("{name}: {error}")));
    let failures: Vec<String> = failed.collect();
    if failures.is_empty() { Ok(()) } else { Err(UndoError::Steps(failures)) }
}

fn service(layout: &Layout, hooks: Hooks) -> Result<(), Failure> {
    let unit = layout.unit();
    if !unit.exists() {
        return Ok(());
    }
    // The file goes in any case: a service that can't be stopped must not come back at boot.
    let stopped = match layout.has_systemd() {
        true => (hooks.command)("systemctl", &["disable", "--now", unit::NAME]),
        false => Ok(()),
    };
    install::remove(&unit, hooks.say)?;
    durable::remove(&unit.with_file_name("sysinit.target.wants").join(unit::NAME))?;
    durable::remove_if_empty(&unit.with_file_name("sysinit.target.wants"))?;
    if layout.has_systemd() {
        (hooks.command)("systemctl", &["daemon-reload"])?;
    }
    stopped
}

fn rules(hooks: Hooks) -> Result<(), Failure> {
    (hooks.reset)()?;
    (hooks.say)("the firewall rules are gone");
    Ok(())
}

fn identities(layout: &Layout, hooks: Hooks) -> Result<(), Failure> {
    if identities::remove_all(layout)? {
        (hooks.say)("removed the network identities from /etc/subuid and /etc/subgid");
    }
    Ok(())
}

fn run_directory(layout: &Layout, notable: bool, hooks: Hooks) -> Result<(), Failure> {
    // Parts of it are the users' own: the standard library removes without following symlinks.
    match std::fs::remove_dir_all(layout.run()) {
        Ok(()) if notable => (hooks.say)(&format!("removed {}", layout.run().display())),
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The copy, or what keeps the original in the Nix store; the system's relay runs it too.
fn copy(layout: &Layout, hooks: Hooks) -> Result<(), Failure> {
    if relay::system::is_installed(layout) {
        let kept = "kept the program, which the system's relay runs; `rcc relay uninstall --system` removes both";
        (hooks.say)(kept);
        return Ok(());
    }
    install::remove_copy(layout, hooks.say)?;
    install::remove(&layout.gc_root(), hooks.say)
}

fn profile(layout: &Layout, hooks: Hooks) -> Result<(), Failure> {
    let path = layout.apparmor_profile();
    if !path.exists() {
        return Ok(());
    }
    let unloaded = (hooks.command)("apparmor_parser", &["--remove", &path.display().to_string()]);
    install::remove(&path, hooks.say)?;
    unloaded
}
