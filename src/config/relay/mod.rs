//! `[relay]`: in root's file for the system's relay, in the user's file for the user's own.

mod cluster;
mod limits;
mod pairs;
mod parties;

pub use cluster::{BadPrefix, BadServer};
pub use parties::BadParty;

use super::problem::Problem;
use super::reader::{Table, Value};
use super::show::{Entry, Origin};
use super::values::time;
use crate::relay::policy::{Otherwise, Pair, Policy};
use crate::settings::Join;
use crate::timespan;
use serde::Serialize;
use serde_json::json;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

/// What a relay is to do.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    /// Who may talk to whom, and how much.
    pub policy: Policy,
    /// What is allowed in `[relay]` and yet worth knowing.
    pub warnings: Vec<Problem>,
}

impl LoadedPolicy {
    /// Of a whole file's warnings the relay's are kept.
    pub(super) fn new(section: RelaySection, mut warnings: Vec<Problem>) -> Self {
        warnings.retain(|warning| warning.key().starts_with("relay."));
        Self { policy: section.policy, warnings }
    }
}

/// `[relay]` of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct RelaySection {
    /// What holds.
    pub policy: Policy,
    /// Pairs of sandboxes; none but in root's file.
    pub pairs: Vec<Pair>,
    /// What the file decides of it.
    decided: Vec<Decided>,
}

/// A key, its value as the file has it, and its line.
#[derive(Clone, Debug)]
struct Decided {
    key: String,
    value: serde_json::Value,
    line: usize,
}

impl RelaySection {
    /// Takes `[relay]` out of a file; `also` takes keys that only this file has. `home` is what `~` stands
    /// for: nothing in root's file.
    pub(super) fn take(file: &mut Table<'_, '_>, home: Option<&Path>, also: impl FnOnce(&mut Table<'_, '_>)) -> Self {
        let mut section = Self::default();
        file.section("relay", |table| {
            also(table);
            section.read(table, home);
        });
        section
    }

    /// What the file decides, with its places in it.
    pub(super) fn entries(&self, file: &Path) -> impl Iterator<Item = Entry> {
        self.decided.iter().map(move |Decided { key, value, line }| {
            let origin = Origin::File { path: file.to_owned(), line: *line };
            Entry::new(format!("relay.{key}"), value.clone(), origin)
        })
    }

    fn read(&mut self, table: &mut Table<'_, '_>, home: Option<&Path>) {
        let Self { policy, pairs, decided } = self;
        let mut keys = Keys { table, decided, prefix: "" };
        keys.set("default", &mut policy.otherwise, otherwise);
        keys.set("require_session_auth", &mut policy.require_session_auth, |value| value.boolean());
        keys.set("mask_paths", &mut policy.mask_paths, |value| value.boolean());
        keys.time("audit_retention", &mut policy.audit_retention, limits::RETENTION);
        limits::take(&mut keys, &mut policy.limits, policy.audit_retention);
        policy.cluster = cluster::take(&mut keys, home);
        policy.groups = parties::groups(&mut keys, home);
        policy.rules = parties::rules(&mut keys, home, &policy.groups, policy.cluster.is_some());
        *pairs = pairs::take(&mut keys, home.is_none());
    }
}

/// The keys of a table that are taken into a policy, each noted as decided.
struct Keys<'k, 't, 'd> {
    table: &'k mut Table<'t, 'd>,
    decided: &'k mut Vec<Decided>,
    /// The table's own path below `relay`, with a dot at its end.
    prefix: &'static str,
}

impl<'d> Keys<'_, '_, 'd> {
    /// Takes a key into its place, if it is there.
    fn set<T: Serialize>(&mut self, key: &'static str, slot: &mut T, read: impl FnOnce(&Value<'_, 'd>) -> Option<T>) {
        if let Some(value) = self.decide(key, read, |value| json!(value)) {
            *slot = value;
        }
    }

    /// The same for a span of time.
    fn time(&mut self, key: &'static str, slot: &mut Duration, bounds: RangeInclusive<u64>) {
        self.bounded_time(key, slot, bounds, |_, _| true);
    }

    /// The same; `fits` reports a time that another key does not allow.
    fn bounded_time(
        &mut self,
        key: &'static str,
        slot: &mut Duration,
        bounds: RangeInclusive<u64>,
        fits: impl FnOnce(&Value<'_, 'd>, Duration) -> bool,
    ) {
        let read = |value: &Value<'_, 'd>| time(value, bounds).filter(|time| fits(value, *time));
        if let Some(time) = self.decide(key, read, |time| json!(timespan::written(*time))) {
            *slot = time;
        }
    }

    /// Takes a key and notes it as `shown` has it.
    fn decide<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value<'_, 'd>) -> Option<T>,
        shown: impl FnOnce(&T) -> serde_json::Value,
    ) -> Option<T> {
        let (value, line) = self.table.take(key, |value| Some((read(&value)?, value.line())))?;
        self.note(key, shown(&value), line);
        Some(value)
    }

    fn note(&mut self, key: &str, value: serde_json::Value, line: usize) {
        self.decided.push(Decided { key: format!("{}{key}", self.prefix), value, line });
    }
}

fn otherwise(value: &Value<'_, '_>) -> Option<Otherwise> {
    value.parse("what holds where no rule matches", |text| match text {
        "same-user" => Ok(Otherwise::SameUser),
        "deny" => Ok(Otherwise::Deny),
        _ => Err("expected \"same-user\" (sessions of one user talk to each other) or \"deny\" (nobody does)"),
    })
}

/// When sandboxes join the relay, as the user's file says it.
pub(super) fn join(value: &Value<'_, '_>) -> Option<Join> {
    value.parse("when a sandbox joins the relay", |text| match text {
        "claude" => Ok(Join::Claude),
        "always" => Ok(Join::Always),
        "never" => Ok(Join::Never),
        _ => Err("expected \"claude\" (those of `rcc claude`), \"always\" or \"never\""),
    })
}

/// `relay` in a project's file: it can only stay away.
pub(super) fn refused(value: &Value<'_, '_>) -> Option<()> {
    if value.is_false() {
        return Some(());
    }
    value.error(
        "a project can only keep its sandboxes away from the relay",
        "write relay = false, or nothing; what the relay does and who joins it belongs in the user's \
         ~/.config/rcc/config.toml, and for the system's relay, like any pair of sandboxes, in root's \
         /etc/rcc/config.toml",
    );
    None
}
