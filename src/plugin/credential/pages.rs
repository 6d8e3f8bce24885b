//! Memory for credentials: pages that are never swapped or dumped, and buffers that are overwritten after use.

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use std::io;
use std::ptr::NonNull;

/// Whole pages of their own, locked in memory, left out of core dumps, and overwritten when dropped.
pub(super) struct Pages {
    start: NonNull<u8>,
    length: usize,
    mapped: usize,
}

// SAFETY: the pages belong to this value alone, and are only written through an exclusive reference.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// So many bytes, 1 or more, all zero.
    pub fn zeroed(length: usize) -> Result<Self, Errno> {
        let mapped = length.checked_next_multiple_of(rustix::param::page_size()).ok_or(Errno::NOMEM)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), mapped, protection, MapFlags::PRIVATE) }?;
        let pages = Self { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?, length, mapped };
        // SAFETY: the range is the mapping just made; neither call touches its content.
        unsafe {
            mlock(start, mapped)?;
            madvise(start, mapped, Advice::LinuxDontDump)?;
        }
        Ok(pages)
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as `self` and holds `length` initialised bytes.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        wipe(self.bytes_mut());
        // SAFETY: nothing refers to the mapping any more; unmapping unlocks it (mlock(2)).
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.mapped) };
    }
}

/// A buffer for what becomes a credential. It never moves, as moving would leave a copy behind, and is
/// overwritten when it is dropped.
pub(super) struct Wiped(Vec<u8>);

impl Wiped {
    /// Room for so many bytes; more are refused.
    pub fn with_room(room: usize) -> Self {
        Self(Vec::with_capacity(room))
    }

    /// Appends one byte.
    pub fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.0.capacity() - self.0.len(), "a buffer for credentials is too small");
        self.0.extend_from_slice(bytes);
    }

    /// Appends what `read` reads into the room that is left, which it may not leave empty.
    pub fn read(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        let before = self.0.len();
        self.0.resize(self.0.capacity(), 0);
        let count = read(&mut self.0[before..]);
        self.0.truncate(before + count.as_ref().map_or(0, |count| *count));
        count
    }

    /// Removes one line feed at the end.
    pub fn without_line_feed(&mut self) {
        if self.0.last() == Some(&b'\n') {
            self.0.pop();
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its vector, which [`super::Secret::take`] overwrites.
    pub fn inner(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        // What was cut off is beyond the end.
        self.0.resize(self.0.capacity(), 0);
        wipe(&mut self.0);
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
    fn pages_are_locked_and_not_dumped() {
        let pages = Pages::zeroed(5000).unwrap();
        let start = format!("{:x}-", pages.start.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let flags = maps.split(&start).nth(1).unwrap().lines().find(|line| line.starts_with("VmFlags:")).unwrap();
        for flag in [" lo", " dd"] {
            assert!(flags.contains(flag), "{flag} in {flags}");
        }
    }

    #[test]
    fn a_buffer_is_filled_without_moving() {
        let mut buffer = Wiped::with_room(6);
        let place = buffer.bytes().as_ptr();
        for part in [&b"tok"[..], b"en\n"] {
            buffer
                .read(|room| {
                    room[..3].copy_from_slice(part);
                    Ok(3)
                })
                .unwrap();
        }
        buffer.read(|_| Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
        buffer.without_line_feed();
        assert_eq!(buffer.bytes(), b"token");
        assert_eq!(buffer.bytes().as_ptr(), place);
    }
}
