//! `~/.config/rcc/config.toml`: what the user chooses.

use super::limits::{LimitsSection, May};
use super::problem::{Document, Problem};
use super::reader::{Mistakes, Report, Sourced, Table, Value};
use super::relay::{self, RelaySection};
use super::runtime;
use super::timeouts::TimeoutsSection;
use super::tools::tools;
use super::values::{absolute_path, pattern, profile_name, relative_path, variable_name, variable_value};
use crate::plugin::name::ToolName;
use crate::policy::ProfileName;
use crate::runtime::{Image, Runtime};
use crate::settings::{ExtraMount, Join};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The file as it was written.
#[derive(Debug, Default)]
pub(super) struct UserFile {
    pub profile: Option<Sourced<ProfileName>>,
    pub runtime: Option<Sourced<Runtime>>,
    pub image: Option<Sourced<Image>>,
    pub exclude: Vec<Sourced<String>>,
    pub exclude_defaults: Option<Sourced<bool>>,
    pub mounts: Vec<Sourced<ExtraMount>>,
    pub limits: LimitsSection,
    pub pass: Vec<Sourced<String>>,
    pub set: Vec<(String, Sourced<String>)>,
    pub writable: Vec<Sourced<String>>,
    pub relay: RelaySection,
    pub join: Option<Sourced<Join>>,
    pub plugins: Option<Sourced<BTreeSet<ToolName>>>,
    pub timeouts: TimeoutsSection,
}

/// Variables that name a socket of the host's which no sandbox has.
const SOCKET_VARIABLES: [&str; 5] =
    ["SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "DOCKER_HOST"];
/// Where no mount can go: rcc makes these itself.
const OWN_TARGETS: [&str; 4] = ["/proc", "/sys", "/dev", "/run/rcc"];
/// Sockets through which a process leaves any sandbox, and directories that hold them.
const WAYS_OUT: [&str; 8] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman",
    "/run/containerd",
    "/run/dbus",
    "/run/user",
    "/tmp/.X11-unix",
    "/nix/var/nix/daemon-socket",
];

impl UserFile {
    /// Reads the text of the user's file; `~` stands for `home`.
    pub(super) fn read(document: &Document, home: &Path) -> Result<(Self, Vec<Problem>), Mistakes> {
        Report::read(document, |file| Self::take(file, home))
    }

    /// What the agent will be able to write beside the project.
    pub(super) fn writable_mounts(&self) -> impl Iterator<Item = &Path> {
        self.mounts.iter().filter(|mount| mount.value.writable).map(|mount| mount.value.source.as_path())
    }

    fn take(file: &mut Table<'_, '_>, home: &Path) -> Self {
        let mut user = Self {
            profile: file.sourced("profile", |value| profile_name(&value)),
            runtime: file.sourced("runtime", |value| runtime::runtime(&value)),
            image: file.sourced("image", |value| runtime::image(&value)),
            exclude: patterns(file),
            exclude_defaults: file.sourced("exclude_defaults", |value| value.boolean()),
            limits: LimitsSection::take(file, May::Lift),
            ..Self::default()
        };
        let mounts = file.take("mounts", |value| {
            value.list("a list of tables: [[mounts]]", |item| {
                let span = item.span();
                Some(Sourced { value: mount(item, home)?, span })
            })
        });
        user.mounts = mounts.unwrap_or_default();
        file.section("environment", |table| {
            user.pass = strings(table, "pass", "the name of an environment variable", |value, text| {
                warn_of_socket(value, text);
                variable_name(text)
            });
            table.take("set", |value| {
                value.table()?.each(|name, value| user.set.extend(variable(name, value)));
                Some(())
            });
        });
        file.section("handover", |table| {
            user.writable = strings(table, "writable", "a path in the project", |_, text| relative_path(text));
        });
        user.relay = RelaySection::take(file, Some(home), |table| {
            user.join = table.sourced("join", |value| relay::join(&value));
        });
        user.plugins = file.sourced("plugins", tools);
        user.timeouts = TimeoutsSection::take(file);
        file.finish();
        user
    }
}

/// The `exclude` list of the user's file; the project's has no exceptions.
fn patterns(file: &mut Table<'_, '_>) -> Vec<Sourced<String>> {
    strings(file, "exclude", "a pattern", |_, text| pattern(text))
}

/// A list of strings, each with its place.
pub(super) fn strings<E: std::fmt::Display>(
    table: &mut Table<'_, '_>,
    key: &'static str,
    expected: &str,
    check: impl Fn(&Value<'_, '_>, &str) -> Result<String, E>,
) -> Vec<Sourced<String>> {
    let list = table.take(key, |value| {
        value.list("a list of strings", |item| {
            let value = item.parse(expected, |text| check(&item, text))?;
            Some(Sourced { value, span: item.span() })
        })
    });
    list.unwrap_or_default()
}

fn warn_of_socket(value: &Value<'_, '_>, name: &str) {
    if SOCKET_VARIABLES.contains(&name) {
        let message = format_args!("the socket that {name} names is not in the sandbox");
        value.warn(message, "programs inside will fail to connect; leave the variable out");
    }
}

fn variable(name: &str, value: Value<'_, '_>) -> Option<(String, Sourced<String>)> {
    if let Err(reason) = variable_name(name) {
        value.error("not the name of an environment variable", reason);
        return None;
    }
    warn_of_socket(&value, name);
    let text = value.parse("the value of an environment variable", variable_value)?;
    Some((name.to_owned(), Sourced { value: text, span: value.span() }))
}

fn mount(value: Value<'_, '_>, home: &Path) -> Option<ExtraMount> {
    let mut table = value.table()?;
    if !table.has("source") {
        table.error("`source` is missing", "name a path of the host: source = \"~/reference\"");
    }
    let source = table.take("source", |value| {
        let path = value.parse("a path", |text| absolute_path(text, home))?;
        let exposes = |way_out: &&str| path.starts_with(way_out) || Path::new(way_out).starts_with(&path);
        if let Some(way_out) = WAYS_OUT.iter().find(|way_out| exposes(way_out)) {
            let message = format_args!("this shows {way_out} to the agent");
            value.warn(message, "whoever reaches the sockets there can leave the sandbox, read-only or not");
        } else if home.starts_with(&path) {
            value.warn("this shows your whole home to the agent", "mount the directories that are needed");
        }
        Some(path)
    });
    let has_target = table.has("target");
    let target = table.take("target", |value| value.parse("a path", |text| target_path(text, home)));
    let target = if has_target { target } else { source.clone() };
    let has_mode = table.has("mode");
    let writable = table.take("mode", |value| value.parse("a mode", mode));
    table.finish();
    let (source, target) = (source?, target?);
    if let Some(own) = own_target(&target).filter(|_| !has_target) {
        table.error(format_args!("{own} is rcc's own inside"), "name another target");
        return None;
    }
    Some(ExtraMount { source, target, writable: if has_mode { writable? } else { false } })
}

fn mode(text: &str) -> Result<bool, &'static str> {
    match text {
        "ro" => Ok(false),
        "rw" => Ok(true),
        _ => Err("expected \"ro\" (the default) or \"rw\""),
    }
}

fn target_path(text: &str, home: &Path) -> Result<PathBuf, String> {
    let path = absolute_path(text, home).map_err(|reason| reason.to_string())?;
    match own_target(&path) {
        Some(own) => Err(format!("{own} is rcc's own inside: name another target")),
        None => Ok(path),
    }
}

/// Which of rcc's own places this path would cover.
fn own_target(path: &Path) -> Option<&'static str> {
    let covers = |own: &&&str| path.starts_with(own) || Path::new(own).starts_with(path);
    OWN_TARGETS.iter().find(covers).copied()
}
