//! Why a configuration cannot be used.

use super::files::FileError;
use super::problem::{Problem, printable};
use super::reader::Mistakes;
use miette::Diagnostic;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used. As a [`Diagnostic`] it shows every mistake with its line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read or must not be trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// The contents of a file are wrong.
    #[error("cannot use {}: {}", printable(&path.to_string_lossy()), count(problems.len() + omitted))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong; at least one.
        problems: Vec<Problem>,
        /// How many mistakes more there are.
        omitted: usize,
    },
    /// `--profile` names none.
    #[error("there is no network profile '{}'", printable(name))]
    UnknownProfile {
        /// As given on the command line.
        name: String,
        /// What there is.
        known: String,
    },
    /// Several of these at once.
    #[error("cannot use the configuration: {} errors", .0.len())]
    Several(Vec<ConfigError>),
}

fn count(mistakes: usize) -> String {
    if mistakes == 1 { "1 mistake".to_owned() } else { format!("{mistakes} mistakes") }
}

impl ConfigError {
    pub(super) fn mistakes(path: &Path, mistakes: Mistakes) -> Self {
        Self::Invalid { path: path.to_owned(), problems: mistakes.problems, omitted: mistakes.omitted }
    }

    pub(super) fn problem(path: &Path, problem: Problem) -> Self {
        Self::Invalid { path: path.to_owned(), problems: vec![problem], omitted: 0 }
    }

    /// One error for all of them; there must be one.
    pub(super) fn all(errors: impl IntoIterator<Item = Self>) -> Self {
        let mut errors: Vec<Self> = errors.into_iter().collect();
        match errors.pop() {
            Some(only) if errors.is_empty() => only,
            last => Self::Several(errors.into_iter().chain(last).collect()),
        }
    }
}

impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        match self {
            Self::File(error) => Some(Box::new(error.remedy())),
            Self::Invalid { problems, omitted, .. } if *omitted > 0 => {
                Some(Box::new(format!("the first {} are shown", problems.len())))
            }
            Self::UnknownProfile { known, .. } => Some(Box::new(known)),
            Self::Invalid { .. } | Self::Several(_) => None,
        }
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        fn each<T: Diagnostic>(items: &[T]) -> Option<Box<dyn Iterator<Item = &dyn Diagnostic> + '_>> {
            Some(Box::new(items.iter().map(|item| item as &dyn Diagnostic)))
        }
        match self {
            Self::Invalid { problems, .. } => each(problems),
            Self::Several(errors) => each(errors),
            Self::File(_) | Self::UnknownProfile { .. } => None,
        }
    }
}
