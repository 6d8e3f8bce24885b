//! What one sandbox may have under way, so that it cannot take what all share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Questions of one identity that wait for anything. More are dropped: their asker asks again.
const WAITING_MAX: usize = 256;
/// Questions that wait, of all.
const ALL_WAITING_MAX: usize = 4096;
/// Questions of one identity that upstreams are asked at the same time.
const ASKING_MAX: usize = 64;
/// Questions that upstreams are asked at the same time; each has up to three sockets, and with the
/// connections that stays below 1024 descriptors, the usual limit (getrlimit(2)).
const ALL_ASKING_MAX: usize = 192;
/// Connections of one identity.
pub const CONNECTIONS_MAX: usize = 16;
/// Connections of all.
const ALL_CONNECTIONS_MAX: usize = 256;

/// Counts what is under way.
pub(super) struct Limits {
    waiting: Rc<Counts>,
    connections: Rc<Counts>,
    asking: RefCell<HashMap<u32, Arc<Semaphore>>>,
    all_asking: Arc<Semaphore>,
}

/// By identity, with limits for each and for all.
struct Counts {
    by_identity: RefCell<HashMap<u32, usize>>,
    each: usize,
    all: usize,
}

/// One of what is counted. Dropping it makes room.
pub(super) struct Counted {
    counts: Rc<Counts>,
    identity: u32,
}

/// Room to ask upstreams one question.
pub(super) struct Slot {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Limits {
    fn default() -> Self {
        let counts = |each, all| Rc::new(Counts { by_identity: RefCell::default(), each, all });
        Self {
            waiting: counts(WAITING_MAX, ALL_WAITING_MAX),
            connections: counts(CONNECTIONS_MAX, ALL_CONNECTIONS_MAX),
            asking: RefCell::default(),
            all_asking: Arc::new(Semaphore::new(ALL_ASKING_MAX)),
        }
    }
}

impl Limits {
    /// A question that has to wait; `None` if it is one too many.
    pub fn waiting(&self, identity: u32) -> Option<Counted> {
        Counts::add(&self.waiting, identity)
    }

    /// A connection; `None` if it is one too many.
    pub fn connection(&self, identity: u32) -> Option<Counted> {
        Counts::add(&self.connections, identity)
    }

    /// Waits for room to ask upstreams. Of each identity only so many wait for the room that all
    /// share, and those in the order in which they came.
    pub async fn slot(&self, identity: u32) -> Option<Slot> {
        let own = {
            let mut asking = self.asking.borrow_mut();
            asking.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            let own = asking.entry(identity).or_insert_with(|| Arc::new(Semaphore::new(ASKING_MAX)));
            Arc::clone(own).acquire_owned()
        };
        let own = own.await.ok()?;
        let all = Arc::clone(&self.all_asking).acquire_owned().await.ok()?;
        Some(Slot { _own: own, _all: all })
    }
}

impl Counts {
    fn add(counts: &Rc<Self>, identity: u32) -> Option<Counted> {
        let mut by_identity = counts.by_identity.borrow_mut();
        let own = by_identity.get(&identity).copied().unwrap_or(0);
        if own >= counts.each || by_identity.values().sum::<usize>() >= counts.all {
            return None;
        }
        by_identity.insert(identity, own + 1);
        Some(Counted { counts: Rc::clone(counts), identity })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut by_identity = self.counts.by_identity.borrow_mut();
        let left = by_identity.get(&self.identity).map_or(0, |count| count - 1);
        if left == 0 {
            by_identity.remove(&self.identity);
        } else {
            by_identity.insert(self.identity, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_identity_never_takes_all_the_room() {
        let limits = Limits::default();
        let held: Vec<_> = std::iter::from_fn(|| limits.waiting(1)).collect();
        assert_eq!(held.len(), WAITING_MAX);
        assert!(limits.waiting(2).is_some());
        drop(held);
        assert!(limits.waiting(1).is_some());
        assert!(limits.waiting.by_identity.borrow().is_empty());
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let limits = Limits::default();
        let held: Vec<_> = (0..10_000).filter_map(|identity| limits.connection(identity)).collect();
        assert_eq!(held.len(), ALL_CONNECTIONS_MAX);
    }

    #[test]
    fn room_for_upstreams_is_shared() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let limits = Limits::default();
            let mut held = Vec::new();
            for _ in 0..ASKING_MAX {
                held.push(limits.slot(1).await);
            }
            let brief = std::time::Duration::from_millis(20);
            assert!(tokio::time::timeout(brief, limits.slot(1)).await.is_err());
            assert!(tokio::time::timeout(brief, limits.slot(2)).await.is_ok());
            held.pop();
            assert!(tokio::time::timeout(brief, limits.slot(1)).await.is_ok());
        });
    }
}
