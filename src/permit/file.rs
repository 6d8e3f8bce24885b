//! A permanent change: root's file is rewritten whole, its rules are put into force, and if that
//! fails the file is as it was.

use super::audit::{AuditError, Entry, Log, State, Who};
use crate::config::amend::{self, AmendError, Amended, Change};
use crate::config::{self, Admin, ConfigError, Problem, printable};
use crate::policy::ProfileName;
use crate::setup::Failure;
use crate::setup::durable::{self, Attributes};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The most that the file may hold, in bytes; as its reader has it.
const SIZE_MAX: u64 = 16 << 20;

/// Why the policy is as it was.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum PermitError {
    /// The file's text.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Amend(#[from] AmendError),
    /// The file cannot be trusted, or has mistakes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// As on NixOS.
    #[error("cannot change {}: it is {}, which other software makes", shown(path), shown(real))]
    #[diagnostic(help(
        "change it where it is made (on NixOS `services.rcc.settings`), or give a lease, which needs no file: --for 30m"
    ))]
    Declared {
        /// Where rcc looks.
        path: PathBuf,
        /// What is there.
        real: PathBuf,
    },
    /// There is no directory for it, or it can't be locked.
    #[error("cannot lock {}: {source}", shown(path))]
    #[diagnostic(help("`sudo rcc init` makes it"))]
    Lock {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// As on a disk that is full or mounted read-only.
    #[error("cannot write to {}: {source}", shown(path))]
    #[diagnostic(help(
        "nothing was changed: make room there, or mount it writable; `rcc allow` with --for 30m gives a lease, which \
         needs no file"
    ))]
    Write {
        /// The directory: the file is replaced in there.
        path: PathBuf,
        /// What was tried.
        source: durable::FileError,
    },
    /// Reading or removing it.
    #[error(transparent)]
    File(#[from] durable::FileError),
    /// Nothing is widened without a record.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Audit(#[from] AuditError),
    /// The rules could not be loaded.
    #[error("the change was taken back, because its rules could not be put into force: {0}")]
    Enforce(Failure),
    /// Nor could the file be put back.
    #[error("its rules could not be put into force: {cause}; and {} could not be put back: {restore}", shown(path))]
    #[diagnostic(help("look at the file, then run `sudo rcc firewall apply`"))]
    Restore {
        /// The file.
        path: PathBuf,
        /// The first reason.
        cause: Failure,
        /// The second.
        restore: Failure,
    },
}

/// A warning without its place.
fn said(warning: &Problem) -> String {
    let text = warning.to_string();
    text.strip_prefix(warning.key()).map(str::to_owned).unwrap_or(text)
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// Root's file and those who are told of its changes.
pub struct RootFile<'a> {
    /// Where it is.
    pub path: PathBuf,
    /// Who owns it and the directories above it: 0 outside of tests.
    pub owner: u32,
    /// Where changes are recorded.
    pub log: Log,
    /// Puts what the file says into force.
    pub enforce: &'a dyn Fn(&Admin) -> Result<(), Failure>,
}

/// What is to be written, and for whom.
#[derive(Clone, Debug)]
pub struct FileChange {
    /// In which profile.
    pub profile: ProfileName,
    /// What.
    pub change: Change,
    /// As it is recorded.
    pub entry: Entry,
    /// Who asked.
    pub who: Who,
}

impl RootFile<'_> {
    /// Makes the change, and returns what its reader has to say about it; `None` if the file says
    /// so already.
    ///
    /// # Errors
    /// Whatever the reason, file and rules are then as they were.
    pub fn make(&self, wanted: &FileChange) -> Result<Option<Vec<Problem>>, PermitError> {
        let _lock = self.lock()?;
        let before = config::load_admin(&self.path, self.owner)?;
        self.refuse_links()?;
        let found = durable::read(&self.path, SIZE_MAX)?;
        let bytes = found.as_ref().map_or(&[][..], |(bytes, _)| bytes);
        // The reader has just taken it as UTF-8.
        let text = String::from_utf8_lossy(bytes);
        let Some(Amended { text, admin }) = amend::amended(&self.path, &text, &wanted.profile, &wanted.change)? else {
            return Ok(None);
        };
        let record = |state| self.log.add(&wanted.who, &wanted.entry, state);
        record(State::Requested).or_else(|error| if self.tightens(wanted) { Ok(()) } else { Err(error) })?;
        let done = self.replace(found.as_ref(), &text, &admin, &before);
        let reason = done.as_ref().err().map(ToString::to_string);
        // The request is on record; that its outcome is too must not undo what is in force.
        if let Err(error) = record(reason.as_deref().map_or(State::Done, State::Failed)) {
            tracing::warn!("{error}");
        }
        done?;
        // The places of the others have moved; what is taken brings none.
        let new = admin.warnings.len().saturating_sub(before.warnings.len());
        let before: Vec<String> = before.warnings.iter().map(said).collect();
        let others = admin.warnings.into_iter().filter(|warning| !before.contains(&said(warning)));
        Ok(Some(others.take(new).collect()))
    }

    fn tightens(&self, wanted: &FileChange) -> bool {
        matches!(wanted.change, Change::Take { .. })
    }

    fn replace(
        &self,
        found: Option<&(Vec<u8>, Attributes)>,
        text: &str,
        admin: &Admin,
        before: &Admin,
    ) -> Result<(), PermitError> {
        let attributes = found.map_or(Attributes::mode(0o644), |(_, attributes)| *attributes);
        durable::replace(&self.path, text.as_bytes(), attributes)
            .map_err(|source| PermitError::Write { path: self.directory().to_owned(), source })?;
        let Err(cause) = (self.enforce)(admin) else { return Ok(()) };
        let restored = match found {
            Some((bytes, attributes)) => durable::replace(&self.path, bytes, *attributes),
            None => durable::remove(&self.path).map(drop),
        };
        match restored {
            // A service that was slow may have read the new file by now.
            Ok(()) => match (self.enforce)(before) {
                Ok(()) => Err(PermitError::Enforce(cause)),
                Err(again) if again.to_string() == cause.to_string() => Err(PermitError::Enforce(cause)),
                Err(again) => Err(PermitError::Enforce(format!("{cause}; nor the former ones again: {again}").into())),
            },
            Err(error) => Err(PermitError::Restore { path: self.path.clone(), cause, restore: error.into() }),
        }
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// One change at a time. The directory is what is locked: the file is another one afterwards.
    fn lock(&self) -> Result<File, PermitError> {
        let directory = self.directory();
        let open = || -> std::io::Result<File> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let file = rustix::fs::open(directory, flags, Mode::empty())?;
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file.into())
        };
        open().map_err(|source| PermitError::Lock { path: directory.to_owned(), source })
    }

    /// A rename would put a file into the place of the link, and what makes the link would put it
    /// back.
    fn refuse_links(&self) -> Result<(), PermitError> {
        match std::fs::canonicalize(&self.path) {
            Ok(real) if real != self.path => Err(PermitError::Declared { path: self.path.clone(), real }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
