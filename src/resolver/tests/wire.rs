//! Every parser of the wire against mutations of good messages: cheap, and the same in each run. The
//! fuzz target goes further.

use super::world::{alias, at, name, query, reply, with_edns};
use crate::resolver::wire;
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{HTTPS, SOA, TXT};
use hickory_proto::rr::{RData, Record, RecordType};
use proptest::prelude::*;

fn good() -> Vec<Vec<u8>> {
    let record = |data| Record::from_rdata(name("b.example."), 60, data);
    let service = SVCB::new(1, name("."), vec![(SvcParamKey::Port, SvcParamValue::Port(443))]);
    let mut full = reply(
        &query("a.example.", RecordType::A),
        &[
            alias("a.example.", "b.example.", 60),
            at("b.example.", "203.0.113.1", 60),
            at("b.example.", "2001:db8::1", 60),
            record(RData::TXT(TXT::new(vec!["text".into()]))),
            record(RData::HTTPS(HTTPS(service))),
        ],
    );
    full.authorities.push(record(RData::SOA(SOA::new(name("ns."), name("root."), 1, 2, 3, 4, 5))));
    let full: Message = with_edns(full, 1232);
    let queries = [RecordType::A, RecordType::HTTPS, RecordType::ANY, RecordType::PTR]
        .map(|kind| with_edns(query("1.0.0.10.in-addr.arpa.", kind), 4096).to_vec().unwrap());
    queries.into_iter().chain([full.to_vec().unwrap()]).collect()
}

/// One change: a byte, a cut, a repetition, or a pointer of RFC 1035, 4.1.4 to anywhere.
#[derive(Clone, Debug)]
enum Change {
    Byte(usize, u8),
    Cut(usize),
    Repeat(usize, usize),
    Pointer(usize, u8),
    Count(usize, u16),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), any::<usize>()).prop_map(|(at, length)| Change::Repeat(at, length)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, to)| Change::Pointer(at, to)),
        (0..4_usize, any::<u16>()).prop_map(|(section, count)| Change::Count(section, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.len() < 14 {
        return;
    }
    let within = |at: usize| at % bytes.len();
    match *change {
        Change::Byte(at, byte) => {
            let at = within(at);
            bytes[at] = byte;
        }
        Change::Cut(at) => bytes.truncate(within(at)),
        Change::Repeat(at, length) => {
            let at = within(at);
            let part = bytes[at..].iter().copied().take(length % 64).collect::<Vec<u8>>();
            bytes.extend(part);
        }
        Change::Pointer(at, to) => {
            let at = within(at).min(bytes.len() - 2);
            bytes[at..at + 2].copy_from_slice(&[0xc0, to]);
        }
        Change::Count(section, count) => {
            bytes[4 + 2 * section..6 + 2 * section].copy_from_slice(&count.to_be_bytes());
        }
    }
}

#[test]
fn good_messages_are_understood() {
    for bytes in good() {
        wire::exercise(&bytes);
    }
    assert!(wire::exercise(good().last().unwrap()), "the answer is one");
    assert!(!wire::exercise(&[0; 40]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn changed_messages_harm_nobody(which in 0..5_usize, changes in proptest::collection::vec(change(), 1..6)) {
        let mut bytes = good().swap_remove(which);
        for change in &changes {
            apply(&mut bytes, change);
        }
        wire::exercise(&bytes);
    }

    #[test]
    fn noise_harms_nobody(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        wire::exercise(&bytes);
    }
}
