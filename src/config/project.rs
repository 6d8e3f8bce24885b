//! `<project>/.rcc.toml`: the agent can write this file, so it can only tighten.

use super::limits::{LimitsSection, May};
use super::problem::{Document, Problem};
use super::reader::{Mistakes, Report, Sourced, Table};
use super::relay;
use super::schema;
use super::tools::tools;
use super::user::strings;
use super::values::{pattern, profile_name};
use crate::plugin::name::ToolName;
use crate::policy::ProfileName;
use std::collections::BTreeSet;

/// Patterns that a project may add: each is matched against every file.
const PATTERNS_MAX: usize = 1000;

/// The file as it was written.
#[derive(Debug, Default)]
pub(super) struct ProjectFile {
    pub exclude: Vec<Sourced<String>>,
    pub profile: Option<Sourced<ProfileName>>,
    pub limits: LimitsSection,
    /// Whether the project stays away from the relay.
    pub no_relay: Option<Sourced<()>>,
    /// The plugins that the project has at most.
    pub plugins: Option<Sourced<BTreeSet<ToolName>>>,
}

impl ProjectFile {
    /// Reads the text of the project's file.
    pub(super) fn read(document: &Document) -> Result<(Self, Vec<Problem>), Mistakes> {
        Report::read(document, Self::take)
    }

    fn take(file: &mut Table<'_, '_>) -> Self {
        let exclude = strings(file, "exclude", "a pattern for a project's file", |_, text| {
            if text.starts_with('!') {
                return Err("a project can only exclude more: write exceptions (`!...`) into the user's file, \
                            ~/.config/rcc/config.toml"
                    .to_owned());
            }
            pattern(text).map_err(|reason| reason.to_string())
        });
        if exclude.len() > PATTERNS_MAX {
            file.error(format_args!("{} patterns in `exclude`", exclude.len()), format_args!("at most {PATTERNS_MAX}"));
        }
        let profile = file.sourced("profile", |value| profile_name(&value));
        let limits = LimitsSection::take(file, May::Lower);
        let no_relay = file.sourced("relay", |value| relay::refused(&value));
        let plugins = file.sourced("plugins", tools);
        file.finish_with(elsewhere);
        Self { exclude, profile, limits, no_relay, plugins }
    }
}

/// Where a key of another file belongs.
fn elsewhere(key: &str) -> Option<String> {
    let file = match key {
        _ if schema::USER.has_key(key) => "the user's ~/.config/rcc/config.toml",
        _ if schema::ADMIN.has_key(key) => "root's /etc/rcc/config.toml",
        _ => return None,
    };
    Some(format!("a project's file can only tighten: `{key}` belongs in {file}"))
}
