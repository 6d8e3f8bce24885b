//! What `rcc why` says of a name is what the resolver does with it.

use super::world::me;
use crate::policy::explain::{Outcome, Question};
use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use crate::policy::ruleset::{Ruleset, Transport, Version};
use crate::policy::{
    DomainName, Exception, Lease, Listed, Policy, Ports, Profile, ProfileName, Protocol, Reach, Target,
};
use crate::resolver::hosts::Hosts;
use crate::resolver::{Asker, Decision, Denial, Rules, View};
use hickory_proto::rr::{Name, RecordType};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NAMES: [&str; 20] = [
    "example.com",
    "a.example.com",
    "b.a.example.com",
    "example.org",
    "com",
    "printer",
    "git.corp.lan",
    "corp.lan",
    "x.local",
    "metadata.google.internal",
    "internal",
    "home.arpa",
    "nas.home.arpa",
    "localhost",
    "a.localhost",
    "x.onion",
    "x.alt",
    "dns.resolver.arpa",
    "use-application-dns.net",
    "a.use-application-dns.net",
];

fn pattern() -> impl Strategy<Value = String> {
    (prop::sample::select(NAMES.to_vec()), any::<bool>())
        .prop_map(|(name, below)| if below { format!("*.{name}") } else { name.to_owned() })
}

fn words(decision: &Decision) -> &'static str {
    match decision {
        Decision::Loopback => "loopback",
        Decision::Denied(Denial::NotListed) => "unlisted",
        Decision::Denied(Denial::Private) => "local",
        Decision::Denied(Denial::Special | Denial::Malformed) => "none",
        Decision::Resolve(_) => "resolves",
    }
}

fn said(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        None => "resolves",
        Some(Outcome::Loopback) => "loopback",
        Some(Outcome::Unlisted) => "unlisted",
        Some(Outcome::LocalName) => "local",
        Some(Outcome::NoName) => "none",
        Some(other) => panic!("{other:?} is about no name"),
    }
}

proptest! {
    #[test]
    fn an_explanation_of_a_name_is_the_resolvers_decision(
        excepted in proptest::collection::vec(pattern(), 0..3),
        listed in proptest::option::of(proptest::collection::vec(pattern(), 0..3)),
        leased in proptest::collection::vec(pattern(), 0..2),
        asked in prop::sample::select(NAMES.to_vec()),
    ) {
        let ports = Ports::new(vec!["443".parse().unwrap()]).unwrap();
        let exception = |text: &String| Exception {
            target: Target::Domain(text.parse().unwrap()), ports: ports.clone(), protocol: Protocol::Tcp,
        };
        let list = |text: &String| Listed { pattern: text.parse().unwrap(), ports: ports.clone(), protocol: Protocol::Tcp };
        let profile = Profile {
            name: ProfileName::public(),
            exceptions: excepted.iter().map(exception).collect(),
            reach: listed.as_ref().map_or(Reach::Public, |names| Reach::Listed(names.iter().map(list).collect())),
        };
        let users = vec![UserRange::new(me(), BLOCK_START, RANGE_LENGTH).unwrap()];
        let policy = Policy { profiles: vec![profile], users, private: vec![], vpn_interfaces: vec![], bridging: None };
        let leases: Vec<Lease> = leased.iter().map(|text| format!("{text} tcp 443 public").parse().unwrap()).collect();

        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        let ruleset = Arc::new(Ruleset::from(&policy));
        let rules = Rules { ruleset, version: Version::new([0; 32]), on_link: vec![], own: vec![] };
        let view = View::new(&rules, leases.iter().map(|lease| (lease.clone(), now + hour)).collect(), Hosts::new());
        let asker = Asker { identity: BLOCK_START, profile: 0 };
        let decision = view.decide(asker, &Name::from_ascii(format!("{asked}.")).unwrap(), RecordType::A, now);

        let question =
            Question { policy: &policy, profile: &policy.profiles[0], leases: &leases, transport: Transport::Tcp, port: 443 };
        let outcome = question.of_name(&asked.parse::<DomainName>().unwrap());
        prop_assert_eq!(said(outcome), words(&decision));
    }
}
