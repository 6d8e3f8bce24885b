//! The steps, taken in the text.

use super::{Entry, Step, Steps};
use crate::config::edited::edited;
use crate::policy::{PortRange, ProfileName, Protocol, Target};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value};

/// Before each entry of a list that is written from scratch.
const INDENT: &str = "\n  ";

/// The text after the steps; `None` if the file's shape does not allow them.
pub(super) fn apply(text: &str, profile: &ProfileName, steps: &Steps) -> Option<String> {
    edited(text, |document| {
        let profile = section(document, profile)?;
        change(profile, "allow", &steps.allow)?;
        change(profile, "names", &steps.names)
    })
}

/// The table of the profile, made if the file has none.
fn section<'a>(document: &'a mut DocumentMut, profile: &ProfileName) -> Option<&'a mut dyn TableLike> {
    let mut new = Table::new();
    new.decor_mut().set_prefix("\n");
    if !document.contains_key("profiles") {
        // The comments at the end of the file were there before the new section at its end.
        let end = text(document.trailing());
        document.set_trailing("");
        let line = if end.is_empty() || end.ends_with('\n') { "\n" } else { "\n\n" };
        new.decor_mut().set_prefix(format!("{end}{line}"));
    }
    let root = document.as_table_mut();
    if !root.contains_key("profiles") {
        let mut profiles = Table::new();
        // Without a header of its own: `[profiles.work]` says it all.
        profiles.set_implicit(true);
        root.insert("profiles", Item::Table(profiles));
    }
    let profiles = root.get_mut("profiles")?;
    let is_inline = profiles.is_inline_table();
    let profiles = profiles.as_table_like_mut()?;
    if !profiles.contains_key(profile.as_str()) {
        let empty = if is_inline { Item::Value(InlineTable::new().into()) } else { Item::Table(new) };
        profiles.insert(profile.as_str(), empty);
    }
    profiles.get_mut(profile.as_str())?.as_table_like_mut()
}

/// A table with an empty line above its header.
fn separated() -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix("\n");
    table
}

fn change(profile: &mut dyn TableLike, key: &str, steps: &[Step]) -> Option<()> {
    if steps.is_empty() {
        return Some(());
    }
    if !profile.contains_key(key) {
        profile.insert(key, Item::Value(Array::new().into()));
    }
    match profile.get_mut(key)? {
        Item::Value(Value::Array(array)) => steps.iter().try_for_each(|step| in_array(array, step, key)),
        Item::ArrayOfTables(tables) => {
            steps.iter().try_for_each(|step| in_tables(tables, step, key))?;
            if tables.is_empty() {
                // A profile that has nothing else is there only by this key.
                profile.insert(key, Item::Value(Array::new().into()));
            }
            Some(())
        }
        _ => None,
    }
}

fn in_array(array: &mut Array, step: &Step, key: &str) -> Option<()> {
    match step {
        Step::Add(entry) => {
            push(array, value(entry, key));
            Some(())
        }
        Step::Replace(at, entries) => {
            let mut entries = entries.iter();
            let Some(first) = entries.next() else { return remove(array, *at) };
            let decor = array.get(*at)?.decor().clone();
            for (after, more) in entries.enumerate() {
                let mut value = value(more, key);
                *value.decor_mut() = decor.clone();
                array.insert_formatted(at + 1 + after, value);
            }
            match array.get_mut(*at)? {
                Value::InlineTable(table) => rewrite(table, first),
                other => {
                    *other = value(first, key);
                    *other.decor_mut() = decor;
                }
            }
            Some(())
        }
    }
}

/// Appends as the list is written: on a line of its own if its last entry has one. What stands
/// behind the last entry, a comment mostly, stays behind it.
fn push(array: &mut Array, mut value: Value) {
    let trailing = text(array.trailing());
    let (mut between, indent) = match array.iter_mut().last() {
        None => (String::new(), INDENT.to_owned()),
        Some(last) => {
            let suffix = last.decor().suffix().map(text).unwrap_or_default();
            let prefix = last.decor().prefix().map(text).unwrap_or_default();
            last.decor_mut().set_suffix("");
            // The indentation without the comments of the lines above.
            let indent = prefix.rfind('\n').map_or_else(|| " ".to_owned(), |newline| prefix[newline..].to_owned());
            (suffix, indent)
        }
    };
    between.push_str(&trailing);
    let comment = between.trim_end().to_owned();
    // A comment reaches to the end of its line.
    let indent = if comment.contains('#') && !indent.contains('\n') { INDENT.to_owned() } else { indent };
    let own_line = indent.contains('\n');
    value.decor_mut().set_prefix(format!("{comment}{indent}"));
    array.push_formatted(value);
    let end = between.rfind('\n').map_or("\n", |newline| &between[newline..]);
    array.set_trailing(if own_line { end } else { "" });
    array.set_trailing_comma(own_line);
}

/// Removes an entry with its comments: those on lines of their own above it, and the one behind
/// it on its line.
fn remove(array: &mut Array, at: usize) -> Option<()> {
    let removed = array.get(at)?.decor().prefix().map(text).unwrap_or_default();
    let head = removed.split('\n').next().unwrap_or_default().to_owned();
    let joined = |next: &str| match next.find('\n') {
        Some(newline) => format!("{head}{}", &next[newline..]),
        // A comment reaches to the end of its line.
        None if head.contains('#') => format!("{head}\n{}", next.trim_start()),
        None => format!("{head}{next}"),
    };
    match array.get_mut(at + 1) {
        Some(next) => {
            let prefix = next.decor().prefix().map(text).unwrap_or_default();
            // The first line of a list that is on one line has no break to keep.
            let prefix = if at == 0 && !removed.contains('\n') { removed.clone() } else { joined(&prefix) };
            next.decor_mut().set_prefix(prefix);
        }
        None => {
            let suffix = array.get(at)?.decor().suffix().map(text).unwrap_or_default();
            let trailing = joined(&format!("{suffix}{}", text(array.trailing())));
            array.set_trailing(trailing);
        }
    }
    array.remove(at);
    if array.is_empty() && !text(array.trailing()).contains('#') {
        array.set_trailing("");
        array.set_trailing_comma(false);
    }
    Some(())
}

fn in_tables(tables: &mut ArrayOfTables, step: &Step, key: &str) -> Option<()> {
    match step {
        Step::Add(entry) => {
            let mut table = separated();
            fill(&mut table, entry, key);
            tables.push(table);
        }
        Step::Replace(at, entries) => {
            let mut entries = entries.iter();
            match entries.next() {
                Some(first) => rewrite(tables.get_mut(*at)?, first),
                None => drop(tables.remove(*at)),
            }
            for more in entries {
                let mut table = separated();
                fill(&mut table, more, key);
                // The order of rules means nothing; of an array of tables only the end can be added to.
                tables.push(table);
            }
        }
    }
    Some(())
}

/// A new entry in one line: a name on TCP port 443 is written as a text.
fn value(entry: &Entry, key: &str) -> Value {
    let mut table = InlineTable::new();
    if key == "names" && entry.protocol == Protocol::Tcp && is_https(entry) {
        return target(&entry.target).1.into();
    }
    fill(&mut table, entry, key);
    table.fmt();
    Value::InlineTable(table)
}

fn is_https(entry: &Entry) -> bool {
    matches!(entry.ports.ranges(), [range] if (range.first(), range.last()) == (443, 443))
}

fn fill(table: &mut dyn TableLike, entry: &Entry, list: &str) {
    let (key, text) = target(&entry.target);
    table.insert(if list == "names" { "name" } else { key }, toml_edit::value(text));
    table.insert("ports", ports(entry));
    if entry.protocol != Protocol::Tcp {
        table.insert("protocol", toml_edit::value(entry.protocol.as_str()));
    }
}

/// Other ports, and another protocol if it has to be; what stands around them stays.
fn rewrite(table: &mut dyn TableLike, entry: &Entry) {
    set(table, "ports", ports(entry));
    let written = table.get("protocol").and_then(Item::as_str).unwrap_or("tcp");
    if written != entry.protocol.as_str() {
        set(table, "protocol", toml_edit::value(entry.protocol.as_str()));
    }
}

fn set(table: &mut dyn TableLike, key: &str, item: Item) {
    let is_new = !table.contains_key(key);
    // What stands around the old value; or, of a new last one, behind the one before it.
    let old = if is_new { table.iter_mut().last().map(|(_, item)| item) } else { table.get_mut(key) };
    let decor = old.and_then(Item::as_value_mut).map(|old| {
        let decor = old.decor().clone();
        if is_new {
            old.decor_mut().set_suffix("");
        }
        decor
    });
    table.insert(key, item);
    let Some((decor, new)) = decor.zip(table.get_mut(key).and_then(Item::as_value_mut)) else { return };
    if is_new {
        new.decor_mut().set_suffix(decor.suffix().cloned().unwrap_or_default());
    } else {
        *new.decor_mut() = decor;
    }
}

fn ports(entry: &Entry) -> Item {
    let port = |range: &PortRange| -> Value {
        if range.first() == range.last() { i64::from(range.first()).into() } else { range.to_string().into() }
    };
    toml_edit::value(entry.ports.ranges().iter().map(port).collect::<Array>())
}

/// The key of the target in `allow`, and its text.
fn target(target: &Target) -> (&'static str, String) {
    match target {
        Target::Address(net) if net.prefix_len() == net.max_prefix_len() => ("address", net.addr().to_string()),
        Target::Address(net) => ("address", net.to_string()),
        Target::Domain(pattern) => ("domain", pattern.to_string()),
    }
}

/// What a parsed document keeps of its text.
fn text(raw: &RawString) -> String {
    raw.as_str().unwrap_or_default().to_owned()
}
