//! Where manifests are.

use super::Origin;
use crate::config::Owner;
use crate::facts::Facts;
use std::io;
use std::path::{Path, PathBuf};

/// Root's manifests.
pub const ADMIN_DIRECTORY: &str = "/etc/rcc/plugins";
/// The user's, in [`Facts::config_dir`].
pub const USER_DIRECTORY: &str = "plugins";
/// Manifests of one directory.
pub const MANIFESTS_MAX: usize = 256;

/// Where manifests are, and who may own them.
#[derive(Clone, Debug)]
pub struct Places {
    /// Root's directory.
    pub admin: PathBuf,
    /// Who owns it and what is in it: 0, save in tests.
    pub admin_owner: u32,
    /// The user's directory.
    pub user: PathBuf,
    /// The user.
    pub uid: u32,
    /// The user's home, for `~`.
    pub home: PathBuf,
}

impl Places {
    /// The usual ones.
    pub fn new(facts: &Facts) -> Self {
        Self {
            admin: ADMIN_DIRECTORY.into(),
            admin_owner: 0,
            user: facts.config_dir.join(USER_DIRECTORY),
            uid: facts.user.uid,
            home: facts.user.home.clone(),
        }
    }

    /// A directory and whose it is.
    pub fn of(&self, origin: Origin) -> (&Path, Owner<'_>) {
        match origin {
            Origin::Admin => (&self.admin, Owner { origin, uid: self.admin_owner, home: None }),
            Origin::User => (&self.user, Owner { origin, uid: self.uid, home: Some(&self.home) }),
        }
    }
}

/// The manifests of a directory cannot be listed, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The system said no.
    #[error("cannot list the manifests: {0}")]
    Io(#[from] io::Error),
    /// More than are read.
    #[error("there are more than {MANIFESTS_MAX} manifests, and the rest is ignored")]
    TooMany,
}

impl ListError {
    /// What to do next.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Io(_) => "everyone who runs rcc reads this directory: see to its mode and owner",
            Self::TooMany => "remove some",
        }
    }
}

/// Whether this is the name of a manifest's file, also of one that has no good name.
pub fn is_manifest(name: &str) -> bool {
    name.ends_with(".toml") && !name.starts_with('.')
}

/// The names of the manifests in a directory, at most [`MANIFESTS_MAX`], and why not all of them are there. What is
/// hidden, or an editor's copy, is none; a directory that is not there has none.
pub fn list(directory: &Path) -> (Vec<String>, Option<ListError>) {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), None),
        Err(error) => return (Vec::new(), Some(error.into())),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = match entry {
            Ok(entry) => entry.file_name(),
            Err(error) => return (names, Some(error.into())),
        };
        let Some(name) = name.to_str().filter(|name| is_manifest(name)) else { continue };
        if names.len() == MANIFESTS_MAX {
            return (names, Some(ListError::TooMany));
        }
        names.push(name.to_owned());
    }
    names.sort();
    (names, None)
}
