//! Replies that are asked for again within the second: programs look a name up for each connection, and
//! builds do so hundreds of times a second. Within one second no TTL changes and no grant runs out.

use super::decision::View;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Replies that are kept at most.
const REPLIES_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Longer queries and replies are not kept.
const QUERY_MAX: usize = 128;
const REPLY_MAX: usize = 512;
/// How long one is kept.
const SECOND: Duration = Duration::from_secs(1);

/// The last replies, by who asked and by every octet of the query but its id.
pub(super) struct Repeated {
    replies: LruCache<(u32, Vec<u8>), Reply>,
}

/// What replies depend on: the policy, and which upstreams and which state of the kernel it was.
type State = (Arc<View>, (u64, u64));

struct Reply {
    view: Weak<View>,
    generations: (u64, u64),
    until: Instant,
    bytes: Vec<u8>,
}

impl Default for Repeated {
    fn default() -> Self {
        Self { replies: LruCache::new(REPLIES_MAX) }
    }
}

impl Repeated {
    /// The reply, with the id of this query.
    pub fn get(&mut self, identity: u32, query: &[u8], state: &State, now: Instant) -> Option<Vec<u8>> {
        let (id, rest) = query.split_first_chunk::<2>().filter(|_| query.len() <= QUERY_MAX)?;
        let reply = self.replies.get(&(identity, rest.to_vec()))?;
        // The weak reference keeps the address from being another's.
        let same = std::ptr::eq(reply.view.as_ptr(), Arc::as_ptr(&state.0)) && reply.generations == state.1;
        if !same || reply.until <= now {
            return None;
        }
        let mut bytes = reply.bytes.clone();
        bytes.first_chunk_mut::<2>()?.copy_from_slice(id);
        Some(bytes)
    }

    /// Keeps a reply that was right at `now` and stays so for a second.
    pub fn put(&mut self, identity: u32, query: &[u8], bytes: &[u8], state: &State, now: Instant) {
        let Some(rest) = query.get(2..).filter(|_| query.len() <= QUERY_MAX && bytes.len() <= REPLY_MAX) else {
            return;
        };
        let (view, generations) = (Arc::downgrade(&state.0), state.1);
        let reply = Reply { view, generations, until: now + SECOND, bytes: bytes.to_vec() };
        self.replies.put((identity, rest.to_vec()), reply);
    }
}
