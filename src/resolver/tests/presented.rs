//! What of an answer a profile sees, and what is opened for it.

use super::world::{addresses, alias, at, me, name, query, reply, ruleset};
use crate::policy::Lease;
use crate::policy::ruleset::{Ruleset, Version};
use crate::resolver::answer::{Answer, BadAnswer};
use crate::resolver::decision::{Decision, Rules, View};
use crate::resolver::hosts::Hosts;
use crate::resolver::present::{Presented, present};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::svcb::{IpHint, Mandatory, SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{A, AAAA, HTTPS, NS, SOA, TXT};
use hickory_proto::rr::{RData, Record, RecordType};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn answer(asked: &str, kind: RecordType, records: &[Record]) -> Result<Answer, BadAnswer> {
    let query = query(asked, kind);
    Answer::from_message(reply(&query, records), &query.queries[0])
}

fn seen_with(ruleset: Ruleset, leases: &[&str], asked: &str, kind: RecordType, records: &[Record]) -> Presented {
    let now = Instant::now();
    let leases = leases.iter().map(|text| (text.parse::<Lease>().unwrap(), now + Duration::from_secs(20)));
    let on_link = vec!["198.51.100.0/24".parse().unwrap(), "2001:db8:77::/64".parse().unwrap()];
    let rules = Rules { ruleset: Arc::new(ruleset), version: Version::new([0; 32]), on_link, own: vec![] };
    let view = View::new(&rules, leases.collect(), Hosts::new());
    let asker = view.asker(me()).unwrap();
    let answer = answer(asked, kind, records).unwrap();
    let Decision::Resolve(scope) = view.decide(asker, &name(asked), kind, now) else { panic!("{asked} is denied") };
    present(&view, asker, &scope, &answer, answer.ttl, now)
}

fn seen(ruleset: Ruleset, asked: &str, records: &[Record]) -> (Vec<String>, Vec<String>) {
    let kind = if records.iter().any(|record| record.record_type() == RecordType::AAAA) {
        RecordType::AAAA
    } else {
        RecordType::A
    };
    let presented = seen_with(ruleset, &[], asked, kind, records);
    let kept = presented.addresses.iter().map(ToString::to_string).collect();
    let granted = presented.grants.iter().map(|grant| {
        assert_eq!(grant.name.as_str(), asked.trim_end_matches('.').to_lowercase());
        format!("{:?} {} {}", grant.kind, grant.address, grant.lifetime.as_secs())
    });
    (kept, granted.collect())
}

const NOTHING: [String; 0] = [];

#[test]
fn rebinding_ends_in_the_answer() {
    let mixed = [
        "203.0.113.1",
        "10.0.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "169.254.169.254",
        "198.51.100.9",
        "0.0.0.0",
        "100.64.0.1",
    ];
    let records = mixed.map(|address| at("evil.example.", address, 60));
    let (kept, granted) = seen(ruleset(&["git.corp.lan:443"], None), "evil.example.", &records);
    assert_eq!((kept, granted), (vec!["203.0.113.1".to_owned()], vec![]));
    let mixed = [
        "2001:db8::1",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "fd00::1",
        "fe80::1",
        "2001:db8:77::9",
    ];
    let records = mixed.map(|address| at("evil.example.", address, 60));
    assert_eq!(seen(ruleset(&[], None), "evil.example.", &records).0, ["2001:db8::1"]);
}

#[test]
fn a_name_whose_addresses_are_all_stripped_exists_without_any() {
    let records = [alias("evil.example.", "in.example.", 60), at("in.example.", "10.0.0.1", 60)];
    let presented = seen_with(ruleset(&[], None), &[], "evil.example.", RecordType::A, &records);
    assert_eq!((presented.code, presented.records.len(), presented.stripped), (ResponseCode::NoError, 0, 1));
}

#[test]
fn an_exception_lets_private_addresses_through_but_never_the_host_or_metadata() {
    let records = ["10.1.2.8", "203.0.113.1", "127.0.0.1", "169.254.169.254", "168.63.129.16"]
        .map(|address| at("git.corp.lan.", address, 60));
    let (kept, granted) = seen(ruleset(&["git.corp.lan:443"], None), "Git.Corp.lan.", &records);
    assert_eq!(kept, ["10.1.2.8", "203.0.113.1"]);
    assert_eq!(granted, ["Excepted(0) 10.1.2.8 360", "Excepted(0) 203.0.113.1 360"]);
}

#[test]
fn a_listed_name_is_reached_in_public_space_only() {
    let records = ["203.0.113.1", "10.1.2.8"].map(|address| at("example.com.", address, 60));
    let listed = ruleset(&[], Some(&["example.com:443"]));
    assert_eq!(
        seen(listed, "example.com.", &records),
        (vec!["203.0.113.1".into()], vec!["Listed(0) 203.0.113.1 360".into()])
    );
    let both = ruleset(&["example.com:8443"], Some(&["example.com:443"]));
    let (_, granted) = seen(both, "example.com.", &records);
    assert_eq!(granted, ["Excepted(0) 203.0.113.1 360", "Listed(0) 203.0.113.1 360", "Excepted(0) 10.1.2.8 360"]);
}

#[test]
fn an_address_that_is_excepted_by_itself_may_have_a_name() {
    let records = ["10.1.2.3", "10.1.2.4", "10.9.0.1"].map(|address| at("x.example.", address, 60));
    let (kept, granted) = seen(ruleset(&["10.1.2.3:22", "10.9.0.0/16:22"], None), "x.example.", &records);
    assert_eq!(kept, ["10.1.2.3", "10.9.0.1"]);
    assert_eq!(granted, NOTHING);
}

#[test]
fn a_lease_grants_for_as_long_as_it_lasts() {
    let records = [at("git.corp.lan.", "10.1.2.8", 60)];
    let lease = "git.corp.lan tcp 443 public";
    let presented = seen_with(ruleset(&[], None), &[lease], "git.corp.lan.", RecordType::A, &records);
    assert_eq!(presented.grants.len(), 1);
    assert!(presented.grants[0].lifetime <= Duration::from_secs(20));
}

#[test]
fn nobody_keeps_an_answer_for_longer_than_its_address_is_open() {
    let records = [at("example.com.", "203.0.113.1", 86_400)];
    let presented = seen_with(ruleset(&[], Some(&["example.com:443"])), &[], "example.com.", RecordType::A, &records);
    assert_eq!(presented.records[0].ttl, 300);
    assert_eq!(presented.grants[0].lifetime, Duration::from_secs(600));
    let public = seen_with(ruleset(&[], None), &[], "example.com.", RecordType::A, &records);
    assert_eq!(public.records[0].ttl, 86_400);
}

#[test]
fn the_asked_name_decides_about_the_end_of_its_aliases() {
    // An alias of a stranger into an excepted name opens nothing.
    let records = [alias("evil.example.", "git.corp.lan.", 60), at("git.corp.lan.", "10.1.2.8", 60)];
    let (kept, granted) = seen(ruleset(&["git.corp.lan:443"], None), "evil.example.", &records);
    assert_eq!((kept, granted), (vec![], vec![]));
    // A listed name may end anywhere in public space.
    let records = [alias("example.com.", "cdn.example.net.", 60), at("cdn.example.net.", "203.0.113.1", 30)];
    let (kept, granted) = seen(ruleset(&[], Some(&["example.com:443"])), "example.com.", &records);
    assert_eq!((kept.len(), granted), (1, vec!["Listed(0) 203.0.113.1 330".to_owned()]));
}

#[test]
fn only_the_chain_from_the_question_is_kept() {
    let soa = SOA::new(name("ns."), name("root."), 1, 2, 3, 4, 60);
    let query = query("a.example.", RecordType::A);
    let mut message = reply(
        &query,
        &[
            at("bank.example.", "203.0.113.66", 60),
            alias("bank.example.", "evil.example.", 60),
            alias("a.example.", "b.example.", 60),
            at("b.example.", "203.0.113.1", 60),
            at("b.example.", "203.0.113.1", 60),
            at("b.example.", "2001:db8::1", 60),
            at("a.example.", "203.0.113.2", 60),
            Record::from_rdata(name("b.example."), 60, RData::TXT(TXT::new(vec!["x".into()]))),
        ],
    );
    message.authorities = vec![
        Record::from_rdata(name("example."), 60, RData::NS(NS(name("ns.evil.example.")))),
        Record::from_rdata(name("example."), 60, RData::SOA(soa)),
        at("bank.example.", "203.0.113.67", 60),
    ];
    message.additionals = vec![at("ns.evil.example.", "203.0.113.68", 60), at("bank.example.", "10.0.0.1", 60)];
    let answer = Answer::from_message(message, &query.queries[0]).unwrap();
    assert_eq!((answer.chain.len(), answer.soa), (1, None));
    let kept: Vec<String> = answer.records.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(kept, ["203.0.113.1"]);
}

#[test]
fn aliases_that_do_not_end_are_no_answer() {
    let circle = [alias("a.", "b.", 60), alias("b.", "c.", 60), alias("c.", "a.", 60)];
    assert_eq!(answer("a.", RecordType::A, &circle), Err(BadAnswer::Aliases));
    assert_eq!(answer("a.", RecordType::A, &[alias("a.", "a.", 60)]), Err(BadAnswer::Aliases));
    let later = [alias("a.", "b.", 60), alias("b.", "c.", 60), alias("c.", "b.", 60)];
    assert_eq!(answer("a.", RecordType::A, &later), Err(BadAnswer::Aliases));
    let long: Vec<Record> = (0..40).map(|at| alias(&format!("n{at}."), &format!("n{}.", at + 1), 60)).collect();
    assert_eq!(answer("n0.", RecordType::A, &long), Err(BadAnswer::Aliases));
}

#[test]
fn lives_are_bounded_on_both_sides() {
    for (ttl, kept) in [(0, 1), (1, 1), (60, 60), (86_401, 86_400), (1 << 31, 86_400), (u32::MAX, 86_400)] {
        assert_eq!(answer("a.", RecordType::A, &[at("a.", "203.0.113.1", ttl)]).unwrap().ttl, kept, "{ttl}");
    }
    assert_eq!(answer("a.", RecordType::A, &[]).unwrap().ttl, 5);
    for (minimum, ttl, kept) in [(60, 30, 30), (30, 60, 30), (0, 60, 1), (1 << 31, 1 << 31, 300)] {
        let query = query("a.example.", RecordType::A);
        let mut message = reply(&query, &[]);
        message.metadata.response_code = ResponseCode::NXDomain;
        let soa = |zone: &str| {
            let soa = SOA::new(name("ns."), name("root."), 1, 2, 3, 4, minimum);
            Record::from_rdata(name(zone), ttl, RData::SOA(soa))
        };
        message.authorities = vec![soa("elsewhere."), soa("example.")];
        let answer = Answer::from_message(message, &query.queries[0]).unwrap();
        assert_eq!((answer.code, answer.ttl), (ResponseCode::NXDomain, kept));
        assert_eq!(answer.soa.unwrap().name, name("example."));
    }
}

#[test]
fn a_thousand_addresses_are_a_few() {
    let records: Vec<Record> =
        (0..1000).map(|number| at("a.", &format!("203.{}.{}.1", number / 250, number % 250), 60)).collect();
    assert_eq!(answer("a.", RecordType::A, &records).unwrap().records.len(), 32);
}

fn service(priority: u16, target: &str, params: Vec<(SvcParamKey, SvcParamValue)>) -> Record {
    let service = HTTPS(SVCB::new(priority, name(target), params));
    Record::from_rdata(name("example.com."), 60, RData::HTTPS(service))
}

fn hints() -> Vec<(SvcParamKey, SvcParamValue)> {
    vec![
        (SvcParamKey::Port, SvcParamValue::Port(443)),
        (SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(vec![A::new(10, 0, 0, 1), A::new(203, 0, 113, 1)]))),
        (SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(vec![AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)]))),
    ]
}

#[test]
fn services_carry_no_addresses_and_lead_to_no_name_that_does_not_resolve() {
    let needy = vec![(SvcParamKey::Mandatory, SvcParamValue::Mandatory(Mandatory(vec![SvcParamKey::Ipv4Hint])))];
    let records = [
        service(1, ".", hints()),
        service(2, "cdn.example.net.", hints()),
        service(0, "printer.local.", vec![]),
        service(3, ".", [needy, hints()].concat()),
    ];
    let texts = |ruleset| {
        let presented = seen_with(ruleset, &[], "example.com.", RecordType::HTTPS, &records);
        presented.records.iter().map(|record| record.data.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(texts(ruleset(&[], None)), ["1 . port=443", "2 cdn.example.net. port=443"]);
    assert_eq!(texts(ruleset(&[], Some(&["example.com:443"]))), ["1 . port=443"]);
}

#[test]
fn other_types_pass() {
    let text = Record::from_rdata(name("example.com."), 60, RData::TXT(TXT::new(vec!["v=spf1 ip4:10.0.0.1".into()])));
    let presented = seen_with(ruleset(&[], None), &[], "example.com.", RecordType::TXT, std::slice::from_ref(&text));
    assert_eq!(presented.records, [text]);
    assert_eq!(addresses(&reply(&query("a.", RecordType::TXT), &presented.records)), NOTHING);
}
