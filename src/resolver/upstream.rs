//! The host's resolvers: whom to ask first, and when to ask the next.

use super::answer::Answer;
use super::exchange::{ExchangeError, exchange};
use hickory_proto::op::Query;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// When an upstream has not answered for so long, the next is asked as well (resolv.conf(5) waits 5 s).
const HEDGE: Duration = Duration::from_millis(800);
/// When nobody has answered for so long, nobody does. Below the 5 s after which stubs ask again.
const DEADLINE: Duration = Duration::from_millis(4500);
/// Questions that are sent for one, the same upstream's second chance included.
const ATTEMPTS_MIN: usize = 3;
/// Upstreams that are asked one question, as many as glibc asks (`MAXNS`, resolv.h): each is a socket.
const ASKED_MAX: usize = 3;
/// How long an upstream that did not answer is asked after the others.
const PENALTY: Duration = Duration::from_secs(30);

/// The upstreams and what is known of them.
#[derive(Debug, Default)]
pub struct Upstreams {
    servers: Vec<Server>,
}

#[derive(Clone, Copy, Debug)]
struct Server {
    address: SocketAddr,
    /// Until when the others are asked first.
    slow_until: Option<Instant>,
}

impl Upstreams {
    /// Replaces the list; what is known of those that stay is kept. True if it is another list.
    pub fn replace(&mut self, addresses: &[SocketAddr]) -> bool {
        if self.servers.iter().map(|server| server.address).eq(addresses.iter().copied()) {
            return false;
        }
        let known = std::mem::take(&mut self.servers);
        self.servers = addresses
            .iter()
            .map(|address| {
                let before = known.iter().find(|server| server.address == *address);
                before.copied().unwrap_or(Server { address: *address, slow_until: None })
            })
            .collect();
        true
    }

    /// Whom to ask, the first first.
    fn order(&self, now: Instant) -> Vec<SocketAddr> {
        let (slow, well): (Vec<&Server>, Vec<&Server>) =
            self.servers.iter().partition(|server| server.slow_until.is_some_and(|until| until > now));
        well.into_iter().chain(slow).map(|server| server.address).take(ASKED_MAX).collect()
    }

    fn note(&mut self, address: SocketAddr, slow_until: Option<Instant>) {
        for server in self.servers.iter_mut().filter(|server| server.address == address) {
            server.slow_until = slow_until;
        }
    }
}

/// Asks the upstreams until one answers, for [`DEADLINE`] at most. A failure is an answer too.
pub async fn ask(upstreams: Rc<std::cell::RefCell<Upstreams>>, query: Query) -> Answer {
    let order = upstreams.borrow().order(Instant::now());
    if order.is_empty() {
        return Answer::failure();
    }
    let start = Instant::now();
    let (answer, silent) = race(&order, Rc::new(query), start).await;
    let mut upstreams = upstreams.borrow_mut();
    let now = Instant::now();
    for address in silent {
        upstreams.note(address, Some(now + PENALTY));
    }
    match answer {
        Some((address, answer)) => {
            upstreams.note(address, None);
            answer
        }
        None => Answer::failure(),
    }
}

/// The first good answer and whose it is, and everybody who failed or was silent for [`HEDGE`] before.
async fn race(
    order: &[SocketAddr],
    query: Rc<Query>,
    start: Instant,
) -> (Option<(SocketAddr, Answer)>, Vec<SocketAddr>) {
    let attempts = order.len().max(ATTEMPTS_MIN);
    let mut next = order.iter().cycle().take(attempts).copied();
    // Who has said that it cannot is not asked the same again.
    let mut unable = Vec::new();
    let mut all_asked = false;
    let mut asked: Vec<(SocketAddr, Instant)> = Vec::new();
    let mut failed = Vec::new();
    let mut running = JoinSet::new();
    loop {
        match next.find(|upstream| !unable.contains(upstream)) {
            Some(upstream) => {
                asked.push((upstream, Instant::now()));
                let query = Rc::clone(&query);
                running.spawn_local(async move { (upstream, exchange(upstream, &query).await) });
            }
            None => all_asked = true,
        }
        if all_asked && running.is_empty() {
            return (None, failed);
        }
        // Until the next is due; after the last, until it is over.
        let over = DEADLINE.saturating_sub(start.elapsed());
        let patience = if all_asked { over } else { HEDGE.min(over) };
        match timeout(patience, running.join_next()).await {
            Ok(Some(Ok((upstream, Ok(answer))))) => {
                let is_slow =
                    |(address, since): &(SocketAddr, Instant)| *address != upstream && since.elapsed() >= HEDGE;
                failed.extend(asked.iter().filter(|one| is_slow(one)).map(|(address, _)| *address));
                return (Some((upstream, answer)), failed);
            }
            Ok(Some(Ok((upstream, Err(error))))) => {
                tracing::debug!("{error}");
                // "I cannot" about one name says nothing about the next.
                match error {
                    ExchangeError::Bad { .. } => unable.push(upstream),
                    _ => failed.push(upstream),
                }
            }
            Ok(Some(Err(_)) | None) => {}
            Err(_) if start.elapsed() >= DEADLINE => {
                failed.extend(asked.iter().map(|(address, _)| *address));
                return (None, failed);
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_did_not_answer_is_asked_last_for_a_while() {
        let (one, two) = (address("192.0.2.1:53"), address("192.0.2.2:53"));
        let (mut upstreams, now) = (Upstreams::default(), Instant::now());
        assert!(upstreams.replace(&[one, two]));
        assert!(!upstreams.replace(&[one, two]));
        upstreams.note(one, Some(now + PENALTY));
        assert_eq!(upstreams.order(now), [two, one]);
        assert!(upstreams.replace(&[one, two, address("192.0.2.3:53")]));
        assert_eq!(upstreams.order(now)[2], one);
        assert_eq!(upstreams.order(now + PENALTY)[0], one);
        let many: Vec<SocketAddr> = (1..=16).map(|last| address(&format!("192.0.2.{last}:53"))).collect();
        upstreams.replace(&many);
        assert_eq!(upstreams.order(now), many[1..4], "a socket each");
    }
}
