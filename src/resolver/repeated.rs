//! Replies that are asked for again soon: programs look a name up for each connection, and builds do so
//! hundreds of times a second. Such a reply is only told its age.
//!
//! It is as good as a new one as long as its TTL lasts: all its records have the same, and whatever it
//! needs open in the kernel is open for longer than its first TTL.

use super::decision::View;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Replies that are kept at most: 3 MB if all are as large as they may be, usually less than 1.
const REPLIES_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Longer queries and replies are not kept.
const QUERY_MAX: usize = 128;
const REPLY_MAX: usize = 512;
/// How long one is kept at most, so that who asks by which name stays known.
const KEPT_MAX: Duration = Duration::from_secs(30);
/// Octets of a header (RFC 1035, 4.1.1), of a question behind its name (4.1.2), and of a record's type and
/// class, its TTL and its length (4.1.3).
const HEADER: usize = 12;
const QUESTION: usize = 4;
const TYPE_AND_CLASS: usize = 4;
const TTL: usize = 4;
const LENGTH: usize = 2;
/// EDNS's record, whose TTL is none (RFC 6891, 6.1.3).
const OPT: u16 = 41;

/// The last replies, by who asked and by every octet of the query but its id.
pub(super) struct Repeated {
    replies: LruCache<(u32, Vec<u8>), Reply>,
}

/// What replies depend on: the policy, and which upstreams and which state of the kernel it was.
type State = (Arc<View>, (u64, u64));

struct Reply {
    view: Weak<View>,
    generations: (u64, u64),
    since: Instant,
    until: Instant,
    bytes: Vec<u8>,
}

impl Default for Repeated {
    fn default() -> Self {
        Self { replies: LruCache::new(REPLIES_MAX) }
    }
}

impl Repeated {
    /// The reply, with the id of this query and the TTL that is left.
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
        let age = now.duration_since(reply.since).as_secs();
        if age > 0 {
            grow_older(&mut bytes, u32::try_from(age).ok()?)?;
        }
        Some(bytes)
    }

    /// Keeps a reply that was right at `now`, and whose TTL is `ttl` seconds.
    pub fn put(&mut self, identity: u32, query: &[u8], bytes: &[u8], ttl: u32, state: &State, now: Instant) {
        let Some(rest) = query.get(2..).filter(|_| query.len() <= QUERY_MAX && bytes.len() <= REPLY_MAX) else {
            return;
        };
        let (view, generations) = (Arc::downgrade(&state.0), state.1);
        // In its last second it would say 1, and in the one after that 0.
        let until = now + Duration::from_secs(ttl.into()).min(KEPT_MAX);
        let reply = Reply { view, generations, since: now, until, bytes: bytes.to_vec() };
        self.replies.put((identity, rest.to_vec()), reply);
    }
}

/// Takes so many seconds from the TTL of each record; nothing if the message cannot be read, which one of
/// our own always can.
fn grow_older(message: &mut [u8], age: u32) -> Option<()> {
    let count = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let (questions, records) = (count(4)?, [count(6)?, count(8)?, count(10)?]);
    let mut at = HEADER;
    for _ in 0..questions {
        at = behind_name(message, at)? + QUESTION;
    }
    for _ in 0..records.into_iter().map(u32::from).sum::<u32>() {
        at = behind_name(message, at)?;
        let kind = u16::from_be_bytes(*message.get(at..)?.first_chunk()?);
        let ttl = message.get_mut(at + TYPE_AND_CLASS..)?.first_chunk_mut::<TTL>()?;
        if kind != OPT {
            *ttl = u32::from_be_bytes(*ttl).saturating_sub(age).max(1).to_be_bytes();
        }
        at += TYPE_AND_CLASS + TTL;
        let length = u16::from_be_bytes(*message.get(at..)?.first_chunk()?);
        at += LENGTH + usize::from(length);
    }
    Some(())
}

/// Where a name ends: at the root, or at a pointer (RFC 1035, 4.1.4).
fn behind_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Edns, Message, Query, ResponseCode};
    use hickory_proto::rr::rdata::{A, CNAME};
    use hickory_proto::rr::{Name, RData, Record, RecordType};
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn message(ttl: u32) -> Vec<u8> {
        let [asked, alias] = ["www.example.com.", "cdn.example.net."].map(|name| Name::from_ascii(name).unwrap());
        let mut message = Message::error_msg(7, hickory_proto::op::OpCode::Query, ResponseCode::NoError);
        message.add_query(Query::query(asked.clone(), RecordType::A));
        message.add_answer(Record::from_rdata(asked, ttl, RData::CNAME(CNAME(alias.clone()))));
        message.add_answer(Record::from_rdata(alias, ttl, RData::A(A(Ipv4Addr::new(203, 0, 113, 1)))));
        message.set_edns(Edns::new());
        message.to_vec().unwrap()
    }

    #[test]
    fn every_record_ages_and_nothing_else_changes() {
        for (age, left) in [(1, 59), (59, 1), (60, 1), (u32::MAX, 1)] {
            let mut aged = message(60);
            grow_older(&mut aged, age).unwrap();
            assert_eq!(aged, message(left), "{age}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_make_it_read_or_write_outside(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let length = bytes.len();
            grow_older(&mut bytes, 1);
            prop_assert_eq!(bytes.len(), length);
        }

        #[test]
        fn what_follows_a_message_that_is_cut_short_is_left_alone(cut in 0_usize..100) {
            let mut bytes = message(60);
            bytes.truncate(bytes.len().saturating_sub(cut + 1));
            prop_assert!(grow_older(&mut bytes, 1).is_none());
        }
    }
}
