//! Reads the record, as the user whose sandboxes it tells of, or as root.

use super::record::{Denial, Extent};
use super::ring::{DIRECTORY, EXTENT, file_name};
use crate::policy::Policy;
use rustix::fs::{Mode, OFlags, fstat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// More than a file of the service's ever has.
const FILE_MAX: u64 = 1 << 20;

/// The record can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the record of denials {}: {source}", path.display())]
pub struct ListError {
    path: PathBuf,
    source: io::Error,
}

/// A denial and whose sandbox it was.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// The user.
    pub uid: u32,
    /// What was denied.
    #[serde(flatten)]
    pub denial: Denial,
}

/// What the record as a whole can tell; nothing if there is none yet. `run` is root's directory
/// of locks.
pub fn extent(run: &Path) -> Result<Option<Extent>, ListError> {
    let path = run.join(DIRECTORY).join(EXTENT);
    let text = open(&path)?.map(|file| whole(file, &path)).transpose()?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// The whole record of one user, or of all users without one: that takes root. By time.
pub fn read(run: &Path, policy: &Policy, uid: Option<u32>) -> Result<Vec<Listed>, ListError> {
    Follow::new(run, uid).next(policy)
}

/// Reads what is new, again and again.
#[derive(Debug)]
pub struct Follow {
    directory: PathBuf,
    uid: Option<u32>,
    seen: HashMap<PathBuf, Seen>,
}

/// How far a file was read. The service replaces a file by a new one, which begins with the old
/// one's last lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    inode: u64,
    size: u64,
    last_line: Vec<u8>,
}

impl Follow {
    /// From the beginning of the record.
    pub fn new(run: &Path, uid: Option<u32>) -> Self {
        Self { directory: run.join(DIRECTORY), uid, seen: HashMap::new() }
    }

    /// What was written down since the last call, by time.
    pub fn next(&mut self, policy: &Policy) -> Result<Vec<Listed>, ListError> {
        let mut listed = Vec::new();
        let wanted = self.uid;
        for user in policy.users.iter().filter(|user| wanted.is_none_or(|uid| uid == user.uid)) {
            // The directory can't be listed, but whose the identities are is no secret.
            for identity in (0..policy.profiles.len()).flat_map(|position| user.slots(position)) {
                let path = self.directory.join(file_name(user.uid, identity));
                let lines = self.seen_of(path)?;
                listed.extend(lines.into_iter().map(|denial| Listed { uid: user.uid, denial }));
            }
        }
        listed.sort_by_key(|listed| listed.denial.first);
        Ok(listed)
    }

    fn seen_of(&mut self, path: PathBuf) -> Result<Vec<Denial>, ListError> {
        let Some(file) = open(&path)? else { return Ok(Vec::new()) };
        let stat = fstat(&file).map_err(|errno| ListError { path: path.clone(), source: errno.into() })?;
        let now = (stat.st_ino, u64::try_from(stat.st_size).unwrap_or(0));
        let seen = self.seen.entry(path.clone()).or_default();
        if now == (seen.inode, seen.size) {
            return Ok(Vec::new());
        }
        let text = whole(file, &path)?;
        // The last line may be half written.
        let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &text[..end]);
        let lines: Vec<&[u8]> = complete.split(|byte| *byte == b'\n').collect();
        let known = lines.iter().rposition(|line| !line.is_empty() && *line == seen.last_line).map_or(0, |at| at + 1);
        let new = lines.get(known..).unwrap_or_default();
        (seen.inode, seen.size) = now;
        if let Some(last) = new.last() {
            seen.last_line = last.to_vec();
        }
        Ok(new.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

fn open(path: &Path) -> Result<Option<File>, ListError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        // Or its owner keeps others out (fcntl(2), F_SETLEASE), which is not to hide everybody else's.
        Err(Errno::NOENT | Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(ListError { path: path.to_owned(), source: errno.into() }),
    }
}

fn whole(file: File, path: &Path) -> Result<Vec<u8>, ListError> {
    let mut text = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut text).map_err(|source| ListError { path: path.to_owned(), source })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn whoever_keeps_others_from_its_record_hides_no_more_than_that() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join("1000-7.jsonl");
        let file = File::create(&path).unwrap();
        // SAFETY: these take numbers. The notice of the break (SIGIO) goes to nobody.
        let leased = unsafe {
            libc::signal(libc::SIGIO, libc::SIG_IGN);
            libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK)
        };
        assert_eq!(leased, 0, "{}", io::Error::last_os_error());
        assert!(open(&path).unwrap().is_none());
        drop(file);
        assert!(open(&path).unwrap().is_some());
    }
}
