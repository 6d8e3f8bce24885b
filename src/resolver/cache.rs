//! Answers that are still good, for all sandboxes together. What a profile may see of them is
//! decided each time.

use super::answer::Answer;
use hickory_proto::rr::{Name, RecordType};
use lru::LruCache;
use std::rc::Rc;
use std::time::Instant;

/// Answers that are kept at most.
const ENTRIES_MAX: usize = 8192;
/// Octets that they take at most, about.
const BYTES_MAX: usize = 4 << 20;
/// Larger answers are not kept.
const ANSWER_MAX: usize = BYTES_MAX / 64;

/// A question, regardless of the case of its letters. The class is always IN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The name.
    pub name: Name,
    /// The type.
    pub kind: RecordType,
}

/// Answers by question; the longest unused goes first.
#[derive(Debug)]
pub struct Cache {
    answers: LruCache<Key, (Rc<Answer>, Instant)>,
    bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self { answers: LruCache::unbounded(), bytes: 0 }
    }
}

impl Cache {
    /// The answer and how many seconds it is good for still; at least 1.
    pub fn get(&mut self, key: &Key, now: Instant) -> Option<(Rc<Answer>, u32)> {
        let (answer, until) = self.answers.get(key)?;
        if *until <= now {
            self.remove(key);
            return None;
        }
        let left = until.duration_since(now).as_secs_f64().ceil();
        Some((Rc::clone(answer), (left as u32).clamp(1, answer.ttl)))
    }

    /// Keeps an answer.
    pub fn insert(&mut self, key: Key, answer: Rc<Answer>, now: Instant) {
        self.remove(&key);
        let size = cost(&key, &answer);
        if size > ANSWER_MAX {
            return;
        }
        let until = now + answer.lifetime();
        self.bytes += size;
        self.answers.put(key, (answer, until));
        while self.answers.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            let Some((key, (answer, _))) = self.answers.pop_lru() else { break };
            self.bytes -= cost(&key, &answer);
        }
    }

    /// Forgets everything: the upstreams are others now.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn remove(&mut self, key: &Key) {
        if let Some((answer, _)) = self.answers.pop(key) {
            self.bytes -= cost(key, &answer);
        }
    }
}

fn cost(key: &Key, answer: &Answer) -> usize {
    // The map's and the list's own share of an entry is about as large as the entry.
    answer.size() + 2 * size_of::<(Key, Rc<Answer>, Instant)>() + key.name.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::rdata::TXT;
    use hickory_proto::rr::{RData, Record};
    use std::time::Duration;

    fn key(name: &str) -> Key {
        Key { name: Name::from_ascii(name).unwrap(), kind: RecordType::TXT }
    }

    fn answer(length: usize, ttl: u32) -> Rc<Answer> {
        let text = TXT::new(vec!["x".repeat(255); length / 255]);
        let record = Record::from_rdata(Name::root(), ttl, RData::TXT(text));
        Rc::new(Answer { code: ResponseCode::NoError, chain: vec![], records: vec![record], soa: None, ttl })
    }

    #[test]
    fn an_answer_ages_and_ends() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.insert(key("a.example."), answer(255, 10), start);
        let left = |cache: &mut Cache, millis| {
            cache.get(&key("A.EXAMPLE."), start + Duration::from_millis(millis)).map(|(_, left)| left)
        };
        assert_eq!(left(&mut cache, 0), Some(10));
        assert_eq!(left(&mut cache, 4_500), Some(6));
        assert_eq!(left(&mut cache, 9_999), Some(1));
        assert_eq!(left(&mut cache, 10_000), None);
        assert_eq!((cache.answers.len(), cache.bytes), (0, 0));
    }

    #[test]
    fn neither_many_nor_large_answers_fill_the_memory() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for number in 0..20_000 {
            cache.insert(key(&format!("{number}.example.")), answer(255, 60), now);
        }
        assert!(cache.answers.len() <= ENTRIES_MAX && cache.bytes <= BYTES_MAX);
        assert!(cache.get(&key("19999.example."), now).is_some() && cache.get(&key("0.example."), now).is_none());
        for number in 0..200 {
            cache.insert(key(&format!("{number}.large.")), answer(60_000, 60), now);
        }
        assert!(cache.bytes <= BYTES_MAX && cache.bytes > BYTES_MAX / 2, "{}", cache.bytes);
        cache.insert(key("huge."), answer(70_000, 60), now);
        assert!(cache.get(&key("huge."), now).is_none());
    }
}
