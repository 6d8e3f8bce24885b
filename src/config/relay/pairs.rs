//! `[[relay.pair]]`: sandboxes that reach each other directly while the relay is down. Root's file alone.

use super::super::reader::{Table, Value};
use super::super::values::{absolute_path, login_name};
use super::Keys;
use super::parties::KINDS;
use crate::relay::name::PairName;
use crate::relay::policy::{End, Pair};
use crate::relay::wire::Kind;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// Takes the pairs. In another file than root's they are a mistake, whatever they say.
pub(super) fn take(keys: &mut Keys<'_, '_, '_>, is_root: bool) -> Vec<Pair> {
    let mut found: Vec<(Pair, usize)> = Vec::new();
    if !is_root && !keys.table.has("pair") {
        return Vec::new();
    }
    keys.table.take("pair", |value| {
        if !is_root {
            value.error("not allowed in this file", "pairs of sandboxes belong in root's /etc/rcc/config.toml");
            return None;
        }
        value.list("a list of tables: [[relay.pair]]", |item| {
            let line = item.line();
            let pair = pair(item, &found)?;
            found.push((pair, line));
            Some(())
        })
    });
    for (Pair { name, ends: [one, other], kinds }, line) in &found {
        keys.note("pair[]", json!({ "name": name, "one": one, "other": other, "kinds": kinds }), *line);
    }
    found.into_iter().map(|(pair, _)| pair).collect()
}

fn pair(value: Value<'_, '_>, before: &[(Pair, usize)]) -> Option<Pair> {
    let mut table = value.table()?;
    for (key, example) in [
        ("name", "name = \"api-web\""),
        ("one", "one = { project = \"/srv/api\" }"),
        ("other", "other = { project = \"/srv/web\" }"),
    ] {
        needs(&table, key, example);
    }
    let name = table.take("name", |value| {
        value.parse("the name of a pair", |text| {
            let name: PairName = text.parse().map_err(|reason| format!("{reason}"))?;
            match before.iter().find(|(pair, _)| pair.name == name) {
                Some((_, line)) => Err(format!("the one in line {line} is called so")),
                None => Ok(name),
            }
        })
    });
    let (one, other) = (table.take("one", end), table.take("other", end));
    let all = !table.has("kinds");
    let kinds = table.take("kinds", kinds);
    let ends = one.zip(other).and_then(|(one, other)| two(&table, one, other));
    table.finish();
    let kinds = if all { BTreeSet::from(KINDS) } else { kinds? };
    Some(Pair { name: name?, ends: ends?, kinds })
}

fn needs(table: &Table<'_, '_>, key: &str, example: &str) {
    if !table.has(key) {
        table.error(format_args!("`{key}` is missing"), format_args!("it is required: {example}"));
    }
}

fn end(value: Value<'_, '_>) -> Option<End> {
    let mut table = value.table()?;
    needs(&table, "project", "project = \"/srv/api\"");
    let project = table.take("project", |value| {
        value.parse("the path of a project", |text| {
            if text.starts_with('~') {
                return Err("\"~\" is nobody's home in root's file: write the project's whole path".to_owned());
            }
            absolute_path(text, Path::new("/")).map_err(|reason| reason.to_string())
        })
    });
    let named = table.has("user");
    let user = table.take("user", |value| value.parse("a login name", login_name));
    table.finish();
    let user = if named { Some(user?) } else { None };
    Some(End { project: project?, user })
}

/// The ends, which must not be the same. Where one names its user, the other one is that user's too if it says nothing.
fn two(table: &Table<'_, '_>, mut one: End, mut other: End) -> Option<[End; 2]> {
    one.user = one.user.or_else(|| other.user.clone());
    other.user = other.user.or_else(|| one.user.clone());
    if one == other {
        table.error("both ends are the same", "a pair is two projects, or one project of two users");
        return None;
    }
    Some([one, other])
}

fn kinds(value: Value<'_, '_>) -> Option<BTreeSet<Kind>> {
    if value.list_is_empty() {
        value.error("a pair without kinds carries nothing", "leave the pair out, or name what it carries");
        return None;
    }
    let mut complete = true;
    let kinds = value.list("a list of kinds like [\"message\", \"prompt\"]", |item| {
        let kind = item.parse("a kind of messages that goes directly", |text| match text.parse() {
            Ok(Kind::Eval) => Err("code goes by the relay, where a rule allows it, or not at all".to_owned()),
            Ok(kind) => Ok(kind),
            Err(_) => Err("expected \"message\", \"prompt\", \"command\" or \"response\"".to_owned()),
        });
        complete &= kind.is_some();
        kind
    })?;
    complete.then(|| kinds.into_iter().collect())
}
