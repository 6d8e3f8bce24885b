//! What is wrong with a manifest or a directory of them.

use super::super::places::ListError;
use crate::config::{ConfigError, printable};
use miette::Diagnostic;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// What is wrong with a manifest or a directory of them. As a [`Diagnostic`] it shows the lines.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be used.
    #[error("{error}{}", if *in_force { "; what it said before stays in force" } else { "" })]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: ConfigError,
        /// Whether an older text of it holds.
        in_force: bool,
    },
    /// Root has one of this name.
    #[error("{} is ignored: the administrator has a plugin of this name", shown(path))]
    Ignored {
        /// The user's file.
        path: PathBuf,
    },
    /// Its files cannot be listed, or not all of them.
    #[error("{}: {error}", shown(path))]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        error: ListError,
    },
}

impl Fault {
    /// The file or directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Manifest { path, .. } | Self::Ignored { path } | Self::Directory { path, .. } => path,
        }
    }
}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        match self {
            Self::Manifest { error, .. } => error.help(),
            Self::Ignored { .. } => Some(Box::new("remove it, or give it another name")),
            Self::Directory { error, .. } => Some(Box::new(error.remedy())),
        }
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self {
            Self::Manifest { error, .. } => error.related(),
            _ => None,
        }
    }
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}
