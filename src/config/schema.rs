//! Every key of the three files: for the options of the Nix modules, the reference in `docs/`, and
//! messages. The readers decide what is accepted; tests hold this table against them.

mod admin;
mod relay;
mod user;

use serde::Serialize;
use serde::ser::{Error, Serializer};

pub use admin::ADMIN;
pub use user::{PROJECT, USER};

/// One key of a table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: Type,
    /// What holds without it, in TOML; `None` where that is no value of it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "toml_value")]
    pub default: Option<&'static str>,
    /// What it does, in Markdown: whole sentences.
    pub description: &'static str,
    /// A value that is accepted, in TOML; `None` where the keys below have theirs.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "toml_value")]
    pub example: Option<&'static str>,
}

/// What a key takes. Strings may be restricted further, which the description says.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// `false` alone.
    False,
    /// Text.
    String,
    /// A path of the host.
    Path,
    /// A whole number, bounds included.
    Int {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number with or without a fraction, bounds included.
    Number {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
    },
    /// One of these texts.
    Enum(&'static [&'static str]),
    /// Any number of these.
    List(&'static Type),
    /// One of these.
    Any(&'static [Type]),
    /// A table with these keys.
    Table(&'static [Key]),
    /// A table whose keys are names of the writer's own.
    Map(&'static Type),
}

impl Type {
    /// Whether this is a table that has this key.
    pub fn has_key(&self, name: &str) -> bool {
        matches!(self, Self::Table(keys) if keys.iter().any(|key| key.name == name))
    }
}

fn toml_value<S: Serializer>(text: &Option<&'static str>, serializer: S) -> Result<S::Ok, S::Error> {
    let document = format!("value = {}", text.unwrap_or("{}"));
    let mut table: toml::Table = toml::from_str(&document).map_err(S::Error::custom)?;
    table.remove("value").serialize(serializer)
}
