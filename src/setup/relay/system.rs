//! The system's relay: an account of its own, a group of those who may use it, and two units.

use super::super::install::Images;
use super::super::layout::Layout;
use super::super::program::{self, Program};
use super::super::relay_unit::{Form, SERVICE, SOCKET};
use super::super::{Failure, account, gc_root, install};
use super::{Hooks, RelayError, UninstallError};
use crate::relay::place::{SYSTEM_GROUP, SYSTEM_STATE, SYSTEM_USER};
use serde::Serialize;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// What is going to be done, as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What the units run.
    pub program: PathBuf,
    /// Whether `program` is a copy to be installed.
    pub copy: bool,
    /// The object of the Nix store that is kept from collection: the running program's.
    pub store_object: Option<PathBuf>,
    /// Whether the group has to be made.
    pub make_group: bool,
    /// Whether the account has to be made.
    pub make_user: bool,
    /// Users who become members of the group, by login name.
    pub members: Vec<String>,
    /// Whether the relay is one of several hosts'.
    pub bridged: bool,
}

impl Plan {
    /// Decides. `running` is the absolute path of the running rcc, free of symlinks; `passwd` and `group` are
    /// the texts of passwd(5) and group(5); `members` are those who are to use the relay; `bridged` tells whether it is one of several hosts'.
    ///
    /// # Errors
    /// Without systemd, on NixOS, for a name that is none, and for a program that others could change.
    pub fn new(
        layout: &Layout,
        running: &Path,
        (passwd, group): (&str, &str),
        members: &[String],
        bridged: bool,
    ) -> Result<Self, RelayError> {
        if !layout.has_systemd() {
            return Err(RelayError::NoSystemd);
        }
        if layout.is_nixos() {
            return Err(RelayError::Declared);
        }
        let in_store = gc_root::store_object(running).is_some() && *layout == Layout::host();
        if in_store && !program::is_guarded(running) {
            return Err(RelayError::OpenStore(running.to_owned()));
        }
        if let Some(bad) = members.iter().find(|name| !is_login_name(name)) {
            return Err(RelayError::Member(bad.clone()));
        }
        let present = members_of(group, SYSTEM_GROUP);
        let mut missing = members.to_vec();
        missing.sort_unstable();
        missing.dedup();
        missing.retain(|name| !present.is_some_and(|present| present.split(',').any(|member| member == name)));
        let chosen = Program::choose(layout, running);
        Ok(Self {
            program: chosen.path().to_owned(),
            copy: matches!(chosen, Program::Copy(_)),
            store_object: gc_root::store_object(running),
            make_group: present.is_none(),
            make_user: account::find(passwd, SYSTEM_USER).is_none(),
            members: missing,
            bridged,
        })
    }
}

/// group(5): `name:password:GID:members`.
fn members_of<'a>(group: &'a str, name: &str) -> Option<&'a str> {
    let fields = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.filter(|fields| fields[0] == name).find_map(|fields| fields.get(3).copied())
}

/// What gpasswd(1) takes for a name, and never for an option.
fn is_login_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte));
    plain && (1..=64).contains(&name.len()) && !name.starts_with('-')
}

/// Does it. The images are read for the copies.
///
/// # Errors
/// The first failure. What was done before stays and is complete in itself.
pub fn install(plan: &Plan, layout: &Layout, images: Images<'_>, hooks: Hooks<'_>) -> Result<(), RelayError> {
    accounts(plan, hooks)?;
    if plan.copy {
        install::copies(layout, images, hooks.say)?;
    }
    if let Some(object) = &plan.store_object
        && gc_root::keep(layout, object)?
    {
        (hooks.say)(&format!("kept {} from garbage collection", object.display()));
    }
    super::write(Form::System, &directory(layout), &plan.program, plan.bridged, hooks)?;
    super::enable(Form::System, &directory(layout), plan.bridged, hooks)
}

/// The group first: it is the account's, so that what the relay makes is the group's from the beginning.
fn accounts(plan: &Plan, hooks: Hooks<'_>) -> Result<(), RelayError> {
    let run = |doing, program: &str, arguments: &[&str]| {
        (hooks.command)(program, arguments).map_err(|source| RelayError::Command { doing, source })
    };
    if plan.make_group {
        run("make the group of those who may use the relay", "groupadd", &["--system", SYSTEM_GROUP])?;
        (hooks.say)(&format!("made the group {SYSTEM_GROUP}"));
    }
    if plan.make_user {
        let options = ["--system", "--no-create-home", "--home-dir", SYSTEM_STATE, "--shell", "/usr/sbin/nologin"];
        let options = [&options[..], &["--gid", SYSTEM_GROUP, "--comment", "Relay between rcc sandboxes"]].concat();
        run("make the relay's account", "useradd", &[&options[..], &[SYSTEM_USER]].concat())?;
        (hooks.say)(&format!("made the account {SYSTEM_USER}"));
    }
    for name in &plan.members {
        run("let a user use the relay", "gpasswd", &["--add", name, SYSTEM_GROUP])?;
        (hooks.say)(&format!("{name} may use the relay, from the next login on"));
    }
    Ok(())
}

/// How far the removal goes, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// What the relay stored ([`crate::relay::place::Place::system`]).
    pub state: PathBuf,
    /// Its sockets and locks.
    pub run: PathBuf,
    /// Whether what it stored goes, and with that its account.
    pub purge: bool,
}

/// Removes it; what was never there is fine. As long as files of the account's are left, the account is: a
/// number that is free could become somebody else's, and the files with it.
///
/// # Errors
/// Every step that failed.
pub fn uninstall(removal: &Removal, layout: &Layout, hooks: Hooks<'_>) -> Result<(), UninstallError> {
    let state_gone = Cell::new(false);
    super::all(&[
        ("the service", &|| super::remove(Form::System, &directory(layout), layout.has_systemd(), hooks)),
        ("the run-time directory", &|| run_directory(&removal.run)),
        ("what it stored", &|| {
            state_gone.set(super::remove_state(&removal.state, removal.purge, hooks)?);
            Ok(())
        }),
        ("the account and the group", &|| match state_gone.get() {
            true => remove_accounts(layout, hooks),
            false => Ok(()),
        }),
        ("the root-owned copy", &|| match layout.unit().exists() {
            // The firewall's service runs it too.
            true => Ok(()),
            false => {
                install::remove_copy(layout, hooks.say)?;
                install::remove(&layout.gc_root(), hooks.say)
            }
        }),
    ])
}

/// Whether the system's relay is installed: it runs the root-owned copy.
pub fn is_installed(layout: &Layout) -> bool {
    [SOCKET, SERVICE].iter().any(|name| directory(layout).join(name).exists())
}

fn directory(layout: &Layout) -> PathBuf {
    layout.unit().parent().unwrap_or(Path::new("/")).to_owned()
}

fn run_directory(run: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(run) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn remove_accounts(layout: &Layout, hooks: Hooks<'_>) -> Result<(), Failure> {
    let text = |path: &Path| std::fs::read_to_string(path);
    if account::find(&text(&layout.passwd())?, SYSTEM_USER).is_some() {
        (hooks.command)("userdel", &[SYSTEM_USER])?;
        (hooks.say)(&format!("removed the account {SYSTEM_USER}"));
    }
    if members_of(&text(&layout.group())?, SYSTEM_GROUP).is_some() {
        (hooks.command)("groupdel", &[SYSTEM_GROUP])?;
        (hooks.say)(&format!("removed the group {SYSTEM_GROUP}"));
    }
    Ok(())
}
