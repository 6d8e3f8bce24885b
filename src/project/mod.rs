//! The current project: where it is, what of it is hidden, what of it is handed back to the host.
//!
//! Everything below a project may have been written by an agent of an earlier run, or is being
//! written by one of a run that goes on. So links in it are never followed, and what it says
//! about places outside is believed only where that place agrees.

pub mod exclude;
mod git;
mod guard;
pub mod handover;
pub mod home;
mod ignore;
mod placeholder;
pub mod report;
mod root;
pub mod scan;
mod socket;

pub use git::{Git, GitError};
pub use root::ProjectError;

use crate::facts::Facts;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The directory that a sandbox works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Absolute, without symbolic links.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub root: PathBuf,
    /// Where the command starts: `root` or below.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub cwd: PathBuf,
    /// Where its repository is.
    pub git: Git,
    /// The user's home, for `~/` in git's configuration.
    #[serde(skip)]
    home: PathBuf,
}

impl Project {
    /// Finds the project of the current directory: the top of its git work tree, or itself.
    /// Reads the file system, runs no git.
    ///
    /// # Errors
    /// The directory cannot be a project, or its `.git` names a repository that does not name it.
    pub fn find(facts: &Facts) -> Result<Self, ProjectError> {
        let root = root::find(facts)?;
        let git = git::find(&root, facts.user.uid)?;
        if let Git::Outside { common, .. } = &git {
            root::check(common, facts)?;
        }
        Ok(Self { root, cwd: facts.cwd.clone(), git, home: facts.user.home.clone() })
    }

    /// A path of the project relative to its root; `None` for one outside.
    pub fn relative<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.root).ok()
    }
}
