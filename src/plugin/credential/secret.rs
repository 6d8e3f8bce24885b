//! A credential in memory: in pages of its own that are never swapped, dumped or left behind.

use rustix::io::Errno;
use std::fmt;
use std::ptr::NonNull;

/// The longest credential, in bytes: an RSA key of 16384 bits as PEM has 12.7 KiB.
pub const SECRET_MAX: usize = 64 << 10;

/// A credential. Its bytes are overwritten when it is dropped; it has no form as text.
pub struct Secret {
    pages: NonNull<u8>,
    length: usize,
    mapped: usize,
}

// SAFETY: the pages belong to this value alone, and are only read after it was made.
unsafe impl Send for Secret {}
// SAFETY: as above.
unsafe impl Sync for Secret {}

/// A credential cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nothing to keep, most likely a mistake in where it comes from.
    #[error("it is empty")]
    Empty,
    /// More than [`SECRET_MAX`].
    #[error("it is longer than {SECRET_MAX} bytes")]
    TooLong,
    /// The kernel's limit.
    #[error("cannot lock it in memory: {0}; `ulimit -l` is the limit, which systemd sets with LimitMEMLOCK=")]
    Lock(#[source] Errno),
}

impl Secret {
    /// Takes the bytes, and overwrites where they were.
    ///
    /// # Errors
    /// See [`SecretError`]; the bytes are overwritten all the same.
    pub fn take(bytes: &mut Vec<u8>) -> Result<Self, SecretError> {
        let made = Self::copy(bytes);
        wipe(bytes);
        bytes.clear();
        made
    }

    fn copy(bytes: &[u8]) -> Result<Self, SecretError> {
        use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};
        match bytes.len() {
            0 => return Err(SecretError::Empty),
            1..=SECRET_MAX => (),
            _ => return Err(SecretError::TooLong),
        }
        let mapped = bytes.len().next_multiple_of(rustix::param::page_size());
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let pages = unsafe { mmap_anonymous(std::ptr::null_mut(), mapped, protection, MapFlags::PRIVATE) };
        let pages =
            NonNull::new(pages.map_err(SecretError::Lock)?.cast::<u8>()).ok_or(SecretError::Lock(Errno::NOMEM))?;
        let secret = Self { pages, length: bytes.len(), mapped };
        // SAFETY: the range is the mapping just made; neither call touches its content.
        unsafe {
            mlock(pages.as_ptr().cast(), mapped).map_err(SecretError::Lock)?;
            madvise(pages.as_ptr().cast(), mapped, Advice::LinuxDontDump).map_err(SecretError::Lock)?;
        }
        // SAFETY: the mapping has room for the bytes, is writable, and overlaps nothing.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), pages.as_ptr(), bytes.len()) };
        Ok(secret)
    }

    /// The bytes, for the moment in which they are used.
    pub fn expose(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as `self` and holds `length` initialised bytes.
        unsafe { std::slice::from_raw_parts(self.pages.as_ptr(), self.length) }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to `self` alone and is writable.
        wipe(unsafe { std::slice::from_raw_parts_mut(self.pages.as_ptr(), self.mapped) });
        // SAFETY: nothing refers to the mapping any more; unmapping unlocks it (mlock(2)).
        let _ = unsafe { rustix::mm::munmap(self.pages.as_ptr().cast(), self.mapped) };
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Overwrites memory that is not read again, which the compiler would leave out.
pub fn wipe(bytes: &mut [u8]) {
    for byte in bytes.iter_mut() {
        // SAFETY: a valid, exclusive reference.
        unsafe { std::ptr::write_volatile(byte, 0) };
    }
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_held_and_its_source_overwritten() {
        let mut source = b"tok-en".to_vec();
        let room = source.as_ptr();
        let secret = Secret::take(&mut source).unwrap();
        assert_eq!(secret.expose(), b"tok-en");
        assert!(source.is_empty());
        // SAFETY: the vector still owns its allocation of at least six bytes, all written before.
        assert_eq!(unsafe { std::slice::from_raw_parts(room, 6) }, [0; 6]);
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn its_pages_are_locked_and_not_dumped() {
        let secret = Secret::take(&mut vec![7; 5000]).unwrap();
        let start = format!("{:x}-", secret.pages.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let flags = maps.split(&start).nth(1).unwrap().lines().find(|line| line.starts_with("VmFlags:")).unwrap();
        for flag in [" lo", " dd"] {
            assert!(flags.contains(flag), "{flag} in {flags}");
        }
    }

    #[test]
    fn what_is_empty_or_too_long_is_refused() {
        assert!(matches!(Secret::take(&mut Vec::new()), Err(SecretError::Empty)));
        let mut long = vec![7; SECRET_MAX + 1];
        assert!(matches!(Secret::take(&mut long), Err(SecretError::TooLong)));
        assert!(long.is_empty());
    }
}
