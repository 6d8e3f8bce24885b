//! Files that are replaced whole: a reader, a crash or a full disk meets the old content or
//! the new one, never a part.

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file could not be read, replaced or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}: {source}", path.display())]
pub struct FileError {
    verb: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl FileError {
    /// For `map_err`: what was attempted, on which file.
    pub fn doing<E: Into<std::io::Error>>(verb: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self { verb, path, source: source.into() }
    }
}

/// Owner and permission bits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner; `None` leaves the caller's own ids.
    pub owner: Option<(u32, u32)>,
}

impl Attributes {
    /// A root-owned file with these permission bits, when root writes it.
    pub const fn mode(mode: u32) -> Self {
        Self { mode, owner: None }
    }
}

/// Content and attributes of a regular file, or `None` where there is none.
///
/// # Errors
/// Symlinks and whatever is not a regular file are refused, as are files above `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Option<(Vec<u8>, Attributes)>, FileError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(FileError::doing("open", path)(errno)),
    };
    let found = file.metadata().map_err(FileError::doing("inspect", path))?;
    if !found.is_file() {
        return Err(FileError::doing("read", path)(std::io::Error::other("not a regular file")));
    }
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content).map_err(FileError::doing("read", path))?;
    if content.len() as u64 > limit {
        let reason = std::io::Error::other(format!("larger than {limit} bytes"));
        return Err(FileError::doing("read", path)(reason));
    }
    let attributes = Attributes { mode: found.mode() & 0o7777, owner: Some((found.uid(), found.gid())) };
    Ok(Some((content, attributes)))
}

/// Replaces the file, or creates it, by a rename within its directory, which must exist and be
/// writable by nobody else. A symlink in its place is replaced, not followed.
pub fn replace(path: &Path, content: &[u8], attributes: Attributes) -> Result<(), FileError> {
    replace_from(path, &mut &*content, attributes)
}

/// As [`replace`], with the content of a stream.
pub fn replace_from(path: &Path, content: &mut dyn Read, attributes: Attributes) -> Result<(), FileError> {
    let staged = staged_name(path);
    remove(&staged)?;
    let written = stage(&staged, content, attributes)
        .and_then(|()| std::fs::rename(&staged, path).map_err(FileError::doing("replace", path)));
    if let Err(error) = written {
        // The cause matters more than what cleaning up meets; the next attempt removes it too.
        let _ = remove(&staged);
        return Err(error);
    }
    sync_directory(path)
}

/// The name that new content has until it is complete. Fixed, so that what a crash leaves
/// behind is found by the next attempt.
fn staged_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".rcc-new");
    path.with_file_name(name)
}

fn stage(staged: &Path, content: &mut dyn Read, attributes: Attributes) -> Result<(), FileError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(staged, flags, Mode::RUSR | Mode::WUSR).map_err(FileError::doing("create", staged))?;
    let mut file = File::from(fd);
    std::io::copy(content, &mut file).map_err(FileError::doing("write", staged))?;
    file.flush().map_err(FileError::doing("write", staged))?;
    if let Some((uid, gid)) = attributes.owner {
        rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(FileError::doing("set the owner of", staged))?;
    }
    file.set_permissions(Permissions::from_mode(attributes.mode))
        .map_err(FileError::doing("set the mode of", staged))?;
    file.sync_all().map_err(FileError::doing("write", staged))
}

fn sync_directory(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let directory = File::open(parent).map_err(FileError::doing("open", parent))?;
    directory.sync_all().map_err(FileError::doing("write", parent))
}

/// Removes a file or symlink; says whether it was there.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    match rustix::fs::unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(FileError::doing("remove", path)(errno)),
    }
}

/// Removes a directory if it is there and empty; says whether it did.
pub fn remove_if_empty(path: &Path) -> Result<bool, FileError> {
    match std::fs::remove_dir(path) {
        Ok(()) => Ok(true),
        // A mount point is in somebody's use as well.
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::ResourceBusy) =>
        {
            Ok(false)
        }
        Err(error) => Err(FileError::doing("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_failing_write_keeps_the_old_content_and_leaves_nothing_behind() {
        struct Full;
        impl Read for Full {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::from(ErrorKind::StorageFull))
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("subuid");
        replace(&path, b"old", Attributes::mode(0o644)).unwrap();
        replace_from(&path, &mut b"new".chain(Full), Attributes::mode(0o644)).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_left_behind_is_overwritten_without_being_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, victim) = (dir.path().join("subuid"), dir.path().join("victim"));
        std::fs::write(&victim, "untouched").unwrap();
        symlink(&victim, staged_name(&path)).unwrap();
        replace(&path, b"new", Attributes::mode(0o640)).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn symlinks_fifos_and_huge_files_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link, fifo) = (dir.path().join("file"), dir.path().join("link"), dir.path().join("fifo"));
        std::fs::write(&file, "12345").unwrap();
        symlink(&file, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(read(&file, 5).unwrap().unwrap().0, b"12345");
        assert!(read(&file, 4).is_err());
        assert!(read(&link, 5).is_err());
        assert!(read(&fifo, 5).is_err());
        assert!(read(&dir.path().join("absent"), 5).unwrap().is_none());
    }
}
