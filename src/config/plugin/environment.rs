//! `[environment]`: variables that a client may give, and variables that the tool gets.

use super::super::reader::{Table, Value};
use super::super::values::{variable_name, variable_value};
use crate::plugin::manifest::Credential;
use crate::plugin::manifest::environment::{not_to_pass, not_to_set};
use std::collections::{BTreeMap, BTreeSet};

/// Variables of a client's, and variables that are set.
#[derive(Default)]
pub(super) struct Environment {
    pub pass: BTreeSet<String>,
    pub set: BTreeMap<String, String>,
}

/// The one pattern of names: there are many categories, and callers set those that they have (locale(7)).
const LOCALES: &str = "LC_*";

/// Takes the section.
pub(super) fn take(file: &mut Table<'_, '_>, credentials: &[Credential]) -> Environment {
    let mut environment = Environment::default();
    let of_credential = |name: &str| credentials.iter().any(|credential| credential.variable.as_deref() == Some(name));
    let taken = |name: &str| of_credential(name).then(|| "a credential of this manifest has this name".to_owned());
    file.section("environment", |table| {
        let pass = table.take("pass", |value| {
            value.list("a list of names of environment variables", |item| {
                item.parse("a variable that a client may give", |text| {
                    if text == LOCALES {
                        return Ok(text.to_owned());
                    }
                    let name = variable_name(text).map_err(|reason| reason.to_string())?;
                    let reason = not_to_pass(&name).map(str::to_owned).or_else(|| taken(&name));
                    reason.map_or(Ok(name), Err)
                })
            })
        });
        environment.pass = pass.unwrap_or_default().into_iter().collect();
        table.take("set", |value| {
            value.table()?.each(|name, value| environment.set.extend(set(name, &value, &taken)));
            Some(())
        });
    });
    environment
}

fn set(name: &str, value: &Value<'_, '_>, taken: &dyn Fn(&str) -> Option<String>) -> Option<(String, String)> {
    if let Err(reason) = variable_name(name) {
        value.error("not the name of an environment variable", reason);
        return None;
    }
    if let Some(reason) = not_to_set(name).map(str::to_owned).or_else(|| taken(name)) {
        value.error("this variable is not set by a manifest", reason);
        return None;
    }
    let text = value.parse("the value of an environment variable", variable_value)?;
    Some((name.to_owned(), text))
}
