//! Memory that a peer may have the broker hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that several connections may hold together. Clones are of the same.
#[derive(Clone, Debug)]
pub struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// So many.
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Nothing, taken from it.
    pub fn charge(&self) -> Charge {
        Charge { from: self.clone(), bytes: 0 }
    }
}

/// What was taken from an allowance. Dropped, it is given back.
#[derive(Debug)]
pub struct Charge {
    from: Allowance,
    bytes: usize,
}

impl Charge {
    /// How many bytes it is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it so many. Whether there were enough left; if not, it is as it was.
    #[must_use]
    pub fn change(&mut self, bytes: usize) -> bool {
        let changed = if bytes > self.bytes {
            let more = bytes - self.bytes;
            let left = |left: usize| left.checked_sub(more);
            self.from.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
        } else {
            self.from.0.fetch_add(self.bytes - bytes, Ordering::Relaxed);
            true
        };
        if changed {
            self.bytes = bytes;
        }
        changed
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.from.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_it_and_give_it_back() {
        let allowance = Allowance::of(100);
        let (mut first, mut second) = (allowance.charge(), allowance.clone().charge());
        assert!(first.change(70) && !second.change(31) && second.change(30));
        assert!(!first.change(71) && first.bytes() == 70);
        assert!(first.change(10) && second.change(90));
        drop(second);
        assert_eq!(allowance.left(), 90);
        drop(first);
        assert_eq!(allowance.left(), 100);
    }
}
