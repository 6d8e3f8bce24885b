//! Applies [`subid`](super::subid) to the host's files, under shadow-utils' locks.

use super::durable::{self, Attributes, FileError};
use super::layout::Layout;
use super::shadow_lock::{LockError, ShadowLock};
use super::subid::{SubidError, Tables, account_ids};
use crate::network::owner::Accounts;
use crate::policy::identity::UserRange;
use std::path::{Path, PathBuf};

/// Bound on the size of each file: a million lines.
const SIZE_MAX: u64 = 64 << 20;

/// The identities could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Something else generates the file.
    #[error(
        "{} is declared, not edited (NixOS, or a symlink): give the users their ranges where it is declared, with the rcc module",
        .0.display()
    )]
    Declared(PathBuf),
    /// A file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A lock failed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no range to give.
    #[error(transparent)]
    Subid(#[from] SubidError),
}

/// Refuses hosts whose files are generated.
pub fn check_editable(layout: &Layout) -> Result<(), IdentityError> {
    for path in [layout.subuid(), layout.subgid()] {
        if path.is_symlink() || path.with_file_name("NIXOS").exists() {
            return Err(IdentityError::Declared(path));
        }
    }
    Ok(())
}

/// Both files as they are; a missing one counts as empty.
pub fn read(layout: &Layout) -> Result<Tables, FileError> {
    let content = |path: &Path| Ok(durable::read(path, SIZE_MAX)?.map(|(content, _)| content).unwrap_or_default());
    let accounts = Accounts::parse(&String::from_utf8_lossy(&content(&layout.passwd())?));
    Ok(Tables { uids: content(&layout.subuid())?, gids: content(&layout.subgid())?, accounts })
}

/// Gives each of these users a range in both files; says whether a file changed.
pub fn allot(layout: &Layout, users: &[u32]) -> Result<(Vec<UserRange>, bool), IdentityError> {
    let mut accounts = Vec::new();
    for path in [layout.passwd(), layout.group()] {
        accounts.extend(durable::read(&path, SIZE_MAX)?.map(|(it, _)| account_ids(&it)).unwrap_or_default());
    }
    let mut allotted = Vec::new();
    let changed = edit(layout, |tables| {
        let (tables, ranges) = tables.allot(users, &accounts)?;
        allotted = ranges;
        Ok(tables)
    })?;
    Ok((allotted, changed))
}

/// Removes all of our ranges from both files; says whether a file changed.
pub fn remove_all(layout: &Layout) -> Result<bool, IdentityError> {
    edit(layout, |tables| Ok(tables.without(|_| true)))
}

fn edit(layout: &Layout, change: impl FnOnce(&Tables) -> Result<Tables, IdentityError>) -> Result<bool, IdentityError> {
    check_editable(layout)?;
    let (subuid, subgid) = (layout.subuid(), layout.subgid());
    let _locks = (ShadowLock::take(&subuid)?, ShadowLock::take(&subgid)?);
    let before = read(layout)?;
    let after = change(&before)?;
    // A range counts only when both files have it, so the order does not matter to a crash.
    write_if_changed(&subgid, &before.gids, &after.gids)?;
    write_if_changed(&subuid, &before.uids, &after.uids)?;
    Ok(before != after)
}

fn write_if_changed(path: &Path, before: &[u8], after: &[u8]) -> Result<(), FileError> {
    if before == after {
        return Ok(());
    }
    let attributes = durable::read(path, SIZE_MAX)?.map_or(Attributes::mode(0o644), |(_, attributes)| attributes);
    durable::replace(path, after, attributes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn host() -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let layout = Layout::under(root.path());
        (root, layout)
    }

    #[test]
    fn missing_files_are_created_readable_and_no_lock_stays() {
        let (root, layout) = host();
        assert!(allot(&layout, &[1000]).unwrap().1);
        assert!(!allot(&layout, &[1000]).unwrap().1);
        assert_eq!(read(&layout).unwrap().ranges().len(), 1);
        assert_eq!(std::fs::metadata(layout.subuid()).unwrap().mode() & 0o7777, 0o644);
        assert_eq!(std::fs::read_dir(root.path().join("etc")).unwrap().count(), 2);
    }

    #[test]
    fn mode_and_foreign_lines_survive_allotting_and_removing() {
        let (_root, layout) = host();
        std::fs::write(layout.subuid(), "alice:100000:65536\n").unwrap();
        std::fs::set_permissions(layout.subuid(), Permissions::from_mode(0o640)).unwrap();
        allot(&layout, &[1000, 1001]).unwrap();
        assert!(remove_all(&layout).unwrap());
        assert!(!remove_all(&layout).unwrap());
        assert_eq!(std::fs::read(layout.subuid()).unwrap(), b"alice:100000:65536\n");
        assert_eq!(std::fs::metadata(layout.subuid()).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_generated_file_is_refused_and_left_alone() {
        let (root, layout) = host();
        let store = root.path().join("store");
        std::fs::write(&store, "declared\n").unwrap();
        symlink(&store, layout.subgid()).unwrap();
        assert!(matches!(allot(&layout, &[1000]), Err(IdentityError::Declared(_))));
        assert!(matches!(remove_all(&layout), Err(IdentityError::Declared(_))));
        assert_eq!(std::fs::read(&store).unwrap(), b"declared\n");
        assert!(!layout.subuid().exists());
    }
}
