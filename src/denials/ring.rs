//! The files of the record: one for each identity, of bounded size, the newest lines last.
//!
//! The directory is root's, so nobody else can put anything into it; a file belongs to the user
//! whose sandbox it tells of, and to nobody else. Neither a user that can write to it all the same
//! (an owner may) nor a full disk can do more than spoil this user's record.

use super::record::{Denial, Extent};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Below root's directory of locks.
pub const DIRECTORY: &str = "denials";
/// What the record can tell, see [`Extent`].
pub const EXTENT: &str = "extent.json";
/// Bytes of one file at most; then the older half goes.
const SIZE_MAX: u64 = 256 << 10;
/// Files that are held open; a descriptor each.
const OPEN_MAX: usize = 128;

/// The name of the file of one identity.
pub fn file_name(uid: u32, identity: u32) -> String {
    format!("{uid}-{identity}.jsonl")
}

/// The record, to write to.
#[derive(Debug)]
pub struct Rings {
    directory: OwnedFd,
    open: HashMap<(u32, u32), Ring>,
}

impl Rings {
    /// Makes the directory. Others can open what is theirs in it, and not list it.
    pub fn open(run: &Path) -> io::Result<Self> {
        let path = run.join(DIRECTORY);
        match std::fs::DirBuilder::new().mode(0o711).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = File::from(rustix::fs::open(&path, flags, Mode::empty())?);
        if directory.metadata()?.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        directory.set_permissions(std::fs::Permissions::from_mode(0o711))?;
        Ok(Self { directory: directory.into(), open: HashMap::new() })
    }

    /// Adds a line to the file of its identity. An error is a lost line, and nothing else.
    pub fn append(&mut self, uid: u32, denial: &Denial) -> io::Result<()> {
        let mut line = serde_json::to_vec(denial)?;
        line.push(b'\n');
        let key = (uid, denial.identity);
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&key) {
            self.open.clear();
        }
        let size = self.open.get(&key).map(|ring| ring.size);
        match size {
            Some(size) if size + line.len() as u64 <= SIZE_MAX => {}
            Some(_) => drop(self.open.insert(key, Ring::renew(&self.directory, uid, denial.identity, SIZE_MAX / 2)?)),
            // Of an earlier process. Its owner is not root, so root without CAP_DAC_OVERRIDE can't
            // write to it.
            None => drop(self.open.insert(key, Ring::renew(&self.directory, uid, denial.identity, SIZE_MAX)?)),
        }
        self.open.get_mut(&key).map_or(Ok(()), |ring| ring.append(&line))
    }

    /// Tells everybody what the record can tell.
    pub fn tell(&self, extent: &Extent) -> io::Result<()> {
        let (mut file, draft) = create(&self.directory, EXTENT)?;
        fchmod(&file, Mode::from_raw_mode(0o644))?;
        file.write_all(&serde_json::to_vec(extent)?)?;
        Ok(renameat(&self.directory, draft, &self.directory, EXTENT)?)
    }
}

#[derive(Debug)]
struct Ring {
    file: File,
    size: u64,
    /// The last line has no end: the disk was full.
    torn: bool,
}

impl Ring {
    /// A new file with the last lines of the old one, in its place.
    fn renew(directory: &OwnedFd, uid: u32, identity: u32, keep: u64) -> io::Result<Self> {
        let name = file_name(uid, identity);
        let kept = tail(directory, &name, keep).unwrap_or_default();
        let (mut file, draft) = create(directory, &name)?;
        let ready = (|| {
            file.write_all(&kept)?;
            fchmod(&file, Mode::RUSR)?;
            fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::ROOT))?;
            Ok(renameat(directory, &draft, directory, &name)?)
        })();
        if ready.is_err() {
            let _ = unlinkat(directory, &draft, AtFlags::empty());
        }
        ready.map(|()| Self { file, size: kept.len() as u64, torn: false })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let torn = if self.torn { &b"\n"[..] } else { &[] };
        let written = self.file.write_all(torn).and_then(|()| self.file.write_all(line));
        self.torn = written.is_err();
        self.size += (torn.len() + line.len()) as u64;
        written
    }
}

/// A new file that nobody else knows yet, and its name.
fn create(directory: &OwnedFd, name: &str) -> io::Result<(File, String)> {
    let draft = format!(".{name}");
    match unlinkat(directory, &draft, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok((openat(directory, &draft, flags, Mode::RUSR | Mode::WUSR)?.into(), draft))
}

/// The last whole lines of a file, so many bytes at most.
fn tail(directory: &OwnedFd, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory, name, flags, Mode::empty())?);
    let skipped = u64::try_from(fstat(&file)?.st_size).unwrap_or(0).saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    if skipped > 0 {
        let first = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
        text.drain(..first);
    }
    text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denials::record::Reason;
    use crate::firewall::nft::Class;

    fn denial(count: u64) -> Denial {
        Denial {
            first: 1,
            last: 2,
            session: None,
            profile: "public".into(),
            identity: 7,
            reason: Reason::Address(Class::Private),
            protocol: "tcp".into(),
            address: None,
            port: None,
            names: vec![],
            count,
            at_least: false,
        }
    }

    fn own() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn counts(run: &Path) -> Vec<u64> {
        let text = std::fs::read_to_string(run.join(DIRECTORY).join(file_name(own(), 7))).unwrap();
        text.lines().filter_map(|line| serde_json::from_str::<Denial>(line).ok()).map(|denial| denial.count).collect()
    }

    #[test]
    fn a_record_outlives_the_service_and_is_its_users_alone() {
        let run = tempfile::tempdir().unwrap();
        for count in 1..=3 {
            let mut rings = Rings::open(run.path()).unwrap();
            rings.append(own(), &denial(count)).unwrap();
        }
        assert_eq!(counts(run.path()), [1, 2, 3]);
        let meta = std::fs::metadata(run.path().join(DIRECTORY).join(file_name(own(), 7))).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (own(), 0o400));
        assert_eq!(std::fs::metadata(run.path().join(DIRECTORY)).unwrap().mode() & 0o777, 0o711);
    }

    #[test]
    fn a_file_keeps_its_newest_lines_and_a_bounded_size() {
        let run = tempfile::tempdir().unwrap();
        let mut rings = Rings::open(run.path()).unwrap();
        let lines = SIZE_MAX / 100;
        for count in 0..lines {
            rings.append(own(), &denial(count)).unwrap();
        }
        let kept = counts(run.path());
        assert!(std::fs::metadata(run.path().join(DIRECTORY).join(file_name(own(), 7))).unwrap().len() <= SIZE_MAX);
        assert_eq!(kept.last(), Some(&(lines - 1)));
        assert!(kept.len() as u64 > lines / 8 && kept.is_sorted());
    }

    #[test]
    fn what_a_user_made_of_the_file_harms_only_the_user() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join(DIRECTORY).join(file_name(own(), 7));
        Rings::open(run.path()).unwrap().append(own(), &denial(1)).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, [&b"\xff\0 no line "[..], &vec![b'x'; 2 * SIZE_MAX as usize]].concat()).unwrap();
        Rings::open(run.path()).unwrap().append(own(), &denial(2)).unwrap();
        assert_eq!(counts(run.path()), [2]);
        let secret = run.path().join("secret");
        std::fs::write(&secret, "secret\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        Rings::open(run.path()).unwrap().append(own(), &denial(3)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1, "a link is replaced, not followed");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret\n");
    }

    #[test]
    fn a_full_disk_costs_the_line_and_not_the_next_one() {
        let run = tempfile::tempdir().unwrap();
        let mut rings = Rings::open(run.path()).unwrap();
        rings.append(own(), &denial(1)).unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ring = rings.open.get_mut(&(own(), 7)).unwrap();
        let whole = std::mem::replace(&mut ring.file, full);
        assert_eq!(rings.append(own(), &denial(2)).unwrap_err().kind(), io::ErrorKind::StorageFull);
        rings.open.get_mut(&(own(), 7)).unwrap().file = whole;
        rings.append(own(), &denial(3)).unwrap();
        assert_eq!(counts(run.path()), [1, 3]);
    }
}
