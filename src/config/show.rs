//! The merged configuration as rows for `rcc config show`.

use super::problem::printable;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Built into rcc.
    Default,
    /// It follows from the machine, and holds where it can be enforced.
    Machine {
        /// How it follows.
        why: String,
    },
    /// `--profile`.
    CommandLine,
    /// A configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Machine { why } => write!(f, "default: {why}"),
            Self::CommandLine => f.write_str("command line"),
            Self::File { path, line } => write!(f, "{}:{line}", printable(&path.to_string_lossy())),
        }
    }
}

/// One value of the merged configuration. Displays as `key = value  # origin`, safe for a
/// terminal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// As in the files; a list has one entry for each element, with `[]` behind its key.
    pub key: String,
    /// The value that holds.
    pub value: Value,
    /// Who decided it.
    pub origin: Origin,
}

impl Entry {
    pub(super) fn new(key: impl Into<String>, value: impl Into<Value>, origin: Origin) -> Self {
        Self { key: key.into(), value: value.into(), origin }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let assignment = format!("{} = {}", self.key, toml(&self.value));
        write!(f, "{:<48}  # {}", printable(&assignment), self.origin)
    }
}

/// A value as TOML writes it in one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key} = {}", toml(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_is_one_printable_line() {
        let origin = Origin::File { path: "/p/\x1b[2J/.rcc.toml".into(), line: 3 };
        let entry = Entry::new("mounts[]", json!({"source": "/a\u{202e}", "ports": [1, "2-3"]}), origin);
        let line = entry.to_string();
        assert_eq!(line, "mounts[] = { ports = [1, \"2-3\"], source = \"/a\\u{202e}\" }  # /p/\\u{1b}[2J/.rcc.toml:3");
    }
}
