//! What the service's main thread and the resolver's share.

use super::bell::Bell;
use super::decision::View;
use super::seen::{Denied, Seen};
use hickory_proto::rr::Name;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

/// Set by one side, read by the other. Nobody holds a lock for longer than a copy takes.
#[derive(Debug)]
pub(super) struct Shared {
    view: RwLock<Arc<View>>,
    upstreams: Mutex<Vec<SocketAddr>>,
    upstreams_set: AtomicU64,
    grants_lost: AtomicU64,
    seen: Mutex<Seen>,
    bell: Bell,
}

impl Shared {
    pub fn new(view: View, bell: Bell) -> Self {
        Self {
            view: RwLock::new(Arc::new(view)),
            upstreams: Mutex::default(),
            upstreams_set: AtomicU64::new(0),
            grants_lost: AtomicU64::new(0),
            seen: Mutex::default(),
            bell,
        }
    }

    /// The policy at the moment.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set_view(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    pub fn upstreams(&self) -> Vec<SocketAddr> {
        self.upstreams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_upstreams(&self, list: Vec<SocketAddr>) {
        *self.upstreams.lock().unwrap_or_else(PoisonError::into_inner) = list;
        self.upstreams_set.fetch_add(1, Ordering::Release);
    }

    pub fn lose_grants(&self) {
        self.grants_lost.fetch_add(1, Ordering::Release);
    }

    /// How often the upstreams were set, and the grants lost.
    pub fn generations(&self) -> (u64, u64) {
        (self.upstreams_set.load(Ordering::Acquire), self.grants_lost.load(Ordering::Acquire))
    }

    /// Counts a denial, and rings if nobody has been told of one.
    pub fn denied(&self, identity: u32, name: Name, denied: Denied) {
        let first = self.seen().denied(identity, name, denied, SystemTime::now());
        if first {
            self.bell.ring();
        }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
