//! Who may ask for which name.

use super::world::{me, name, ruleset};
use crate::policy::Lease;
use crate::policy::ruleset::{Ruleset, Version};
use crate::resolver::decision::{Decision, Rules, View};
use crate::resolver::hosts::Hosts;
use hickory_proto::rr::{Name, RecordType};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn view(ruleset: Ruleset, leases: &[(&str, u64)]) -> (View, Instant) {
    let now = Instant::now();
    let leases = leases.iter().map(|(text, seconds)| {
        let lease: Lease = text.parse().unwrap();
        (lease, now + Duration::from_secs(*seconds))
    });
    let on_link = vec!["198.51.100.0/24".parse().unwrap()];
    let rules = Rules { ruleset: Arc::new(ruleset), version: Version::new([0; 32]), on_link, own: vec![] };
    (View::new(&rules, leases.collect(), Hosts::new()), now)
}

fn decide(view: &(View, Instant), asked: &Name, kind: RecordType) -> String {
    let asker = view.0.asker(me()).unwrap();
    match view.0.decide(asker, asked, kind, view.1) {
        Decision::Loopback => "loopback".to_owned(),
        Decision::Denied(denial) => format!("{denial:?}"),
        Decision::Resolve(scope) => {
            let parts = [("excepted", &scope.excepted), ("listed", &scope.listed), ("leased", &scope.leases)];
            let open: Vec<&str> = parts.iter().filter(|(_, list)| !list.is_empty()).map(|(word, _)| *word).collect();
            if open.is_empty() { "resolve".to_owned() } else { open.join(" ") }
        }
    }
}

#[test]
fn a_public_profile_resolves_every_public_name_and_its_exceptions() {
    let view = view(ruleset(&["git.corp.lan:443", "*.apps.internal:443", "10.1.2.3:22"], None), &[]);
    for (asked, kind, expected) in [
        ("example.com.", RecordType::A, "resolve"),
        ("example.com.", RecordType::TXT, "resolve"),
        ("example.com.", RecordType::HTTPS, "resolve"),
        ("_sip._tcp.example.com.", RecordType::SRV, "resolve"),
        ("git.corp.lan.", RecordType::A, "excepted"),
        ("GIT.Corp.LAN.", RecordType::A, "excepted"),
        ("x.git.corp.lan.", RecordType::A, "resolve"),
        ("git.corp.lan.example.com.", RecordType::A, "resolve"),
        ("a.apps.internal.", RecordType::A, "excepted"),
        ("apps.internal.", RecordType::A, "Private"),
        ("metadata.google.internal.", RecordType::A, "Private"),
        ("printer.local.", RecordType::A, "Private"),
        ("nas.home.arpa.", RecordType::A, "Private"),
        ("fileserver.", RecordType::A, "Private"),
        ("com.", RecordType::NS, "resolve"),
        ("com.", RecordType::A, "Private"),
        ("localhost.", RecordType::A, "loopback"),
        ("a.b.LocalHost.", RecordType::AAAA, "loopback"),
        ("localhost.example.com.", RecordType::A, "resolve"),
        ("x.onion.", RecordType::A, "Special"),
        ("x.invalid.", RecordType::A, "Special"),
        ("_dns.resolver.arpa.", RecordType::SVCB, "Special"),
        ("use-application-dns.net.", RecordType::A, "Special"),
        ("4.3.2.10.in-addr.arpa.", RecordType::PTR, "Private"),
        ("3.2.1.10.in-addr.arpa.", RecordType::PTR, "resolve"),
        ("b._dns-sd._udp.1.168.192.IN-ADDR.arpa.", RecordType::PTR, "Private"),
        ("10.in-addr.arpa.", RecordType::NS, "Private"),
        ("53.67.82.127.in-addr.arpa.", RecordType::PTR, "Private"),
        ("7.100.51.198.in-addr.arpa.", RecordType::PTR, "Private"),
        ("1.1.1.1.in-addr.arpa.", RecordType::PTR, "resolve"),
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.", RecordType::PTR, "Private"),
        ("d.f.ip6.arpa.", RecordType::SOA, "Private"),
        ("8.b.d.0.1.0.0.2.ip6.arpa.", RecordType::PTR, "resolve"),
    ] {
        assert_eq!(decide(&view, &name(asked), kind), expected, "{asked} {kind}");
    }
}

#[test]
fn a_listed_profile_resolves_what_it_lists_and_nothing_that_looks_like_it() {
    let listed: &[&str] = &["example.com:443", "*.example.org:443", "both.net:443", "*.both.net:443"];
    let view = view(ruleset(&["git.corp.lan:22", "10.1.2.3:22"], Some(listed)), &[]);
    for (asked, expected) in [
        ("example.com.", "listed"),
        ("EXAMPLE.com.", "listed"),
        ("www.example.com.", "NotListed"),
        ("example.org.", "NotListed"),
        ("a.example.org.", "listed"),
        ("a.b.c.example.org.", "listed"),
        ("both.net.", "listed"),
        ("a.both.net.", "listed"),
        ("git.corp.lan.", "excepted"),
        ("notexample.com.", "NotListed"),
        ("notexample.org.", "NotListed"),
        ("example.com.evil.net.", "NotListed"),
        ("example.comm.", "NotListed"),
        ("example.co.", "NotListed"),
        ("com.", "NotListed"),
        ("xn--exmple-cua.com.", "NotListed"),
        ("localhost.", "loopback"),
        ("example.com.onion.", "Special"),
        ("1.1.1.1.in-addr.arpa.", "NotListed"),
        ("3.2.1.10.in-addr.arpa.", "resolve"),
        ("4.2.1.10.in-addr.arpa.", "Private"),
        (".", "NotListed"),
    ] {
        assert_eq!(decide(&view, &name(asked), RecordType::A), expected, "{asked}");
    }
}

#[test]
fn bytes_that_other_programs_take_for_something_else_match_nothing() {
    let labels = |parts: &[&[u8]]| Name::from_labels(parts.iter().copied()).unwrap();
    let listed = view(ruleset(&[], Some(&["example.com:443", "*.example.com:443"])), &[]);
    let public = view(ruleset(&["git.corp.lan:443"], None), &[]);
    for (asked, in_listed, in_public) in [
        (labels(&[b"example\0", b"com"]), "Malformed", "Malformed"),
        (labels(&[b"example.com"]), "Malformed", "Malformed"),
        (labels(&[b"a.b", b"example", b"com"]), "Malformed", "Malformed"),
        (labels(&[b"evil\0", b"example", b"com"]), "Malformed", "Malformed"),
        (labels(&[b"a b", b"example", b"com"]), "Malformed", "Malformed"),
        (labels(&[b"a\\046b", b"example", b"com"]), "Malformed", "Malformed"),
        (labels(&[b"a\n", b"example", b"com"]), "Malformed", "Malformed"),
        (labels(&[b"git.corp", b"lan"]), "Malformed", "Malformed"),
        // Latin "é" and Cyrillic "а" as raw UTF-8, which is no host name.
        (labels(&["é".as_bytes(), b"example", b"com"]), "NotListed", "resolve"),
        (labels(&["ex\u{430}mple".as_bytes(), b"com"]), "NotListed", "resolve"),
        (labels(&[b"*", b"example", b"com"]), "NotListed", "resolve"),
        (labels(&[b"-x", b"example", b"com"]), "NotListed", "resolve"),
    ] {
        assert_eq!(decide(&listed, &asked, RecordType::A), in_listed, "{asked}");
        assert_eq!(decide(&public, &asked, RecordType::A), in_public, "{asked}");
    }
}

#[test]
fn the_longest_name_is_a_name() {
    let long = vec!["a".repeat(62); 3].join(".") + "." + &"b".repeat(52) + ".example.com.";
    assert_eq!(name(&long).len(), 254);
    let view = view(ruleset(&[], Some(&["*.example.com:443"])), &[]);
    assert_eq!(decide(&view, &name(&long), RecordType::A), "listed");
}

#[test]
fn a_lease_counts_for_its_holder_and_until_it_ends() {
    let own = format!("git.corp.lan tcp 443 @{}", me());
    let other = format!("other.corp.lan tcp 443 @{}", me() + 1);
    let leases = [
        (own.as_str(), 60),
        (&other, 60),
        ("*.dev.lan tcp 80 public", 60),
        ("old.lan tcp 80 public", 0),
        ("x.lan tcp 80 else", 60),
        ("10.0.0.1 tcp 80 public", 60),
    ];
    let view = view(ruleset(&[], Some(&[])), &leases);
    for (asked, expected) in [
        ("git.corp.lan.", "leased"),
        ("other.corp.lan.", "NotListed"),
        ("a.dev.lan.", "leased"),
        ("dev.lan.", "NotListed"),
        ("old.lan.", "NotListed"),
        ("x.lan.", "NotListed"),
    ] {
        assert_eq!(decide(&view, &name(asked), RecordType::A), expected, "{asked}");
    }
}

#[test]
fn nobody_without_a_profile_is_anybody() {
    let (view, _) = view(ruleset(&[], None), &[]);
    for uid in [0, 1000, me() + 1, u32::MAX].into_iter().filter(|uid| *uid != me()) {
        assert!(view.asker(uid).is_none(), "{uid}");
    }
}
