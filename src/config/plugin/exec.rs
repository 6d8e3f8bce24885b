//! Kind `exec`: a program, what it sees, and what may be asked of it.

use super::super::reader::{Table, Value};
use super::{Reader, environment, grammar, list, refuse_unused, size};
use crate::plugin::manifest::{Credential, Exec, ProjectAccess};
use crate::plugin::name::ToolName;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Bytes of output of one call.
const OUTPUT: RangeInclusive<u64> = 4 << 10..=1 << 40;
/// What a call may write unless the manifest says more or less.
const OUTPUT_DEFAULT: u64 = 1 << 30;

/// Takes the keys of this kind.
pub(super) fn take(
    file: &mut Table<'_, '_>,
    tool: &ToolName,
    credentials: &[Credential],
    reader: &Reader<'_>,
) -> Option<Exec> {
    let mut called = tool.to_string();
    let program = if file.has("program") {
        file.take("program", |value| {
            value.parse("a program", |text| {
                called = text.rsplit('/').next().unwrap_or(text).to_owned();
                reader.program(&value, text)
            })
        })
    } else {
        let found = reader.resolve(tool.as_str());
        found.map_err(|reason| file.error(format_args!("there is no program for this tool: {reason}"), NAME_ONE)).ok()
    };
    let has_executes = file.has("executes");
    let executes = file.take("executes", |value| executes(value, reader));
    let project = file.take("project", |value| project(&value, credentials)).unwrap_or(ProjectAccess::ReadOnly);
    let output_max = file.take("output_max", |value| size(&value, OUTPUT, "a size from 4KiB to 1TiB, like \"1 GiB\""));
    let environment::Environment { pass, set } = environment::take(file, credentials);
    let grammar = grammar::take(file);
    let used: Vec<&str> = credentials.iter().filter(|c| c.variable.is_some()).map(|c| c.name.as_str()).collect();
    refuse_unused(file, credentials, &used);
    Some(Exec {
        program: program?,
        called,
        executes: if has_executes { Some(executes?) } else { None },
        project,
        pass,
        set,
        output_max: output_max.unwrap_or(OUTPUT_DEFAULT),
        grammar,
    })
}

const NAME_ONE: &str = "install it, or name another: program = \"/usr/bin/gh\"";

fn executes(value: Value<'_, '_>, reader: &Reader<'_>) -> Option<BTreeSet<PathBuf>> {
    let programs = list(value, "a list of programs like [\"git\"]", |item| {
        item.parse("a program", |text| reader.program(&item, text))
    })?;
    Some(programs.into_iter().collect())
}

fn project(value: &Value<'_, '_>, credentials: &[Credential]) -> Option<ProjectAccess> {
    let access = value.parse("what a tool sees of the project", |text| match text {
        "none" => Ok(ProjectAccess::None),
        "read-only" => Ok(ProjectAccess::ReadOnly),
        "inert" => Ok(ProjectAccess::Inert),
        "writable" => Ok(ProjectAccess::Writable),
        _ => {
            Err("expected \"none\", \"read-only\", \"inert\" (written, but nothing in it is executed) or \"writable\"")
        }
    })?;
    if access == ProjectAccess::Writable && !credentials.is_empty() {
        value.error(
            "a tool with a credential does not execute what is in the project: the agent writes it, and it would have \
             the credential",
            "write project = \"inert\" or \"read-only\", or take the credentials out",
        );
        return None;
    }
    Some(access)
}

impl Reader<'_> {
    /// A program that a value names.
    fn program(&self, value: &Value<'_, '_>, text: &str) -> Result<PathBuf, String> {
        if !text.contains('/') && !text.starts_with('~') {
            return self.resolve(text);
        }
        let path = self.path(value, "a program's path").ok_or("write a name of the system's, or an absolute path")?;
        (self.program)(&path, self.owner.uid).map_err(|reason| reason.to_string())
    }

    /// A program of the system.
    fn resolve(&self, name: &str) -> Result<PathBuf, String> {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
        if !plain || name.is_empty() || name.starts_with('.') {
            return Err("write a name of the system's, or an absolute path".to_owned());
        }
        let path = (self.find)(name).ok_or_else(|| format!("the system's directories have no {name}"))?;
        (self.program)(&path, self.owner.uid).map_err(|reason| reason.to_string())
    }
}
