//! Replies that are given again.

use super::world::{rules, ruleset};
use crate::resolver::decision::View;
use crate::resolver::hosts::Hosts;
use crate::resolver::repeated::Repeated;
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn a_kept_reply_is_aged_until_its_end_and_no_longer() {
    let view = Arc::new(View::new(&rules(ruleset(&[], None)), vec![], Hosts::new()));
    let (state, start) = ((view, (1, 1)), Instant::now());
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii("www.example.com.").unwrap(), RecordType::A));
    let query = query.to_vec().unwrap();
    let name = Name::from_ascii("www.example.com.").unwrap();
    let mut reply = Message::error_msg(7, OpCode::Query, ResponseCode::NoError);
    reply.add_answer(Record::from_rdata(name, 5, RData::A(A(Ipv4Addr::new(203, 0, 113, 1)))));
    let reply = reply.to_vec().unwrap();
    let mut repeated = Repeated::default();
    repeated.put(1, &query, &reply, 5, &state, start);
    let ttl = |repeated: &mut Repeated, millis: u64| {
        let bytes = repeated.get(1, &query, &state, start + Duration::from_millis(millis))?;
        Some(Message::from_vec(&bytes).unwrap().answers[0].ttl)
    };
    let seen = [0, 999, 1000, 4999, 5000].map(|millis| ttl(&mut repeated, millis));
    assert_eq!(seen, [Some(5), Some(5), Some(4), Some(1), None]);
    assert!(repeated.get(2, &query, &state, start).is_none(), "it is nobody else's");
    let lost = (Arc::clone(&state.0), (1, 2));
    assert!(repeated.get(1, &query, &lost, start).is_none(), "the kernel may have lost what it needs");
}
