//! `plugins` in the user's and a project's file: which of the tools that there are a session has. Neither makes one.

use super::reader::Value;
use crate::plugin::manifest::places::MANIFESTS_MAX;
use crate::plugin::name::ToolName;
use std::collections::BTreeSet;

/// `false` for none, or a list of names for no others.
pub(super) fn tools(value: Value<'_, '_>) -> Option<BTreeSet<ToolName>> {
    if value.is_false() {
        return Some(BTreeSet::new());
    }
    if value.list_length().is_some_and(|length| length > MANIFESTS_MAX) {
        value.error("this list is too long", format_args!("at most {MANIFESTS_MAX} tools"));
        return None;
    }
    let list = value.list("`false` for no plugin, or a list of tools for no others: [\"git\"]", |item| {
        item.parse("the name of a tool", |text| text.parse::<ToolName>())
    });
    list.map(|tools| tools.into_iter().collect())
}
