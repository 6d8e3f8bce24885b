//! The private home of a project: what the agent keeps between runs, apart from the user's own.

use super::Project;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why the private home is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the private home {}: {source}; check who owns its parents", path.display())]
pub struct HomeError {
    /// The directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Where the private home of a project is: `<data>/projects/<name>-<hash of its path>/home`.
pub fn path(project: &Project, data_dir: &Path) -> PathBuf {
    data_dir.join("projects").join(key(&project.root)).join("home")
}

/// A name for a path that is a safe file name, readable and unique.
pub(super) fn key(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let slug: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(32).collect();
    let hash = Sha256::digest(path.as_os_str().as_bytes());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{slug}-{hash}")
}

/// Makes the private home (mode 0700) where missing; the result is free of symbolic links.
///
/// # Errors
/// It cannot be made or is not a directory.
pub fn prepare(path: &Path) -> Result<PathBuf, HomeError> {
    let failed = |source| HomeError { path: path.into(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
    std::fs::canonicalize(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_of_the_same_name_have_different_homes() {
        assert_ne!(key(Path::new("/a/app")), key(Path::new("/b/app")));
        assert_eq!(key(Path::new("/a/my app\u{1b}[0m")).split_once('-').unwrap().0, "my");
    }

    #[test]
    fn the_home_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let home = prepare(&dir.path().join("projects/x/home")).unwrap();
        assert_eq!(std::fs::metadata(home).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
