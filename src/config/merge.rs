//! Merges the three layers: root's ceilings, the user's choice, the project's tightening.

use super::admin::Admin;
use super::error::ConfigError;
use super::excludes::DEFAULT_EXCLUDES;
use super::problem::{Document, Problem};
use super::project::ProjectFile;
use super::reader::Sourced;
use super::show::{Entry, Origin};
use super::stricter::is_within;
use super::user::UserFile;
use crate::machine::Machine;
use crate::plugin::name::ToolName;
use crate::policy::{Profile, ProfileName};
use crate::runtime::Runtime;
use crate::settings::{Environment, ExtraMount, Join, Settings};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

/// The user's or the project's layer; the document is kept to show where a value stands.
pub(super) struct Layer<T> {
    pub document: Document,
    pub values: T,
}

impl<T> Layer<T> {
    pub(super) fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::File { path: self.document.path.clone(), line: self.document.line(span.start) }
    }

    pub(super) fn problem(
        &self,
        span: &Range<usize>,
        key: &str,
        message: impl Display,
        allowed: impl Display,
    ) -> Problem {
        Problem::new(&self.document, span.clone(), key, message, allowed)
    }

    pub(super) fn error(&self, problem: Problem) -> ConfigError {
        ConfigError::problem(&self.document.path, problem)
    }
}

/// Everything that is merged.
pub(super) struct Layers<'a> {
    pub admin_path: &'a Path,
    pub admin: &'a Admin,
    pub user: Layer<UserFile>,
    pub project: Layer<ProjectFile>,
    /// What ceilings can be relative to.
    pub machine: Machine,
    /// The profile that the command line names.
    pub requested: Option<ProfileName>,
}

/// What came of the merge.
pub(super) struct Merged {
    pub settings: Settings,
    pub entries: Vec<Entry>,
    pub warnings: Vec<Problem>,
}

/// One value with who decided it.
type Decided<T> = (T, Origin);

impl Layers<'_> {
    /// Merges; every conflict between the layers is reported at once.
    pub(super) fn merge(&self) -> Result<Merged, ConfigError> {
        let (profile, limits) = (self.profile(), self.limits());
        let ((profile, origin), ((limits, default_limits), limit_entries, warnings)) = match (profile, limits) {
            (Ok(profile), Ok(limits)) => (profile, limits),
            (profile, limits) => return Err(ConfigError::all(profile.err().into_iter().chain(limits.err()))),
        };
        let mut entries = vec![Entry::new("profile", profile.as_str(), origin)];
        let user = &self.user.values;
        let chosen = user.runtime.as_ref();
        let origin = chosen.map_or(Origin::Default, |chosen| self.user.origin(&chosen.span));
        let runtime = chosen.map_or_else(Runtime::default, |chosen| chosen.value);
        entries.push(Entry::new("runtime", json!(runtime), origin));
        let image = user.image.as_ref();
        entries.extend(image.map(|image| Entry::new("image", image.value.as_str(), self.user.origin(&image.span))));
        let exclude = self.exclude();
        entries.extend(exclude.iter().map(|(pattern, origin)| Entry::new("exclude[]", *pattern, origin.clone())));
        entries.extend(limit_entries);
        for Sourced { value: ExtraMount { source, target, writable }, span } in &user.mounts {
            let mode = if *writable { "rw" } else { "ro" };
            let mount = json!({ "source": source, "target": target, "mode": mode });
            entries.push(Entry::new("mounts[]", mount, self.user.origin(span)));
        }
        for (key, list) in [("environment.pass[]", &user.pass), ("handover.writable[]", &user.writable)] {
            entries.extend(list.iter().map(|item| Entry::new(key, item.value.as_str(), self.user.origin(&item.span))));
        }
        for (name, value) in &user.set {
            let key = format!("environment.set.{name}");
            entries.push(Entry::new(key, value.value.as_str(), self.user.origin(&value.span)));
        }
        let (relay, relay_entry) = self.relay();
        entries.push(relay_entry);
        entries.extend(user.relay.entries(&self.user.document.path));
        entries.extend(user.timeouts.entries(&self.user.document));
        let (plugins, plugin_entries) = self.plugins();
        entries.extend(plugin_entries);
        let values = |list: &[Sourced<String>]| list.iter().map(|item| item.value.clone()).collect();
        let settings = Settings {
            profile,
            runtime,
            image: image.map(|image| image.value.clone()),
            exclude: exclude.into_iter().map(|(pattern, _)| pattern.to_owned()).collect(),
            mounts: user.mounts.iter().map(|mount| mount.value.clone()).collect(),
            limits,
            default_limits,
            environment: Environment {
                pass: values(&user.pass),
                set: user.set.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect(),
            },
            writable: values(&user.writable),
            relay,
            timeouts: user.timeouts.values(),
            plugins,
        };
        Ok(Merged { settings, entries, warnings })
    }

    /// The command line's profile, else the user's, else `public`; then the project's if stricter.
    fn profile(&self) -> Result<Decided<ProfileName>, ConfigError> {
        let (chosen, origin) = match (&self.requested, &self.user.values.profile) {
            (Some(name), _) if !self.exists(name) => {
                let known = self.admin.known_profiles();
                return Err(ConfigError::UnknownProfile { name: name.to_string(), known });
            }
            (Some(name), _) => (name.clone(), Origin::CommandLine),
            (None, Some(Sourced { value, span })) => {
                self.known(&self.user, value, span)?;
                (value.clone(), self.user.origin(span))
            }
            (None, None) => (ProfileName::public(), Origin::Default),
        };
        let Some(Sourced { value: wanted, span }) = &self.project.values.profile else { return Ok((chosen, origin)) };
        self.known(&self.project, wanted, span)?;
        if *wanted == chosen {
            Ok((chosen, origin))
        } else if self.stricter(wanted, &chosen) {
            Ok((wanted.clone(), self.project.origin(span)))
        } else if origin == Origin::CommandLine && self.stricter(&chosen, wanted) {
            Ok((chosen, origin))
        } else {
            let message = format_args!("'{wanted}' reaches what '{chosen}' ({origin}) does not");
            let allowed = format_args!(
                "a project can only choose 'offline' or a profile that reaches no more than '{chosen}', name by name \
                 and exception by exception; to use it, run rcc with --profile {wanted}, or write profile = \"{wanted}\" into the user's file, {}",
                self.user.document.path.display()
            );
            Err(self.project.error(self.project.problem(span, "profile", message, allowed)))
        }
    }

    fn exists(&self, name: &ProfileName) -> bool {
        name.is_offline() || self.admin.profile(name).is_some()
    }

    fn known<T>(&self, layer: &Layer<T>, name: &ProfileName, span: &Range<usize>) -> Result<(), ConfigError> {
        if self.exists(name) {
            return Ok(());
        }
        let message = format_args!("there is no network profile '{name}'");
        let allowed = format_args!("{}; others belong in {}", self.admin.known_profiles(), self.admin_path.display());
        Err(layer.error(layer.problem(span, "profile", message, allowed)))
    }

    /// Whether the first reaches no more than the second.
    fn stricter(&self, first: &ProfileName, second: &ProfileName) -> bool {
        let profile = |name| -> Option<&Profile> { self.admin.profile(name) };
        first.is_offline()
            || profile(first).zip(profile(second)).is_some_and(|(first, second)| is_within(first, second))
    }

    /// In the order in which they apply: the last pattern that matches a file decides. The
    /// project's come last and have no exceptions, so nothing undoes them.
    fn exclude(&self) -> Vec<Decided<&str>> {
        let user = &self.user.values;
        let defaults = user.exclude_defaults.as_ref().is_none_or(|wanted| wanted.value);
        let defaults = DEFAULT_EXCLUDES.into_iter().filter(|_| defaults).map(|pattern| (pattern, Origin::Default));
        let users = user.exclude.iter().map(|item| (item.value.as_str(), self.user.origin(&item.span)));
        let project = &self.project.values.exclude;
        let project = project.iter().map(|item| (item.value.as_str(), self.project.origin(&item.span)));
        defaults.chain(users).chain(project).collect()
    }

    /// The user's choice, unless the project stays away.
    fn relay(&self) -> (Join, Entry) {
        if let Some(Sourced { span, .. }) = &self.project.values.no_relay {
            return (Join::Refused, Entry::new("relay", false, self.project.origin(span)));
        }
        let join = self.user.values.join.as_ref();
        let origin = join.map_or(Origin::Default, |join| self.user.origin(&join.span));
        let join = join.map_or_else(Join::default, |join| join.value);
        (join, Entry::new("relay.join", json!(join), origin))
    }

    /// What both the user and the project want. Each can only name fewer than there are.
    fn plugins(&self) -> (Option<BTreeSet<ToolName>>, Vec<Entry>) {
        let users = self.user.values.plugins.as_ref().map(|wanted| (&wanted.value, self.user.origin(&wanted.span)));
        let project = self.project.values.plugins.as_ref();
        let project = project.map(|wanted| (&wanted.value, self.project.origin(&wanted.span)));
        let (tools, origin) = match (users, project) {
            (Some((users, _)), Some((project, origin))) => (users & project, origin),
            (None, Some((tools, origin))) | (Some((tools, origin)), None) => (tools.clone(), origin),
            (None, None) => return (None, Vec::new()),
        };
        let entries = if tools.is_empty() {
            vec![Entry::new("plugins", false, origin)]
        } else {
            tools.iter().map(|tool| Entry::new("plugins[]", tool.as_str(), origin.clone())).collect()
        };
        (Some(tools), entries)
    }
}
