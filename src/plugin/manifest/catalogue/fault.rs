//! What is wrong with a manifest or a directory of them.

use crate::config::{ConfigError, printable};
use miette::Diagnostic;
use std::fmt::Display;
use std::io;
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
    /// Its files cannot be listed.
    #[error("cannot read the directory {}: {source}", shown(path))]
    Directory {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// More than are read.
    #[error("{} has more than {} manifests; the rest is ignored", shown(path), super::MANIFESTS_MAX)]
    TooMany {
        /// Which directory.
        path: PathBuf,
    },
}

impl Fault {
    /// The file or directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Manifest { path, .. }
            | Self::Ignored { path }
            | Self::Directory { path, .. }
            | Self::TooMany { path } => path,
        }
    }
}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        match self {
            Self::Manifest { error, .. } => error.help(),
            Self::Ignored { .. } => Some(Box::new("remove it, or give it another name")),
            Self::Directory { .. } => Some(Box::new("everyone who runs rcc reads it: see to its mode and owner")),
            Self::TooMany { .. } => Some(Box::new("remove some")),
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
