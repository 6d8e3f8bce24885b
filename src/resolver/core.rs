//! From a question to an answer, on the resolver's thread.

use super::answer::Answer;
use super::budget::Budget;
use super::cache::{Cache, Key};
use super::decision::{Asker, Decision, Scope, View};
use super::granting::Granting;
use super::hosts;
use super::limits::Limits;
use super::present::{self, Presented, present};
use super::question::Question;
use super::repeated::Repeated;
use super::reply::{self, Carrier};
use super::seen::Denied;
use super::shared::Shared;
use super::upstream::{self, Upstreams};
use crate::firewall::grants::GrantError;
use hickory_proto::rr::{Name, RecordType};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often a grant is tried while the rules are being replaced, and how long is waited in between.
const GRANT_ATTEMPTS: u32 = 8;
const GRANT_PAUSE: Duration = Duration::from_millis(150);
/// How often a failure to grant is logged at most: sandboxes could fill the log.
const COMPLAINT: Duration = Duration::from_secs(10);

/// Everything that answers come from.
pub(super) struct Core {
    shared: Arc<Shared>,
    upstreams: Rc<RefCell<Upstreams>>,
    /// Which of the lists of upstreams, and which of the kernel's states, this thread knows.
    known: Cell<(u64, u64)>,
    complained: Cell<Option<Instant>>,
    cache: RefCell<Cache>,
    repeated: RefCell<Repeated>,
    /// Who waits for what upstreams are being asked.
    asking: RefCell<HashMap<Key, Vec<oneshot::Sender<Rc<Answer>>>>>,
    granting: Rc<Granting>,
    budget: RefCell<Budget>,
    pub(super) limits: Limits,
}

/// What can be said without waiting.
enum Now {
    Reply(Vec<u8>),
    /// The same, and good for as many seconds as its TTL says.
    Repeatable(Vec<u8>, u32),
    Wait,
    /// Nobody that has a profile.
    Nobody,
}

impl Core {
    pub fn new(shared: Arc<Shared>, granting: Rc<Granting>) -> Rc<Self> {
        Rc::new(Self {
            shared,
            upstreams: Rc::default(),
            known: Cell::new((0, 0)),
            complained: Cell::new(None),
            cache: RefCell::default(),
            repeated: RefCell::default(),
            asking: RefCell::default(),
            granting,
            budget: RefCell::default(),
            limits: Limits::default(),
        })
    }

    /// Whether this uid is a network identity of some profile.
    pub fn is_identity(&self, uid: u32) -> bool {
        self.shared.view().asker(uid).is_some()
    }

    /// Which identity is in the place on a bridge that this address belongs to. The rules let nobody else
    /// send from it.
    pub fn placed(&self, address: IpAddr) -> Option<u32> {
        self.shared.view().placed(address).filter(|identity| self.is_identity(*identity))
    }

    /// The reply, if this identity has asked the same a moment ago.
    pub fn repeated(&self, identity: u32, query: &[u8]) -> Option<Vec<u8>> {
        let state = (self.shared.view(), self.shared.generations());
        self.repeated.borrow_mut().get(identity, query, &state, Instant::now())
    }

    /// The reply to `question`, which `query` holds, if nobody has to be asked for it. `None` otherwise:
    /// see [`Core::answer`].
    pub fn answer_now(&self, identity: u32, question: &Question, query: &[u8]) -> Option<Vec<u8>> {
        let (state, now) = ((self.shared.view(), self.shared.generations()), Instant::now());
        match self.look(identity, question, Carrier::Udp) {
            Now::Reply(reply) => Some(reply),
            Now::Repeatable(reply, ttl) => {
                self.repeated.borrow_mut().put(identity, query, &reply, ttl, &state, now);
                Some(reply)
            }
            Now::Wait | Now::Nobody => None,
        }
    }

    /// The reply. `None` if there is none to give: too many wait, or this is no identity any more.
    pub async fn answer(&self, identity: u32, question: &Question, carrier: Carrier) -> Option<Vec<u8>> {
        let _waiting = self.limits.waiting(identity)?;
        let mut fetched: Option<Rc<Answer>> = None;
        for _ in 0..GRANT_ATTEMPTS {
            // Anew each time: the policy may have changed while we waited.
            match self.look(identity, question, carrier) {
                Now::Reply(reply) | Now::Repeatable(reply, _) => return Some(reply),
                Now::Nobody => return None,
                Now::Wait => {}
            }
            let view = self.shared.view();
            let Some(scope) = scope(&view, identity, question) else { continue };
            let (answer, left) = match (self.found(&view, &scope, question), fetched.take()) {
                (Some(found), _) => found,
                (None, Some(answer)) => (Rc::clone(&answer), answer.ttl),
                (None, None) => {
                    let answer = self.ask(identity, key(question)).await;
                    (Rc::clone(&answer), answer.ttl)
                }
            };
            fetched = Some(Rc::clone(&answer));
            let (view, now) = (self.shared.view(), Instant::now());
            let asker = view.asker(identity)?;
            let Decision::Resolve(scope) = decide(&view, asker, question, now) else { continue };
            let presented = present(&view, asker, &scope, &answer, left, now);
            let missing = self.missing(&view, &presented);
            if missing.is_empty() {
                return Some(self.finish(asker, question, presented, carrier));
            }
            if !self.budget.borrow_mut().spend(identity, &missing, |grant| grant.elements(&view.ruleset), now) {
                self.complain(&GrantError::Full);
                break;
            }
            match self.granting.grant(&view, missing).await {
                Ok(()) => return Some(self.finish(asker, question, presented, carrier)),
                Err(GrantError::NotLoaded | GrantError::NoRule { .. }) => tokio::time::sleep(GRANT_PAUSE).await,
                Err(error) => {
                    self.complain(&error);
                    break;
                }
            }
        }
        Some(reply::failed(question, carrier))
    }

    fn look(&self, identity: u32, question: &Question, carrier: Carrier) -> Now {
        self.follow();
        let (view, now) = (self.shared.view(), Instant::now());
        let Some(asker) = view.asker(identity) else { return Now::Nobody };
        let scope = match decide(&view, asker, question, now) {
            Decision::Loopback => return Now::Reply(reply::loopback(question, carrier)),
            Decision::Denied(denial) => {
                self.denied(asker, &question.query.name, Denied::Name(denial));
                return Now::Reply(reply::denied(question, denial, carrier));
            }
            Decision::Resolve(scope) => scope,
        };
        if question.query.query_type == RecordType::ANY {
            return Now::Reply(reply::minimal(question, carrier));
        }
        let Some((answer, left)) = self.found(&view, &scope, question) else { return Now::Wait };
        let presented = present(&view, asker, &scope, &answer, left, now);
        if !self.missing(&view, &presented).is_empty() {
            return Now::Wait;
        }
        // A lease may end at any moment, and what was stripped is counted.
        let lasts = scope.leases.is_empty() && presented.stripped == 0;
        let ttl = presented.records.iter().chain(&presented.soa).map(|record| record.ttl).min().unwrap_or(0);
        let reply = self.finish(asker, question, presented, carrier);
        if lasts && ttl > 1 { Now::Repeatable(reply, ttl) } else { Now::Reply(reply) }
    }

    fn missing(&self, view: &Arc<View>, presented: &Presented) -> Vec<crate::firewall::grants::Grant> {
        if presented.grants.is_empty() {
            return vec![];
        }
        self.granting.missing(view, &presented.grants, present::GRACE / 2, Instant::now())
    }

    /// What can be had without asking anybody.
    fn found(&self, view: &View, scope: &Scope, question: &Question) -> Option<(Rc<Answer>, u32)> {
        if let Some(addresses) = view.hosts(scope) {
            let answer = hosts::answer(addresses, &question.query);
            let left = answer.ttl;
            return Some((Rc::new(answer), left));
        }
        self.cache.borrow_mut().get(&key(question), Instant::now())
    }

    /// Notes that something cannot be granted, not more often than a log can bear.
    fn complain(&self, error: &GrantError) {
        let now = Instant::now();
        if self.complained.get().is_none_or(|last| now.duration_since(last) >= COMPLAINT) {
            self.complained.set(Some(now));
            tracing::error!("{error}");
        }
    }

    fn finish(&self, asker: Asker, question: &Question, presented: Presented, carrier: Carrier) -> Vec<u8> {
        if presented.stripped > 0 && presented.addresses.is_empty() {
            self.denied(asker, &question.query.name, Denied::Addresses);
        }
        if !presented.addresses.is_empty() {
            self.shared.seen().answered(asker.identity, &question.query.name, &presented.addresses);
        }
        reply::answered(question, presented, carrier)
    }

    fn denied(&self, asker: Asker, name: &Name, denied: Denied) {
        self.shared.denied(asker.identity, name.clone(), denied);
    }

    /// Takes over what the service has set since the last time.
    fn follow(&self) {
        let now = self.shared.generations();
        let (upstreams, grants) = self.known.replace(now);
        if now != (upstreams, grants) {
            self.budget.borrow_mut().tidy(Instant::now());
        }
        if upstreams != now.0 {
            let list = self.shared.upstreams();
            if self.upstreams.borrow_mut().replace(&list) {
                self.cache.borrow_mut().clear();
            }
        }
        if grants != now.1 {
            self.granting.forget();
        }
    }

    /// Asks the upstreams, or waits with those who ask them the same. Whoever only waits for room
    /// holds up nobody: the first who has room asks for all.
    async fn ask(&self, identity: u32, key: Key) -> Rc<Answer> {
        let failure = || Rc::new(Answer::failure());
        if let Some(answer) = self.join(&key) {
            return answer.await.unwrap_or_else(|_| failure());
        }
        let Some(slot) = self.limits.slot(identity).await else { return failure() };
        if let Some((answer, _)) = self.cache.borrow_mut().get(&key, Instant::now()) {
            return answer;
        }
        if let Some(answer) = self.join(&key) {
            return answer.await.unwrap_or_else(|_| failure());
        }
        self.asking.borrow_mut().insert(key.clone(), vec![]);
        let _done = Asked { core: self, key: &key };
        let generation = self.known.get().0;
        let query = hickory_proto::op::Query::query(key.name.clone(), key.kind);
        let answer = Rc::new(upstream::ask(Rc::clone(&self.upstreams), query).await);
        drop(slot);
        // What the former upstreams said is not kept.
        if generation == self.known.get().0 {
            self.cache.borrow_mut().insert(key.clone(), Rc::clone(&answer), Instant::now());
        }
        let waiters = self.asking.borrow_mut().remove(&key);
        for waiter in waiters.into_iter().flatten() {
            // Some may have given up.
            let _ = waiter.send(Rc::clone(&answer));
        }
        answer
    }

    fn join(&self, key: &Key) -> Option<oneshot::Receiver<Rc<Answer>>> {
        let mut asking = self.asking.borrow_mut();
        let waiters = asking.get_mut(key)?;
        let (sender, receiver) = oneshot::channel();
        waiters.push(sender);
        Some(receiver)
    }
}

/// Whoever asks for others may be dropped half way; those who wait must not wait for ever.
struct Asked<'a> {
    core: &'a Core,
    key: &'a Key,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.core.asking.borrow_mut().remove(self.key);
    }
}

fn decide(view: &View, asker: Asker, question: &Question, now: Instant) -> Decision {
    view.decide(asker, &question.query.name, question.query.query_type, now)
}

/// What the name is good for at the moment; nothing if it has just been denied.
fn scope(view: &View, identity: u32, question: &Question) -> Option<Scope> {
    match decide(view, view.asker(identity)?, question, Instant::now()) {
        Decision::Resolve(scope) => Some(scope),
        Decision::Loopback | Decision::Denied(_) => None,
    }
}

fn key(question: &Question) -> Key {
    Key { name: question.query.name.clone(), kind: question.query.query_type }
}
