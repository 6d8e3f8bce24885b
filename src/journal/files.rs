//! The files of a journal: which there are, and whether they can be trusted.

use crate::moment::Moment;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, fchmod, flock, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How a file's name ends.
const ENDING: &str = ".jsonl";
/// Digits of a name: as many as the largest number has.
const DIGITS: usize = 20;

/// The name of the file that begins with this entry.
pub(super) fn name(first: u64) -> String {
    format!("{first:0DIGITS$}{ENDING}")
}

fn first(name: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(name.strip_suffix(ENDING.as_bytes())?).ok()?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|first| *first > 0)
}

/// The directory of a journal.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    fd: OwnedFd,
    /// Whose the files must be; `None` where they are only read.
    owner: Option<u32>,
}

impl Directory {
    /// To read from.
    ///
    /// # Errors
    /// If it is not there, is a link, or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { path: path.to_owned(), fd, owner: None })
    }

    /// To write to, by this process alone; made if it is not there.
    pub(super) fn hold(path: &Path) -> io::Result<Self> {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let mut directory = Self::open(path)?;
        let owner = rustix::process::geteuid().as_raw();
        if rustix::fs::fstat(&directory.fd)?.st_uid != owner {
            return Err(io::Error::other("it belongs to somebody else"));
        }
        fchmod(&directory.fd, Mode::RWXU)?;
        match flock(&directory.fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(io::Error::other("another process writes to it")),
            locked => locked?,
        }
        directory.owner = Some(owner);
        Ok(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of a file in it.
    pub(super) fn path_of(&self, first: u64) -> PathBuf {
        self.path.join(name(first))
    }

    /// The first number of each file, in order.
    pub(super) fn list(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            found.extend(first(entry?.file_name().to_bytes()));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// A file to read from.
    pub(super) fn read(&self, first: u64) -> io::Result<File> {
        self.trusted(first, OFlags::RDONLY)
    }

    /// A file to read from and to add to.
    pub(super) fn reopen(&self, first: u64) -> io::Result<File> {
        self.trusted(first, OFlags::RDWR | OFlags::APPEND)
    }

    /// A new file.
    pub(super) fn create(&self, first: u64) -> io::Result<File> {
        let file = self.trusted(first, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL)?;
        self.sync()?;
        Ok(file)
    }

    /// A new file beside the journal's own, for what was found in one of them.
    pub(super) fn aside(&self, first: u64) -> io::Result<(File, String)> {
        let name = damaged(first);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok((openat(&self.fd, &name, flags, Mode::RUSR | Mode::WUSR)?.into(), name))
    }

    /// Takes a file out of the journal, and says how it is called now.
    pub(super) fn move_aside(&self, first: u64) -> io::Result<String> {
        let kept = damaged(first);
        renameat(&self.fd, name(first), &self.fd, &kept)?;
        self.sync()?;
        Ok(kept)
    }

    /// Removes a file.
    pub(super) fn remove(&self, first: u64) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name(first), AtFlags::empty())?)
    }

    /// Makes what was created and removed last.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.fd)?)
    }

    fn trusted(&self, first: u64, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&self.fd, name(first), flags, Mode::RUSR | Mode::WUSR)?);
        let found = file.metadata()?;
        let ours = self.owner.is_none_or(|owner| found.uid() == owner && found.nlink() == 1);
        if !found.is_file() || !ours {
            return Err(io::Error::other("it is not a regular file of its owner's"));
        }
        Ok(file)
    }
}

fn damaged(first: u64) -> String {
    format!("{}.damaged-{}", name(first), Moment::now().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_number_and_others_are_not_the_journals() {
        assert!(name(9) < name(10) && name(10) < name(u64::MAX));
        for number in [1, 4711, u64::MAX] {
            assert_eq!(first(name(number).as_bytes()), Some(number));
        }
        for other in [name(0), "1.jsonl".into(), format!("{}.damaged-1", name(1)), "+0000000000000000001.jsonl".into()]
        {
            assert_eq!(first(other.as_bytes()), None, "{other}");
        }
    }
}
