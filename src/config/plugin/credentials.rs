//! `[credentials.NAME]`.

use super::super::reader::{Table, Value};
use super::super::values::variable_name;
use super::{ADMIN_DIRECTORY, Reader};
use crate::plugin::manifest::environment::not_to_set;
use crate::plugin::manifest::{Credential, Origin, Source};
use std::path::Path;

/// Credentials of one manifest.
const CREDENTIALS_MAX: usize = 16;

/// The credentials; none where the file has none.
pub(super) fn take(file: &mut Table<'_, '_>, reader: &Reader<'_>) -> Vec<Credential> {
    let mut credentials = Vec::new();
    file.take("credentials", |value| {
        if reader.owner.origin == Origin::User {
            value.error(
                "the user's manifests have no credentials: what the user's processes can change, an agent's could have",
                format_args!("put this file in {ADMIN_DIRECTORY}, as root"),
            );
            return None;
        }
        value.table()?.each(|name, value| {
            if credentials.len() == CREDENTIALS_MAX {
                value.error("one credential too many", format_args!("a manifest has at most {CREDENTIALS_MAX}"));
            } else {
                credentials.extend(credential(name, value, reader));
            }
        });
        Some(())
    });
    credentials
}

fn credential(name: &str, value: Value<'_, '_>, reader: &Reader<'_>) -> Option<Credential> {
    if let Err(reason) = plain_name(name) {
        value.error("not the name of a credential", reason);
        return None;
    }
    let mut table = value.table()?;
    let sources = ["environment", "file", "systemd", "command"];
    let given: Vec<&str> = sources.into_iter().filter(|key| table.has(key)).collect();
    if given.len() != 1 {
        let message = if given.is_empty() { "this credential comes from nowhere" } else { "one source is enough" };
        table.error(message, "write one of environment = \"GITHUB_TOKEN\", file, systemd and command");
    }
    let environment = table.take("environment", |value| {
        value.parse("the name of an environment variable", variable_name).map(Source::Environment)
    });
    let file = table.take("file", |value| reader.path(&value, "a path").map(Source::File));
    let systemd = table
        .take("systemd", |value| value.parse("the name of a credential of systemd", plain_name).map(Source::Systemd));
    let command = table.take("command", |value| command(value).map(Source::Command));
    let variable = table.take("variable", |value| {
        value.parse("the name of an environment variable", |text| {
            let name = variable_name(text).map_err(|reason| reason.to_string())?;
            not_to_set(&name).map_or(Ok(name), |reason| Err(reason.to_owned()))
        })
    });
    table.finish();
    let source = environment.or(file).or(systemd).or(command)?;
    (given.len() == 1).then(|| Credential { name: name.to_owned(), source, variable })
}

fn command(value: Value<'_, '_>) -> Option<Vec<String>> {
    if value.list_length() == Some(0) {
        value.error("this is no command", "name a program: command = [\"/usr/bin/pass\", \"show\", \"github\"]");
        return None;
    }
    let mut first = true;
    let words =
        super::list(value, "a program and its arguments, like [\"/usr/bin/pass\", \"show\", \"github\"]", |item| {
            let is_program = std::mem::take(&mut first);
            item.parse("a word of a command", |text| {
                if text.len() > 4096 || text.contains('\0') {
                    Err("a word has at most 4096 bytes, and no NUL")
                } else if is_program && !Path::new(text).is_absolute() {
                    Err("write the program with its absolute path: the caller's PATH is not asked")
                } else {
                    Ok(text.to_owned())
                }
            })
        })?;
    Some(words)
}

/// A name that is a plain file name, too (systemd.exec(5), `LoadCredential=`).
fn plain_name(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let good = plain && (1..=64).contains(&text.len()) && !text.starts_with(['.', '-']);
    if good {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 characters out of a-z, A-Z, 0-9, '-', '_' and '.', the first a letter, a digit or '_'")
    }
}
