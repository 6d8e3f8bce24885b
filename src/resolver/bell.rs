//! Wakes whoever writes denials down.

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// eventfd(2): readable from the first ring until it is stilled.
#[derive(Clone, Debug)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Hangs one up.
    ///
    /// # Errors
    /// The system's, for want of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Makes it readable.
    pub fn ring(&self) {
        // It fails only when it has been rung 2^64 times.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it unreadable; tells whether it was rung.
    pub fn still(&self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&*self.0, &mut count) != Err(Errno::AGAIN)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_heard_once() {
        let bell = Bell::new().unwrap();
        assert!(!bell.still());
        bell.ring();
        bell.clone().ring();
        assert!(bell.still());
        assert!(!bell.still());
    }
}
