//! Which loader a program names: elf(5), `PT_INTERP`.

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::{Errno, pread};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Longest path of a loader (`PATH_MAX`), as the kernel takes it (fs/binfmt_elf.c).
const PATH_MAX: usize = 4096;
/// Program headers that are looked at; the kernel takes 64 KiB of them.
const HEADERS_MAX: u16 = 1170;
/// Length of a program header of 64 bits.
const HEADER: usize = 56;

/// The loader of a dynamically linked program of 64 bits, little-endian, as those of both architectures are. `None`
/// where there is none: a static program, or a script.
pub(super) fn loader(program: &Path) -> Result<Option<PathBuf>, Errno> {
    // What is no regular file must not make this wait.
    let file = openat(CWD, program, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(Errno::ACCESS);
    }
    let Some(head) = read::<64>(&file, 0)? else { return Ok(None) };
    if head[..6] != *b"\x7fELF\x02\x01" || number(&head[54..56]) != HEADER as u64 {
        return Ok(None);
    }
    let (table, count) = (number(&head[32..40]), number(&head[56..58]) as u16);
    for index in 0..u64::from(count.min(HEADERS_MAX)) {
        let at = table.checked_add(index * HEADER as u64).ok_or(Errno::NOEXEC)?;
        let Some(header) = read::<HEADER>(&file, at)? else { return Err(Errno::NOEXEC) };
        if number(&header[..4]) == u64::from(libc::PT_INTERP) {
            return path(&file, number(&header[8..16]), number(&header[32..40])).map(Some);
        }
    }
    Ok(None)
}

fn path(file: impl AsFd, at: u64, length: u64) -> Result<PathBuf, Errno> {
    let length = usize::try_from(length).ok().filter(|length| (2..=PATH_MAX).contains(length)).ok_or(Errno::NOEXEC)?;
    let mut bytes = vec![0; length];
    if pread(file, &mut bytes, at)? != length || bytes.pop() != Some(0) || bytes[0] != b'/' || bytes.contains(&0) {
        return Err(Errno::NOEXEC);
    }
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

/// `None` where the file is shorter.
fn read<const LENGTH: usize>(file: impl AsFd, at: u64) -> Result<Option<[u8; LENGTH]>, Errno> {
    let mut bytes = [0; LENGTH];
    Ok((pread(file, &mut bytes, at)? == LENGTH).then_some(bytes))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_names_its_loader() {
        let loader = loader(Path::new("/proc/self/exe")).unwrap().unwrap();
        assert!(loader.is_absolute() && loader.exists(), "{}", loader.display());
    }

    #[test]
    fn scripts_and_short_files_have_none() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "#!/bin/sh\n", "\x7fELF\x02\x01 and then nothing that a program has"] {
            let path = dir.path().join("file");
            std::fs::write(&path, text).unwrap();
            assert_eq!(loader(&path).unwrap(), None, "{text:?}");
        }
        assert_eq!(loader(dir.path()), Err(Errno::ACCESS));
    }

    #[test]
    fn a_loader_that_is_no_path_is_refused() {
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(64, 0);
        (file[32], file[54], file[56]) = (64, 56, 1);
        let mut header = [0; HEADER];
        (header[0], header[8], header[32]) = (3, 120, 7);
        file.extend(header);
        file.extend(b"lib/ld\0");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, &file).unwrap();
        assert_eq!(loader(&path), Err(Errno::NOEXEC));
        file[120] = b'/';
        std::fs::write(&path, &file).unwrap();
        assert_eq!(loader(&path).unwrap(), Some("/ib/ld".into()));
    }
}
