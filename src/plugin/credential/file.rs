//! A credential from a file.

use super::pages::Wiped;
use super::secret::{SECRET_MAX, Secret, SecretError};
use super::source::CredentialError;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use rustix::io::Errno;
use rustix::process::Uid;
use std::path::Path;

/// What keeps others from reading the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Its mode.
    Mode,
    /// An access list that systemd made: its mask shows as the mode of the group (acl(5)).
    Systemd,
}

/// Reads a file whose owner alone can read it, without the line feed at its end. The last component of its path
/// is no symbolic link.
pub fn read(path: &Path, uid: Uid, guard: Guard) -> Result<Result<Secret, SecretError>, CredentialError> {
    let fail = |attempt| {
        move |error: Errno| CredentialError::File {
            attempt,
            path: path.to_owned(),
            uid: uid.as_raw(),
            source: error.into(),
        }
    };
    // What is not a regular file is opened all the same, without waiting for another end or becoming its terminal.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP => refuse(path, "a symbolic link".to_owned(), "name the file that it leads to"),
        errno => fail("open")(errno),
    })?;
    check(path, &fstat(&file).map_err(fail("look at"))?, uid, guard)?;
    // Two more than fit tell what is too long, whether it ends in a line feed or not.
    let mut bytes = Wiped::with_room(SECRET_MAX + 2);
    while bytes.read(|room| Ok(rustix::io::read(&file, room)?)).map_err(|source| CredentialError::File {
        attempt: "read",
        path: path.to_owned(),
        uid: uid.as_raw(),
        source,
    })? > 0
    {}
    bytes.without_line_feed();
    Ok(Secret::take(bytes.inner()))
}

fn check(path: &Path, stat: &Stat, uid: Uid, guard: Guard) -> Result<(), CredentialError> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refuse(path, "no regular file".to_owned(), "put the credential in one"));
    }
    if stat.st_uid != 0 && stat.st_uid != uid.as_raw() {
        let found = format!("owned by uid {}, who may change it", stat.st_uid);
        return Err(refuse(path, found, &format!("`chown {}` it, or let root own it", uid.as_raw())));
    }
    let others = match guard {
        Guard::Mode => 0o077,
        Guard::Systemd => 0o027,
    };
    if stat.st_mode & others != 0 {
        let found = format!("open to others (mode {:03o})", stat.st_mode & 0o777);
        return Err(refuse(path, found, "`chmod 600` it, and replace the credential if somebody may have read it"));
    }
    Ok(())
}

fn refuse(path: &Path, found: String, remedy: &str) -> CredentialError {
    CredentialError::Unsafe { path: path.to_owned(), found, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getuid;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn file(directory: &Path, content: &[u8], mode: u32) -> PathBuf {
        let path = directory.join("token");
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn read_as_self(path: &Path) -> Result<Result<Vec<u8>, SecretError>, CredentialError> {
        read(path, getuid(), Guard::Mode).map(|secret| secret.map(|secret| secret.expose().to_vec()))
    }

    #[test]
    fn one_line_feed_at_the_end_is_not_the_credentials() {
        let directory = tempfile::tempdir().unwrap();
        let long = vec![b'x'; SECRET_MAX];
        let long_line = [&long[..], b"\n"].concat();
        let cases: [(&[u8], &[u8]); 5] =
            [(b"tok", b"tok"), (b"tok\n", b"tok"), (b"tok\n\n", b"tok\n"), (&long, &long), (&long_line, &long)];
        for (content, expected) in cases {
            assert_eq!(read_as_self(&file(directory.path(), content, 0o600)).unwrap().unwrap(), expected);
        }
    }

    #[test]
    fn nothing_and_too_much_are_no_credential() {
        let directory = tempfile::tempdir().unwrap();
        for empty in [&b""[..], b"\n"] {
            let read = read_as_self(&file(directory.path(), empty, 0o600)).unwrap();
            assert!(matches!(read, Err(SecretError::Empty)));
        }
        for length in [SECRET_MAX + 1, SECRET_MAX + 2, SECRET_MAX * 2] {
            let read = read_as_self(&file(directory.path(), &vec![b'x'; length], 0o400)).unwrap();
            assert!(matches!(read, Err(SecretError::TooLong)), "{length}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644] {
            let error = read_as_self(&file(directory.path(), b"canary-1", mode)).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:o}")), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
        let path = file(directory.path(), b"canary-1", 0o444);
        assert!(matches!(read(&path, getuid(), Guard::Systemd), Err(CredentialError::Unsafe { .. })));
    }

    #[test]
    fn a_file_of_somebody_elses_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), b"canary-1", 0o600);
        let stranger = Uid::from_raw(getuid().as_raw() + 1);
        let mut stat = rustix::fs::stat(&path).unwrap();
        stat.st_uid = stranger.as_raw();
        let error = check(&path, &stat, getuid(), Guard::Mode).unwrap_err().to_string();
        assert!(error.contains("chown"), "{error}");
        stat.st_uid = 0;
        check(&path, &stat, stranger, Guard::Mode).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), b"canary-1", 0o600);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read_as_self(&link).unwrap_err().to_string().contains("symbolic link"));
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in [&pipe, directory.path(), Path::new("/dev/null")] {
            assert!(read_as_self(path).unwrap_err().to_string().contains("no regular file"), "{path:?}");
        }
        let missing = read_as_self(&directory.path().join("missing")).unwrap_err();
        assert!(missing.to_string().contains("cannot open"), "{missing}");
    }
}
