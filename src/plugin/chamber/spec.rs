//! What a chamber is, as plain data.

use crate::plugin::manifest::ProjectAccess;
use crate::plugin::name::ToolName;
use crate::policy::ProfileName;
use crate::settings::Limits;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where a chamber has its credentials as files, if it wants them so: in memory that is never swapped, for
/// nobody but the tool.
pub const CREDENTIALS: &str = "/run/rcc/credentials";

/// What a chamber is. Whose it is, the process that makes it finds out by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The session that it belongs to.
    pub session: String,
    /// Its tool.
    pub tool: ToolName,
    /// The project's root on the host: absolute, without symbolic links.
    pub root: PathBuf,
    /// What it sees of the project.
    pub project: ProjectAccess,
    /// Its network profile, which root's policy must have for this user, or `offline`.
    #[serde(deserialize_with = "profile")]
    pub profile: ProfileName,
    /// The tool's program: absolute, without symbolic links.
    pub program: PathBuf,
    /// The only programs that can be executed, beside `program` and rcc itself, likewise; any, if `None`.
    /// Programs that need a dynamic loader have it with them; those that are scripts need their interpreter
    /// in the list. Nothing that can be written can be executed then, and loaded neither.
    pub executes: Option<BTreeSet<PathBuf>>,
    /// A directory of the host, made (mode 0700) where missing, that appears as the home.
    pub home: PathBuf,
    /// Further files and directories of the host.
    pub binds: Vec<Bind>,
    /// Files that exist only inside, read-only.
    pub files: Vec<GeneratedFile>,
    /// Whether there is a directory [`CREDENTIALS`].
    pub credentials: bool,
    /// Ceilings; what is `None` here is as the user's configuration has it.
    pub limits: Limits,
}

/// A file or directory of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// On the host: absolute, without symbolic links.
    pub source: PathBuf,
    /// Inside: absolute, not in the project.
    pub target: PathBuf,
    /// What may be done with it.
    pub access: BindAccess,
}

/// What may be done with what is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindAccess {
    /// Nothing can be changed or executed.
    ReadOnly,
    /// Nothing can be changed.
    Program,
    /// Nothing can be executed.
    Inert,
}

/// A file that exists only inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedFile {
    /// Where: absolute, below `/run/rcc` or `/etc`.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

fn profile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProfileName, D::Error> {
    ProfileName::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
