//! Who talks to whom: groups and rules.

use super::super::reader::{Value, suggestion};
use super::super::values::{BadPath, absolute_path, login_name};
use super::Keys;
use crate::relay::name::{BadName, GroupName};
use crate::relay::policy::{Pattern, Rule};
use crate::relay::wire::Kind;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

/// What a rule carries that says nothing else: everything but code.
pub(super) const KINDS: [Kind; 4] = [Kind::Message, Kind::Prompt, Kind::Command, Kind::Response];

/// Why a text matches no sessions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParty {
    /// No such form.
    #[error(
        "write \"*\" for every session, or \"user:NAME\", \"project:NAME\", \"project:/its/path\", \"group:NAME\" or \
         \"host:NAME\""
    )]
    Form,
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A user who cannot be.
    #[error("{0}")]
    User(&'static str),
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// `~` in root's file.
    #[error("\"~\" is nobody's home in root's file: write the project's whole path")]
    Home,
    /// What follows `~` tells projects apart, and this would match all of them.
    #[error("a project's name stands for all projects of that name: write the path of the one that is meant")]
    OneOfSeveral,
    /// A group in a group.
    #[error("groups do not nest: write the group's own patterns here")]
    Nested,
}

/// A pattern as it is written.
fn party(text: &str, home: Option<&Path>) -> Result<Pattern, BadParty> {
    if text == "*" {
        return Ok(Pattern::Any);
    }
    match text.split_once(':').ok_or(BadParty::Form)? {
        ("user", name) => login_name(name).map(Pattern::User).map_err(BadParty::User),
        ("project", path) if path.starts_with('/') || path == "~" || path.starts_with("~/") => match home {
            Some(home) => Ok(Pattern::Root(absolute_path(path, home)?)),
            None if path.starts_with('~') => Err(BadParty::Home),
            None => Ok(Pattern::Root(absolute_path(path, Path::new("/"))?)),
        },
        ("project", name) if name.contains('~') => Err(BadParty::OneOfSeveral),
        ("project", name) => Ok(Pattern::Project(name.parse()?)),
        ("group", name) => Ok(Pattern::Group(name.parse()?)),
        ("host", name) => Ok(Pattern::Host(name.parse()?)),
        _ => Err(BadParty::Form),
    }
}

/// As [`party`] reads it.
fn written(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Any => "*".to_owned(),
        Pattern::User(name) => format!("user:{name}"),
        Pattern::Root(path) => format!("project:{}", path.display()),
        Pattern::Project(name) => format!("project:{name}"),
        Pattern::Group(name) => format!("group:{name}"),
        Pattern::Host(name) => format!("host:{name}"),
    }
}

const EXPECTED: &str = "a pattern of sessions";

/// `[relay.groups]`.
pub(super) fn groups(keys: &mut Keys<'_, '_, '_>, home: Option<&Path>) -> BTreeMap<GroupName, Vec<Pattern>> {
    let mut found: Vec<(GroupName, Vec<Pattern>, usize)> = Vec::new();
    keys.table.take("groups", |value| {
        value.table()?.each(|name, value| {
            let line = value.line();
            match name.parse::<GroupName>() {
                // A group whose patterns are wrong exists all the same: its name is not what is wrong elsewhere.
                Ok(name) => found.push((name, members(value, home).unwrap_or_default(), line)),
                Err(reason) => value.error("not the name of a group", reason),
            }
        });
        Some(())
    });
    for (name, members, line) in &found {
        let members: Vec<String> = members.iter().map(written).collect();
        keys.note(&format!("groups.{name}"), json!(members), *line);
    }
    found.into_iter().map(|(name, members, _)| (name, members)).collect()
}

fn members(value: Value<'_, '_>, home: Option<&Path>) -> Option<Vec<Pattern>> {
    value.list("a list of patterns like [\"project:web\", \"user:alice\"]", |item| {
        item.parse(EXPECTED, |text| match party(text, home)? {
            Pattern::Group(_) => Err(BadParty::Nested),
            pattern => Ok(pattern),
        })
    })
}

/// `[[relay.allow]]`.
pub(super) fn rules(
    keys: &mut Keys<'_, '_, '_>,
    home: Option<&Path>,
    groups: &BTreeMap<GroupName, Vec<Pattern>>,
    has_cluster: bool,
) -> Vec<Rule> {
    let known = Known { home, groups, has_cluster };
    let rules = keys.table.take("allow", |value| {
        value.list("a list of tables: [[relay.allow]]", |item| {
            let line = item.line();
            Some((known.rule(item)?, line))
        })
    });
    let rules = rules.unwrap_or_default();
    for (Rule { from, to, kinds }, line) in &rules {
        keys.note("allow[]", json!({ "from": written(from), "to": written(to), "kinds": kinds }), *line);
    }
    rules.into_iter().map(|(rule, _)| rule).collect()
}

/// What a rule may refer to.
struct Known<'a> {
    home: Option<&'a Path>,
    groups: &'a BTreeMap<GroupName, Vec<Pattern>>,
    has_cluster: bool,
}

impl Known<'_> {
    fn rule(&self, value: Value<'_, '_>) -> Option<Rule> {
        let mut table = value.table()?;
        for (key, whom) in [("from", "who may send: from = \"project:web\""), ("to", "to whom: to = \"project:api\"")] {
            if !table.has(key) {
                table.error(format_args!("`{key}` is missing"), format_args!("say {whom}; \"*\" is every session"));
            }
        }
        let from = table.take("from", |value| self.party(&value));
        let to = table.take("to", |value| self.party(&value));
        let all = !table.has("kinds");
        let kinds = table.take("kinds", kinds);
        table.finish();
        let kinds = if all { BTreeSet::from(KINDS) } else { kinds? };
        Some(Rule { from: from?, to: to?, kinds })
    }

    fn party(&self, value: &Value<'_, '_>) -> Option<Pattern> {
        let pattern = value.parse(EXPECTED, |text| party(text, self.home))?;
        match &pattern {
            Pattern::Group(name) if !self.groups.contains_key(name) => {
                let known: Vec<&str> = self.groups.keys().map(GroupName::as_str).collect();
                let allowed = if known.is_empty() { String::new() } else { suggestion(name.as_str(), &known) };
                value.error(
                    format_args!("there is no group {name}"),
                    format_args!("[relay.groups] names groups; {allowed}"),
                );
                return None;
            }
            Pattern::Host(name) if !self.has_cluster => {
                let message = format_args!("this relay belongs to no cluster, so no session is on {name}");
                value.warn(message, "[relay.cluster] makes it one of several");
            }
            _ => {}
        }
        Some(pattern)
    }
}

fn kinds(value: Value<'_, '_>) -> Option<BTreeSet<Kind>> {
    if value.list_is_empty() {
        value.error("a rule without kinds allows nothing", "leave the rule out, or name what it allows");
        return None;
    }
    let mut complete = true;
    let kinds = value.list("a list of kinds like [\"message\", \"prompt\"]", |item| {
        let kind = item.parse("a kind of messages", Kind::from_str);
        complete &= kind.is_some();
        if kind == Some(Kind::Eval) {
            let message = "what is allowed here is code that the receiver's client evaluates";
            item.warn(message, "rcc's own clients never do; leave it out unless another client needs it");
        }
        kind
    })?;
    complete.then(|| kinds.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_written_as_they_are_read() {
        let home = Some(Path::new("/home/alice"));
        for text in ["*", "user:alice", "project:web", "project:/srv/web", "group:front", "host:build"] {
            assert_eq!(written(&party(text, home).unwrap()), text);
            assert_eq!(written(&party(text, None).unwrap()), text);
        }
        assert_eq!(written(&party("project:~/web", home).unwrap()), "project:/home/alice/web");
        assert_eq!(written(&party("project:~", home).unwrap()), "project:/home/alice");
    }

    #[test]
    fn what_would_match_other_sessions_than_meant_is_refused() {
        let home = Some(Path::new("/home/alice"));
        for (text, home, refusal) in [
            ("", home, BadParty::Form),
            ("**", home, BadParty::Form),
            ("web", home, BadParty::Form),
            ("session:web", home, BadParty::Form),
            ("project:web~1f", home, BadParty::OneOfSeveral),
            ("project:~bob/web", home, BadParty::OneOfSeveral),
            ("project:~/web", None, BadParty::Home),
            ("project:/srv/../web", home, BadParty::Path(BadPath::Parent)),
        ] {
            assert_eq!(party(text, home), Err(refusal), "{text:?}");
        }
        for text in ["user:", "user:a b", "user:*", "project:", "project:Web", "project:a/b", "group:*", "host:a b"] {
            assert!(party(text, home).is_err(), "{text:?}");
        }
    }
}
