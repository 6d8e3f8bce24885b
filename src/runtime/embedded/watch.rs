//! Notices when a mount of the sandbox goes away under it.
//!
//! The agent cannot unmount anything; but when somebody on the *host* removes a masked or
//! protected file, or renames another one over it (editors and `git config` do), the kernel
//! detaches what was mounted on it in every namespace (`detach_mounts` in fs/namespace.c), and the
//! new file is bare inside. A process in the sandbox's mount namespace can see that happen.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mounts of the calling process's namespace at one moment.
#[derive(Debug)]
pub struct Watch {
    file: File,
    expected: BTreeMap<u64, PathBuf>,
}

impl Watch {
    /// Remembers the mounts there are. Call it after [`super::root::enter`]; needs no privilege.
    ///
    /// # Errors
    /// `/proc/self/mountinfo` cannot be read.
    pub fn start() -> io::Result<Self> {
        let mut file = File::open("/proc/self/mountinfo")?;
        let expected = read(&mut file)?;
        Ok(Self { file, expected })
    }

    /// The mount points as they were remembered.
    pub fn remembered(&self) -> impl Iterator<Item = &Path> {
        self.expected.values().map(PathBuf::as_path)
    }

    /// The mount points of which the mounts are gone, once each.
    ///
    /// # Errors
    /// `/proc/self/mountinfo` cannot be read.
    pub fn lost(&mut self) -> io::Result<Vec<PathBuf>> {
        let present = read(&mut self.file)?;
        let gone: Vec<u64> = self.expected.keys().filter(|id| !present.contains_key(id)).copied().collect();
        Ok(gone.iter().filter_map(|id| self.expected.remove(id)).collect())
    }
}

/// poll(2) for `POLLPRI` returns after each change of the mounts (proc_pid_mountinfo(5)).
impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn read(file: &mut File) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// The id and the mount point: fields 1 and 5 of proc_pid_mountinfo(5).
fn parse(line: &[u8]) -> Option<(u64, PathBuf)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    Some((id, PathBuf::from(unescaped(fields.nth(3)?))))
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescaped(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(byte);
            rest = &after[3..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_spaces() {
        let line = br"36 35 98:0 /mnt1 /a\040b/\134c rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(parse(line), Some((36, PathBuf::from(r"/a b/\c"))));
        assert_eq!(parse(b"x"), None);
    }
}
