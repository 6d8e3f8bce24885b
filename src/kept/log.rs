//! The log of a kept session: the bytes that its terminal got, as they were.

use super::place::Place;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes after which a new file begins. The one before is kept, and none before that.
pub const FILE_MAX: u64 = 8 << 20;
/// How long a log is kept after the end of its session.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many logs of sessions that have ended are kept.
pub const KEPT_MAX: usize = 100;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The exit status of its run.
    pub status: u8,
    /// Bytes that were not written to the log, for want of room or of a disk.
    pub lost: u64,
}

/// The writing end.
#[derive(Debug)]
pub struct Log {
    place: Place,
    file: File,
    length: u64,
    lost: u64,
}

impl Log {
    /// Begins one, in the place of what an earlier session of this name left.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn begin(place: &Place) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(place.logs())?;
        for left in [place.end(), place.older_log(), place.log()] {
            remove(&left)?;
        }
        let file = create(&place.log())?;
        Ok(Self { place: place.clone(), file, length: 0, lost: 0 })
    }

    /// Adds to it. A session goes on without a log where there is no room for one.
    pub fn add(&mut self, bytes: &[u8]) {
        let turned = if self.length + bytes.len() as u64 > FILE_MAX { self.turn() } else { Ok(()) };
        match turned.and_then(|()| self.file.write_all(bytes)) {
            Ok(()) => self.length += bytes.len() as u64,
            Err(_) => self.lost += bytes.len() as u64,
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        match std::fs::rename(self.place.log(), self.place.older_log()) {
            // There was no room for a new one the last time.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = create(&self.place.log())?;
        self.length = 0;
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the end cannot be written down.
    pub fn end(self, status: u8) -> io::Result<()> {
        let end = End { status, lost: self.lost };
        create(&self.place.end())?.write_all(&serde_json::to_vec(&end)?)
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How a session ended, if it has.
pub fn end(place: &Place) -> Option<End> {
    serde_json::from_slice(&std::fs::read(place.end()).ok()?).ok()
}

/// Removes logs of sessions that ended long ago, and the oldest ones where there are many. `place` is any session's.
/// That of a keeper that was killed has no end, and counts by when it was written last.
pub fn sweep(place: &Place, now: SystemTime) {
    let logs = std::fs::read_dir(place.logs()).into_iter().flatten().flatten().map(|entry| entry.path());
    let name = |path: PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(".log")?.to_owned());
    let mut ended: Vec<(Duration, Place)> = logs
        .filter_map(|path| {
            let written = std::fs::symlink_metadata(&path).and_then(|meta| meta.modified()).ok()?;
            let place = place.of(&name(path)?);
            (!is_kept(&place)).then(|| (now.duration_since(written).unwrap_or_default(), place))
        })
        .collect();
    ended.sort_by_key(|(age, _)| *age);
    let old = ended.into_iter().enumerate().filter(|(position, (age, _))| *position >= KEPT_MAX || *age > KEPT);
    for (_, (_, place)) in old {
        for path in [place.older_log(), place.log(), place.end()] {
            let _ = remove(&path);
        }
    }
}

/// Whether a keeper lives. One of which that cannot be told is taken to.
pub fn is_kept(place: &Place) -> bool {
    match File::open(place.lock()) {
        Err(error) => error.kind() != io::ErrorKind::NotFound,
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
    }
}

/// The reading end.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    file: File,
}

impl Reader {
    /// From the oldest byte on that is there.
    ///
    /// # Errors
    /// `NotFound` where there is no log of that name.
    pub fn open(place: &Place) -> io::Result<Self> {
        let file = match File::open(place.older_log()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => File::open(place.log())?,
            opened => opened?,
        };
        Ok(Self { place: place.clone(), file })
    }

    /// What there is now behind what was read; nothing if that was all.
    ///
    /// # Errors
    /// The file's.
    pub fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer)? {
                0 if !self.turn()? => return Ok(0),
                0 => {}
                length => return Ok(length),
            }
        }
    }

    /// Goes on to the newest file, if another one than this.
    fn turn(&mut self) -> io::Result<bool> {
        let newest = File::open(self.place.log())?;
        let identity = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino()));
        let other = identity(&newest)? != identity(&self.file)?;
        if other {
            self.file = newest;
        }
        Ok(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &Path, name: &str) -> Place {
        Place::new(dir, dir, name)
    }

    fn all(place: &Place) -> Vec<u8> {
        let mut reader = Reader::open(place).unwrap();
        let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
        loop {
            match reader.next(&mut buffer).unwrap() {
                0 => return all,
                length => all.extend(&buffer[..length]),
            }
        }
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path(), "a");
        let mut log = Log::begin(&place).unwrap();
        let chunk = vec![b'x'; 1 << 20];
        (0..20).for_each(|_| log.add(&chunk));
        log.add(b"the end");
        let text = all(&place);
        assert!(text.ends_with(b"the end") && text.len() as u64 <= 2 * FILE_MAX && text.len() as u64 > FILE_MAX);
        log.end(7).unwrap();
        assert_eq!(end(&place), Some(End { status: 7, lost: 0 }));
        // The next session of this name has nothing of it.
        Log::begin(&place).unwrap();
        assert_eq!((all(&place), end(&place)), (vec![], None));
    }

    #[test]
    fn who_reads_along_misses_nothing_when_a_new_file_begins() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path(), "a");
        let mut log = Log::begin(&place).unwrap();
        let mut reader = Reader::open(&place).unwrap();
        let (mut read, mut buffer) = (0, vec![0; 1 << 16]);
        for _ in 0..12 {
            log.add(&vec![b'x'; 1 << 20]);
            loop {
                match reader.next(&mut buffer).unwrap() {
                    0 => break,
                    length => read += length,
                }
            }
        }
        assert_eq!(read, 12 << 20);
    }

    #[test]
    fn old_logs_go_and_those_of_running_sessions_stay() {
        let dir = tempfile::tempdir().unwrap();
        let [ended, running] = ["ended", "running"].map(|name| place(dir.path(), name));
        Log::begin(&ended).unwrap().end(0).unwrap();
        Log::begin(&running).unwrap();
        let killed = place(dir.path(), "killed");
        Log::begin(&killed).unwrap();
        std::fs::create_dir(dir.path().join("kept")).unwrap();
        let _lock = crate::sockets::lock(&running.lock()).unwrap().unwrap();
        sweep(&running, SystemTime::now());
        assert!(ended.log().exists() && killed.log().exists());
        sweep(&running, SystemTime::now() + KEPT + Duration::from_secs(60));
        assert!(!ended.log().exists() && !ended.end().exists() && !killed.log().exists());
        assert!(running.log().exists());
    }
}
