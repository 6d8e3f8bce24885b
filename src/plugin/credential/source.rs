//! A credential from where its manifest says.

use super::environment::Taken;
use super::secret::{SECRET_MIN, Secret, SecretError};
use super::{command, file};
use crate::plugin::manifest::Source;
use rustix::process::{Uid, getuid};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// For programs that ask somebody: a password manager that is locked, a key that wants to be touched.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where a unit's credentials are (systemd.exec(5)).
pub(super) const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// There is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It was not there when the broker started, or nothing named it then.
    #[error(
        "the environment that the broker started with has no {0}, or no manifest named it then: set it, then \
         `rcc plugin stop` and `rcc plugin start`"
    )]
    NotSet(String),
    /// open(2) and read(2).
    #[error("cannot {attempt} the credential's file {}: {source}; it must be readable by uid {uid}", path.display())]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// Who attempts it.
        uid: u32,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Not what a credential's file is.
    #[error("the credential's file {} is {found}; {remedy}", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What to do about it.
        remedy: String,
    },
    /// No credential of a unit's.
    #[error(
        "there is no $CREDENTIALS_DIRECTORY, so no credential {0}: systemd sets it for a unit with LoadCredential= \
         (systemd.exec(5)); start the broker as such a unit, or name another source"
    )]
    NoDirectory(String),
    /// Not a credential's name.
    #[error("{0:?} is no name of a systemd credential, which is the name of a file without any directory")]
    NotAName(String),
    /// Not a program.
    #[error("{0:?} is no program that prints a credential: name it by its absolute path")]
    NotAProgram(String),
    /// execve(2), or what the kernel says about the program that runs.
    #[error("cannot {attempt} {program}, which prints the credential: {source}; try it in a terminal")]
    Program {
        /// What was attempted.
        attempt: &'static str,
        /// Its path.
        program: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It said no.
    #[error("{program} printed no credential: {status}; what it says is above, or in the broker's log")]
    Exit {
        /// Its path.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It takes too long.
    #[error(
        "{program} printed no credential within {} s and was ended: unlock what it waits for (it has no terminal), \
         then try again", limit.as_secs()
    )]
    Slow {
        /// Its path.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// It is not one that can be kept.
    #[error("the credential from {origin} cannot be used: {source}")]
    Unusable {
        /// Where it comes from.
        origin: String,
        /// Why.
        #[source]
        source: SecretError,
    },
}

/// Fetches a credential. Blocks, for up to a minute where a program prints it.
///
/// # Errors
/// See [`CredentialError`]; none of them tells anything of the credential.
pub fn obtain(source: &Source, taken: &Taken) -> Result<Secret, CredentialError> {
    let uid = getuid();
    let (origin, secret) = match source {
        Source::Environment(name) => {
            let secret = taken.get(name).ok_or_else(|| CredentialError::NotSet(name.clone()))?;
            (format!("the variable {name}"), secret.duplicate())
        }
        Source::File(path) => (format!("the file {}", path.display()), file::read(path, uid, file::Guard::Mode)?),
        Source::Systemd(name) => {
            let directory = std::env::var_os(DIRECTORY).map(PathBuf::from);
            (format!("systemd, {name}"), of_the_unit(name, directory.as_deref(), uid)?)
        }
        Source::Command(words) => {
            let (program, arguments) =
                words.split_first().ok_or_else(|| CredentialError::NotAProgram(String::new()))?;
            (program.clone(), command::run(program, arguments, PATIENCE)?)
        }
    };
    let long_enough = secret.and_then(|secret| match secret.expose().len() {
        SECRET_MIN.. => Ok(secret),
        _ => Err(SecretError::TooShort),
    });
    long_enough.map_err(|source| CredentialError::Unusable { origin, source })
}

fn of_the_unit(name: &str, directory: Option<&Path>, uid: Uid) -> Result<Result<Secret, SecretError>, CredentialError> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(CredentialError::NotAName(name.to_owned()));
    }
    let directory = directory.filter(|directory| directory.is_absolute());
    let directory = directory.ok_or_else(|| CredentialError::NoDirectory(name.to_owned()))?;
    file::read(&directory.join(name), uid, file::Guard::Systemd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn unit(name: &str, directory: Option<&Path>) -> Result<Vec<u8>, CredentialError> {
        of_the_unit(name, directory, getuid()).map(|secret| secret.unwrap().expose().to_vec())
    }

    #[test]
    fn a_credential_of_the_unit_is_a_plain_file_of_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "canary-1\n").unwrap();
        // As systemd makes it for a user that is not root: root's, with an ACL whose mask shows as the group's.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        assert_eq!(unit("token", Some(directory.path())).unwrap(), b"canary-1");
        assert!(matches!(unit("token", None), Err(CredentialError::NoDirectory(_))));
        assert!(matches!(unit("token", Some(Path::new("relative"))), Err(CredentialError::NoDirectory(_))));
        for bad in ["", ".", "..", "../token", "/etc/passwd", "a/b", "a\0"] {
            assert!(matches!(unit(bad, Some(directory.path())), Err(CredentialError::NotAName(_))), "{bad:?}");
        }
    }

    #[test]
    fn what_is_too_short_to_be_found_in_text_is_no_credential() {
        let echo = |word: &str| obtain(&Source::Command(vec!["/bin/echo".into(), word.into()]), &Taken::default());
        assert_eq!(echo("12345678").unwrap().expose(), b"12345678");
        let error = echo("1234567").unwrap_err();
        assert!(matches!(error, CredentialError::Unusable { source: SecretError::TooShort, .. }));
        assert!(!format!("{error} {error:?}").contains("1234567"));
    }

    #[test]
    fn a_variable_that_was_not_taken_is_not_looked_for() {
        let error = obtain(&Source::Environment("PATH".to_owned()), &Taken::default()).unwrap_err();
        assert!(error.to_string().contains("rcc plugin start"), "{error}");
    }
}
