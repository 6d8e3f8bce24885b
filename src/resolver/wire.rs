//! Everything that bytes from outside go through, in one call without a socket: for the fuzzer
//! (`fuzz/`) and for the tests.

use super::answer::Answer;
use super::decision::{Decision, Rules, View};
use super::exchange;
use super::hosts::Hosts;
use super::present::present;
use super::question::{self, Question, Unanswerable};
use super::reply::{self, Carrier};
use super::space::Verdict;
use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use crate::policy::ruleset::{Ruleset, Version};
use crate::policy::{Policy, Profile, ProfileName, Reach};
use hickory_proto::op::{Message, Query};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

/// A policy of one public profile without exceptions.
static VIEW: LazyLock<View> = LazyLock::new(|| {
    let public = Profile { name: ProfileName::public(), exceptions: vec![], reach: Reach::Public };
    let policy = Policy {
        profiles: vec![public],
        users: UserRange::new(1000, BLOCK_START, RANGE_LENGTH).into_iter().collect(),
        private: vec![],
        vpn_interfaces: vec![],
        bridging: None,
    };
    let ruleset = Arc::new(Ruleset::from(&policy));
    let rules = Rules { ruleset, version: Version::new([0; 32]), on_link: vec![], own: vec![] };
    View::new(&rules, vec![], Hosts::new())
});

/// Takes the bytes for a sandbox's query, and for an upstream's answer to the question that they
/// hold themselves. True if they are such an answer.
///
/// # Panics
/// If a rule is broken: a reply that is larger than allowed or cannot be read, more octets than were
/// sent for what is no question, an address in denied space.
pub fn exercise(bytes: &[u8]) -> bool {
    match question::read(bytes) {
        Ok(question) => answered(&question, &Answer::failure()),
        Err(Unanswerable::Noise) => {}
        Err(Unanswerable::Reply(reply)) => {
            assert!(reply.len() <= bytes.len().max(question::HEADER + 11), "an amplified refusal");
        }
    }
    let Ok(Message { metadata, queries, .. }) = Message::from_vec(bytes) else { return false };
    let Some(query) = queries.into_iter().next() else { return false };
    let Some(message) = exchange::decode(bytes, &query, metadata.id) else { return false };
    let Ok(answer) = Answer::from_message(message, &query) else { return false };
    let udp_size = 512 + metadata.id % 4000;
    for edns in [false, true] {
        answered(&own_question(query.clone(), edns, udp_size), &answer);
    }
    true
}

fn own_question(query: Query, edns: bool, udp_size: u16) -> Question {
    Question { id: 0, recursion_desired: true, query, edns, udp_size }
}

fn answered(question: &Question, answer: &Answer) {
    let (view, now) = (&*VIEW, Instant::now());
    let Some(asker) = view.asker(BLOCK_START) else { return };
    let scope = match view.decide(asker, &question.query.name, question.query.query_type, now) {
        Decision::Loopback => return check(&reply::loopback(question, Carrier::Udp), question),
        Decision::Denied(denial) => return check(&reply::denied(question, denial, Carrier::Udp), question),
        Decision::Resolve(scope) => scope,
    };
    let presented = present(view, asker, &scope, answer, answer.ttl, now);
    assert!(presented.addresses.iter().all(|address| view.space.verdict(*address) == Verdict::Public));
    check(&reply::answered(question, presented.clone(), Carrier::Udp), question);
    let tcp = reply::answered(question, presented, Carrier::Tcp);
    assert!(Message::from_vec(&tcp).is_ok(), "an unreadable reply");
}

fn check(reply: &[u8], question: &Question) {
    assert!(reply.len() <= usize::from(question.udp_size), "too large a reply");
    assert!(Message::from_vec(reply).is_ok(), "an unreadable reply");
}
