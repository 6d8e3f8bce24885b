//! The manifests that come with rcc, which `rcc plugin add` writes.

use super::Origin;
use crate::shown;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A manifest that comes with rcc.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its tool.
    pub tool: &'static str,
    /// Its text.
    pub text: &'static str,
    /// Whether it names credentials, which root's alone may.
    pub has_credentials: bool,
}

/// All of them.
pub const SHIPPED: [Shipped; 7] = [
    Shipped { tool: "git", text: include_str!("../../../plugins/git.toml"), has_credentials: true },
    Shipped { tool: "gh", text: include_str!("../../../plugins/gh.toml"), has_credentials: true },
    Shipped { tool: "npm", text: include_str!("../../../plugins/npm.toml"), has_credentials: false },
    Shipped { tool: "cargo", text: include_str!("../../../plugins/cargo.toml"), has_credentials: false },
    Shipped { tool: "anthropic", text: include_str!("../../../plugins/anthropic.toml"), has_credentials: true },
    Shipped { tool: "npm-registry", text: include_str!("../../../plugins/npm-registry.toml"), has_credentials: true },
    Shipped { tool: "example", text: include_str!("../../../plugins/example.toml"), has_credentials: true },
];

/// Why no manifest was written.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// None of [`SHIPPED`].
    #[error("rcc has no manifest for {}", shown::text(.0))]
    Unknown(String),
    /// Only root's manifests have credentials.
    #[error("the manifest for {0} names credentials, which only root's may")]
    Root(&'static str),
    /// There is one, maybe an edited one.
    #[error("there is {} already", shown::terminal(.0))]
    Exists(PathBuf),
    /// The system said no.
    #[error("cannot write {}: {source}", shown::terminal(path))]
    Write {
        /// What.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl AddError {
    /// What to do next.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unknown(_) => {
                let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.tool).collect();
                format!(
                    "there are manifests for {}; `rcc plugin add example` writes one to start from",
                    names.join(", ")
                )
            }
            Self::Root(tool) => format!("sudo rcc plugin add {tool}"),
            Self::Exists(_) => "look at it, and write --force to replace it".to_owned(),
            Self::Write { .. } => "see to the directory and try again".to_owned(),
        }
    }
}

/// Writes the manifest for a tool into a directory of root's or the user's, whole or not at all. One that is there
/// is replaced only if that is asked for.
///
/// # Errors
/// See [`AddError`]; then the directory holds what it held.
pub fn add(tool: &str, origin: Origin, directory: &Path, replace: bool) -> Result<PathBuf, AddError> {
    let shipped = SHIPPED.iter().find(|shipped| shipped.tool == tool);
    let shipped = shipped.ok_or_else(|| AddError::Unknown(tool.to_owned()))?;
    if shipped.has_credentials && origin == Origin::User {
        return Err(AddError::Root(shipped.tool));
    }
    let path = directory.join(format!("{tool}.toml"));
    let failed = |source| AddError::Write { path: path.clone(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed)?;
    let new = directory.join(format!(".{tool}.toml.{}", std::process::id()));
    let written = write(&new, shipped.text).and_then(|()| match replace {
        true => std::fs::rename(&new, &path),
        // Unlike rename(2), link(2) never replaces.
        false => std::fs::hard_link(&new, &path),
    });
    // Renamed, it is gone already.
    let _ = std::fs::remove_file(&new);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(AddError::Exists(path)),
        Err(error) => Err(failed(error)),
        Ok(()) => Ok(path),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // What an earlier process of this number left.
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_written_once_and_replaced_when_asked() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("rcc/plugins");
        let path = add("npm", Origin::User, &directory, false).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), SHIPPED[2].text);
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(add("npm", Origin::User, &directory, false), Err(AddError::Exists(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        add("npm", Origin::User, &directory, true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), SHIPPED[2].text);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn credentials_are_roots_and_only_what_is_shipped_is_written() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(add("git", Origin::User, root.path(), false), Err(AddError::Root("git"))));
        assert!(matches!(add("../x", Origin::Admin, root.path(), false), Err(AddError::Unknown(_))));
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
