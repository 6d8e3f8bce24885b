//! What was asked: by which name somebody knows an address, and who was denied which name.

use super::decision::Denial;
use hickory_proto::rr::Name;
use lru::LruCache;
use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::SystemTime;

/// Addresses whose names are remembered, for one identity.
const ADDRESSES_MAX: NonZeroUsize = NonZeroUsize::new(512).unwrap();
/// Names that are remembered of one address: shared hosting has thousands.
const NAMES_MAX: usize = 4;
/// Identities of which anything is remembered.
const IDENTITIES_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Names that are counted between two times that the denials are taken, for one identity.
const DENIALS_MAX: usize = 64;
/// Identities whose denials are counted.
const DENIED_MAX: usize = 256;

/// A name that somebody was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameDenial {
    /// Who asked.
    pub identity: u32,
    /// For what, in lower case and presentation form (RFC 1035, 5.1: no byte of it is unprintable), without the
    /// dot at the end; empty for all further names when too many were denied.
    pub name: String,
    /// Why.
    pub denial: Denied,
    /// How often since the denials were last taken.
    pub count: u64,
    /// The last time.
    pub last: SystemTime,
}

/// What was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Denied {
    /// The name itself.
    Name(Denial),
    /// All addresses that it has.
    Addresses,
}

/// What is remembered; bounded in every direction.
#[derive(Debug)]
pub struct Seen {
    names: LruCache<u32, LruCache<IpAddr, Vec<Name>>>,
    denials: HashMap<u32, Counted>,
}

/// How often each name was denied for what reason, and when last.
type Counted = HashMap<(Name, Denied), (u64, SystemTime)>;

impl Default for Seen {
    fn default() -> Self {
        Self { names: LruCache::new(IDENTITIES_MAX), denials: HashMap::new() }
    }
}

impl Seen {
    /// Notes that these addresses were the answer to this name.
    pub fn answered(&mut self, identity: u32, name: &Name, addresses: &[IpAddr]) {
        if addresses.is_empty() {
            return;
        }
        let known = self.names.get_or_insert_mut(identity, || LruCache::new(ADDRESSES_MAX));
        for address in addresses {
            let names = known.get_or_insert_mut(*address, Vec::new);
            // The latest comes first.
            if names.first().is_some_and(|first| first == name) {
                continue;
            }
            names.retain(|other| other != name);
            names.insert(0, name.clone());
            names.truncate(NAMES_MAX);
        }
    }

    /// The names that led this identity to the address, the latest first.
    pub fn names(&self, identity: u32, address: IpAddr) -> Vec<String> {
        let known = self.names.peek(&identity).and_then(|known| known.peek(&address));
        known.map(|names| names.iter().map(plain).collect()).unwrap_or_default()
    }

    /// Counts a denial. True for the first since the last time that denials were taken.
    pub fn denied(&mut self, identity: u32, name: Name, denial: Denied, now: SystemTime) -> bool {
        let first = self.denials.is_empty();
        if self.denials.len() >= DENIED_MAX && !self.denials.contains_key(&identity) {
            return first;
        }
        let counted = self.denials.entry(identity).or_default();
        let key = (name, denial);
        let key = if counted.len() < DENIALS_MAX || counted.contains_key(&key) { key } else { (Name::root(), denial) };
        let (count, last) = counted.entry(key).or_insert((0, now));
        *count += 1;
        *last = now;
        first
    }

    /// Takes the denials that were counted since the last time.
    pub fn take_denials(&mut self) -> Vec<NameDenial> {
        let each = std::mem::take(&mut self.denials).into_iter().flat_map(|(identity, counted)| {
            counted.into_iter().map(move |((name, denial), (count, last))| NameDenial {
                identity,
                name: plain(&name),
                denial,
                count,
                last,
            })
        });
        let mut denials: Vec<NameDenial> = each.collect();
        denials.sort_by(|one, other| (one.last, &one.name).cmp(&(other.last, &other.name)));
        denials
    }
}

fn plain(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    text.truncate(text.len() - usize::from(text.ends_with('.')));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn named(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    #[test]
    fn an_address_has_the_names_by_which_this_identity_asked() {
        let mut seen = Seen::default();
        let address = IpAddr::from([203, 0, 113, 7]);
        for name in ["a.", "b.", "a.", "c.", "d.", "e."] {
            seen.answered(1, &named(name), &[address]);
        }
        assert_eq!(seen.names(1, address), ["e", "d", "c", "a"]);
        assert!(seen.names(2, address).is_empty());
    }

    #[test]
    fn denials_are_counted_and_taken_once() {
        let (mut seen, now) = (Seen::default(), SystemTime::now());
        for _ in 0..3 {
            seen.denied(1, named("A."), Denied::Name(Denial::NotListed), now);
        }
        let taken = seen.take_denials();
        assert_eq!(taken.iter().map(|denial| (denial.name.as_str(), denial.count)).collect::<Vec<_>>(), [("a", 3)]);
        assert!(seen.take_denials().is_empty());
    }

    #[test]
    fn a_flood_of_names_is_one_more_line_and_keeps_nobody_else_out() {
        let (mut seen, now) = (Seen::default(), SystemTime::now());
        for number in 0..100_000_u32 {
            seen.denied(1, named(&format!("{number}.")), Denied::Name(Denial::NotListed), now);
            let address = Ipv4Addr::from(0x0100_0000 + number).into();
            seen.answered(number % 100, &named(&format!("{number}.")), &[address]);
        }
        seen.denied(2, named("quiet."), Denied::Addresses, now);
        let taken = seen.take_denials();
        assert_eq!(taken.len(), DENIALS_MAX + 2);
        assert_eq!(taken.iter().map(|denial| denial.count).sum::<u64>(), 100_001);
        assert!(taken.iter().any(|denial| denial.name == "quiet"));
        let remembered: usize = seen.names.iter().map(|(_, known)| known.len()).sum();
        assert!(remembered <= IDENTITIES_MAX.get() * ADDRESSES_MAX.get());
    }
}
