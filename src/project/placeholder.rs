//! Placeholders: what is put on the host for the time of a run, so that it can be mounted on.
//!
//! Removing one while a sandbox uses it would take the protection off inside (the kernel detaches
//! what is mounted on a removed file). So each user holds a shared lock, and only who can make it
//! exclusive removes. What a killed run left is in the lock file, and goes with the next run.

use super::guard::{HandoverError, Placeholder};
use super::home;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

impl Placeholder {
    /// Whether what is at its path, from the caller's working directory, is still what was made there.
    pub fn untouched(&self) -> bool {
        let Some(text) = &self.text else {
            return self.path.symlink_metadata().is_ok_and(|found| found.is_dir())
                && self.path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(CWD, &self.path, flags, Mode::empty()) else { return false };
        let mut found = Vec::new();
        let read = File::from(file).take(text.len() as u64 + 1).read_to_end(&mut found);
        read.is_ok() && found == text.as_bytes()
    }
}

/// One shared hold on the placeholders of a directory.
#[derive(Debug)]
pub(super) struct Claim {
    root: PathBuf,
    /// For each placeholder `d`, or `f` and the file's text, then the path below `root`; both end
    /// with NUL, which neither can contain.
    record: File,
}

/// Longest record that is believed: far more than placeholders can be.
const MAX_RECORD: u64 = 4 * 1024 * 1024;

impl Claim {
    /// Waits for a removal in progress, which takes microseconds.
    pub(super) fn take(locks: &Path, root: &Path) -> Result<Self, HandoverError> {
        let path = locks.join(format!("handover-{}.lock", home::key(root)));
        let failed = |error: Errno| io("lock the placeholders with", &path, error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let record = rustix::fs::openat(CWD, &path, flags, Mode::from_raw_mode(0o600)).map_err(failed)?;
        flock(&record, FlockOperation::LockShared).map_err(failed)?;
        Ok(Self { root: root.into(), record: record.into() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes one, after it is recorded. What another run made meanwhile will do as well.
    pub(super) fn make(&mut self, path: &Path, placeholder: &Placeholder) -> Result<(), HandoverError> {
        let failed = |error: Errno| io("make the placeholder", path, error);
        let below = path.strip_prefix(&self.root).map_err(|_| failed(Errno::INVAL))?;
        let kind = placeholder.text.as_deref().map_or_else(|| "d".into(), |text| format!("f{text}"));
        let line = [kind.as_bytes(), b"\0", below.as_os_str().as_bytes(), b"\0"].concat();
        self.record.write_all(&line).map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let (parent, name) = self.parent(below).map_err(failed)?;
        let Some(text) = &placeholder.text else {
            return match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(error) => Err(failed(error)),
            };
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => File::from(file)
                .write_all(text.as_bytes())
                .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes all recorded placeholders that are still as they were made, unless another run
    /// holds them.
    pub(super) fn release(mut self) -> Vec<HandoverError> {
        match flock(&self.record, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Vec::new(),
            Err(error) => return vec![io("lock the placeholders of", &self.root, error)],
        }
        let mut bytes = Vec::new();
        let read = self.record.rewind().and_then(|()| (&self.record).take(MAX_RECORD).read_to_end(&mut bytes));
        let mut failures: Vec<HandoverError> = read
            .err()
            .map(|error| HandoverError::Io {
                action: "read the placeholders of",
                path: self.root.clone(),
                source: error,
            })
            .into_iter()
            .collect();
        let mut fields = bytes.split(|byte| *byte == 0);
        while let (Some([kind, text @ ..]), Some(path)) = (fields.next(), fields.next()) {
            let path = Path::new(OsStr::from_bytes(path));
            match self.remove(path, (*kind == b'f').then_some(text)) {
                // Gone, filled or replaced: it is the user's now.
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::NOTDIR | Errno::LOOP | Errno::EXIST) => {}
                Err(error) => failures.push(io("remove the placeholder", &self.root.join(path), error)),
            }
        }
        if let Err(source) = self.record.set_len(0) {
            failures.push(HandoverError::Io { action: "clear the record of", path: self.root.clone(), source });
        }
        failures
    }

    fn remove(&self, below: &Path, text: Option<&[u8]>) -> rustix::io::Result<()> {
        let (parent, name) = self.parent(below)?;
        let Some(text) = text else {
            return rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR);
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
        let mut found = Vec::new();
        let limit = text.len() as u64 + 1;
        File::from(file).take(limit).read_to_end(&mut found).map_err(|_| Errno::EXIST)?;
        if found != text {
            return Err(Errno::EXIST);
        }
        rustix::fs::unlinkat(&parent, name, AtFlags::empty())
    }

    /// The directory that holds a path below the root, reached without following a link, and the
    /// last component.
    fn parent<'a>(&self, below: &'a Path) -> rustix::io::Result<(OwnedFd, &'a OsStr)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = rustix::fs::openat(CWD, &self.root, flags, Mode::empty())?;
        let mut components = below.components().peekable();
        while let Some(component) = components.next() {
            let Component::Normal(name) = component else { break };
            if components.peek().is_none() {
                return Ok((directory, name));
            }
            directory = rustix::fs::openat(&directory, name, flags, Mode::empty())?;
        }
        Err(Errno::INVAL)
    }
}

fn io(action: &'static str, path: &Path, error: Errno) -> HandoverError {
    HandoverError::Io { action, path: path.into(), source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_it_was_made_counts_as_a_placeholder() {
        let directory = tempfile::tempdir().unwrap();
        let (file, dir) = (directory.path().join(".mcp.json"), directory.path().join("hooks"));
        let of = |path: &Path, text: Option<&str>| Placeholder { path: path.into(), text: text.map(str::to_owned) };
        let (text, empty) = (of(&file, Some("{}\n")), of(&dir, None));
        assert!(!text.untouched() && !empty.untouched());
        std::fs::write(&file, "{}\n").unwrap();
        std::fs::create_dir(&dir).unwrap();
        assert!(text.untouched() && empty.untouched());
        std::fs::write(&file, "{}\nx").unwrap();
        std::fs::write(dir.join("pre-commit"), "").unwrap();
        assert!(!text.untouched() && !empty.untouched());
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("elsewhere", &file).unwrap();
        assert!(!text.untouched());
    }
}
