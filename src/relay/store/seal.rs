//! Whether all that was written to the database is still in it, though nothing waited for the disk.
//!
//! A program that is killed takes nothing with it: what it wrote is the kernel's. What a kernel had not put on the
//! disk when the machine went down is gone, in no order, and SQLite cannot tell. So a file beside the database says
//! in which boot it is written to, and is on the disk before the first such write; a database of another boot is not
//! used, but made again from the journal. Where it was closed in good order, all of it was put on the disk first, and
//! then the file says that instead.
//!
//! A machine that shares the directory has another boot's id, and so has every container whose manager gives it one
//! of its own. An id that cannot be read is like none that is written here.

use super::StoreError;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the kernel says which boot this is (random(4)).
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Bytes of an id, a UUID.
const ID: usize = 36;
/// Bytes of a seal, at most.
const LONG: u64 = 256;

/// Whether the database, which is this file, holds what was written to it.
pub(super) fn holds(database: &Path, found: &Metadata) -> Result<bool, StoreError> {
    let said = read(&path(database)).map_err(StoreError::file("read the seal of", database))?;
    Ok(said.is_some_and(|said| said == closed(found) || boot().is_some_and(|boot| said == open(&boot, found))))
}

/// Says that the database is written to from now on, and that nothing waits for the disk.
pub(super) fn begin(database: &Path, found: &Metadata) -> Result<(), StoreError> {
    let text = boot().map_or_else(|| "open in an unknown boot".to_owned(), |boot| open(&boot, found));
    write(&path(database), &text).map_err(StoreError::file("seal", database))
}

/// Puts the database on the disk, which nothing has open any more, and says so.
pub(super) fn close(database: &Path) -> Result<(), StoreError> {
    let sealed = || -> io::Result<()> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(database, flags, Mode::empty())?);
        file.sync_all()?;
        write(&path(database), &closed(&file.metadata()?))
    };
    sealed().map_err(StoreError::file("close", database))
}

/// Of the database.
pub(super) fn path(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(".seal");
    PathBuf::from(name)
}

/// One disk has one number as long as it stays mounted, and one file on it.
fn open(boot: &str, found: &Metadata) -> String {
    format!("open in boot {boot} device {} inode {}", found.dev(), found.ino())
}

/// Whoever puts another file in its place, or writes to it, changes one of these.
fn closed(found: &Metadata) -> String {
    format!("closed inode {} bytes {} changed {}.{:09}", found.ino(), found.len(), found.mtime(), found.mtime_nsec())
}

/// This boot's id; `None` where the kernel's cannot be read, or looks like none.
fn boot() -> Option<String> {
    let text = std::fs::read_to_string(BOOT).ok()?;
    let id = text.trim_end();
    let plain = id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (plain && id.bytes().any(|byte| !matches!(byte, b'0' | b'-'))).then(|| id.to_owned())
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let mut bytes = Vec::new();
    file.take(LONG).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok())
}

/// Replaces the file, on the disk.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut draft = OsString::from(path);
    draft.push(".new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&draft, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}
