//! Makes few lines of many denials. Pure: the time is an argument, in milliseconds.

use super::record::{Denial, Reason};
use crate::firewall::nft::{Class, log};
use crate::network::packet::{Destination, Protocol};
use std::collections::HashMap;
use std::net::IpAddr;

/// How long denials of one kind are counted before they are written as one line. The first of a
/// kind is written at once.
pub const WINDOW: u64 = 500;
/// Lines that one identity may cause at once, and each second from then on. What is beyond is
/// counted without its destination, so that a scan neither fills the record nor this memory.
const LINES_BURST: u32 = 200;
const LINES_RATE: u32 = 2;

/// A denial as the kernel tells it, with what is known about its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who sent it.
    pub identity: u32,
    /// The sandbox.
    pub session: Option<String>,
    /// The profile.
    pub profile: String,
    /// Why.
    pub class: Class,
    /// Where to; nothing if the packet did not tell.
    pub to: Option<Destination>,
}

/// What is counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    session: Option<String>,
    profile: String,
    class: Class,
    to: Option<(IpAddr, Protocol, Option<u16>)>,
}

#[derive(Debug)]
struct Counted {
    first: u64,
    last: u64,
    count: u64,
    at_least: bool,
    until: u64,
}

/// What is being counted. It holds at most a few hundred kinds for each identity.
#[derive(Debug, Default)]
pub struct Pending {
    senders: HashMap<u32, Sender>,
}

#[derive(Debug)]
struct Sender {
    counted: HashMap<Kind, Counted>,
    lines: Bucket,
    /// What the kernel's meters have left for this identity.
    logged: HashMap<Class, Bucket>,
}

impl Pending {
    /// Counts a denial; a line if it is the first of its kind.
    pub fn note(&mut self, event: Event, now: u64) -> Option<Denial> {
        let sender = self.senders.entry(event.identity).or_insert_with(|| Sender {
            counted: HashMap::new(),
            lines: Bucket::full(LINES_RATE, LINES_BURST, now),
            logged: HashMap::new(),
        });
        let meter = sender.logged.entry(event.class).or_insert_with(|| Bucket::full(log::RATE, log::BURST, now));
        meter.take(now);
        // The next one of this moment is not recorded any more.
        let at_least = meter.left < 1.0;
        let Event { identity, session, profile, class, to } = event;
        let to = to.map(|to| (to.address, to.protocol, to.port));
        let mut kind = Kind { session, profile, class, to };
        if !sender.counted.contains_key(&kind) && !sender.lines.take(now) {
            kind.to = None;
        }
        match sender.counted.get_mut(&kind) {
            Some(counted) => {
                if counted.count == 0 {
                    counted.first = now;
                }
                counted.last = now;
                counted.count += 1;
                counted.at_least |= at_least;
                None
            }
            None => {
                let denial = line(identity, &kind, (now, now), 1, at_least);
                let counted = Counted { first: now, last: now, count: 0, at_least: false, until: now + WINDOW };
                sender.counted.insert(kind, counted);
                Some(denial)
            }
        }
    }

    /// The lines whose window has ended.
    pub fn due(&mut self, now: u64) -> Vec<Denial> {
        let mut lines = Vec::new();
        for (identity, sender) in &mut self.senders {
            sender.counted.retain(|kind, counted| {
                // A clock that was set back ends every window.
                if counted.until > now && counted.until <= now + WINDOW {
                    return true;
                }
                if counted.count == 0 {
                    return false;
                }
                lines.push(line(*identity, kind, (counted.first, counted.last), counted.count, counted.at_least));
                (counted.count, counted.at_least, counted.until) = (0, false, now + WINDOW);
                true
            });
        }
        // Forgotten only with full buckets: else a pause would be worth a burst.
        self.senders.retain(|_, sender| !sender.counted.is_empty() || !sender.lines.is_full(now));
        lines.sort_by_key(|line| line.first);
        lines
    }

    /// Whether anything is being counted.
    pub fn is_idle(&self) -> bool {
        self.senders.values().all(|sender| sender.counted.is_empty())
    }
}

fn line(identity: u32, kind: &Kind, (first, last): (u64, u64), count: u64, at_least: bool) -> Denial {
    Denial {
        first,
        last,
        session: kind.session.clone(),
        profile: kind.profile.clone(),
        identity,
        reason: Reason::Address(kind.class),
        protocol: kind.to.map_or_else(|| "any".to_owned(), |(_, protocol, _)| protocol.to_string()),
        address: kind.to.map(|(address, ..)| address),
        port: kind.to.and_then(|(_, _, port)| port),
        names: Vec::new(),
        count,
        at_least,
    }
}

/// So many a second after a burst, as the kernel's `limit` does it.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    burst: f64,
    left: f64,
    at: u64,
}

impl Bucket {
    fn full(rate: u32, burst: u32, now: u64) -> Self {
        Self { rate: rate.into(), burst: burst.into(), left: burst.into(), at: now }
    }

    fn refill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.at) as f64 / 1000.0;
        self.left = (self.left + passed * self.rate).min(self.burst);
        self.at = now;
    }

    fn take(&mut self, now: u64) -> bool {
        self.refill(now);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }

    fn is_full(&mut self, now: u64) -> bool {
        self.refill(now);
        self.left >= self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(identity: u32, host: u16) -> Event {
        let [high, low] = host.to_be_bytes();
        Event {
            identity,
            session: Some(format!("s-{identity}")),
            profile: "public".into(),
            class: Class::Private,
            to: Some(Destination { address: [10, 0, high, low].into(), protocol: Protocol(6), port: Some(22) }),
        }
    }

    #[test]
    fn the_first_is_told_at_once_and_the_rest_in_one_line() {
        let mut pending = Pending::default();
        let first = pending.note(event(1, 1), 1000).unwrap();
        assert_eq!((first.count, first.address, first.port), (1, Some([10, 0, 0, 1].into()), Some(22)));
        assert!((0..4).all(|n| pending.note(event(1, 1), 1100 + n).is_none()));
        assert!(pending.due(1499).is_empty());
        let rest = pending.due(1500);
        assert_eq!(rest.iter().map(|line| (line.first, line.last, line.count)).collect::<Vec<_>>(), [(1100, 1103, 4)]);
        assert!(pending.due(2000).is_empty() && pending.is_idle());
        assert!(pending.note(event(1, 1), 9000).is_some(), "after a pause it is a first again");
    }

    #[test]
    fn another_session_of_the_same_identity_is_another_kind() {
        let mut pending = Pending::default();
        assert!(pending.note(event(1, 1), 0).is_some());
        assert!(pending.note(Event { session: Some("later".into()), ..event(1, 1) }, 1).is_some());
    }

    #[test]
    fn a_scan_is_few_lines_and_hides_nobody_elses() {
        let mut pending = Pending::default();
        let (mut lines, mut counted) = (0, 0);
        let mut write = |line: Denial| {
            lines += 1;
            counted += line.count;
        };
        for n in 0..60_000_u64 {
            pending.note(event(1, n as u16), n).into_iter().for_each(&mut write);
            pending.due(n).into_iter().for_each(&mut write);
        }
        let kinds: usize = pending.senders.values().map(|sender| sender.counted.len()).sum();
        assert!(pending.note(event(2, 7), 60_000).is_some_and(|line| line.address.is_some()));
        pending.due(70_000).into_iter().for_each(&mut write);
        assert!(lines < 200 + 60 * 2 + 60 * 2 + 10, "{lines}");
        assert!(kinds < 300, "{kinds}");
        assert_eq!(counted, 60_000);
    }

    #[test]
    fn what_the_kernel_did_not_record_is_not_passed_over_in_silence() {
        let mut pending = Pending::default();
        let lines: Vec<Denial> = (0..log::BURST as u16).filter_map(|n| pending.note(event(1, n), 0)).collect();
        let (last, others) = lines.split_last().unwrap();
        assert!(last.at_least && others.iter().all(|line| !line.at_least));
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_windows() {
        let mut pending = Pending::default();
        pending.note(event(1, 1), 1_000_000);
        pending.note(event(1, 1), 1_000_001);
        assert_eq!(pending.due(5).len(), 1);
    }
}
