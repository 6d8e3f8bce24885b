use super::*;
use crate::policy::{Exception, Listed, PortRange, Ports, ProfileName};

fn ports(text: &str) -> Ports {
    Ports::new(text.split(',').map(|range| range.parse().unwrap()).collect()).unwrap()
}

fn exception(target: &str, on: &str, protocol: Protocol) -> Exception {
    let target = match target.parse::<IpNet>() {
        Ok(net) => Target::Address(net),
        Err(_) => Target::Domain(target.parse().unwrap()),
    };
    Exception { target, ports: ports(on), protocol }
}

/// Exceptions, in this order: 0 a host, 1 a prefix, 2 a name, 3 names below one, 4 metadata.
fn profile(reach: Reach) -> Profile {
    let exceptions = vec![
        exception("10.1.2.3/32", "443", Protocol::Tcp),
        exception("10.20.0.0/16", "5432", Protocol::Tcp),
        exception("git.corp.lan", "22,443", Protocol::Any),
        exception("*.svc.corp.lan", "8000-8100", Protocol::Udp),
        exception("169.254.169.254/32", "80", Protocol::Tcp),
    ];
    Profile { name: ProfileName::new("test").unwrap(), exceptions, reach }
}

fn listing() -> Reach {
    let listed = |name: &str| Listed { pattern: name.parse().unwrap(), ports: ports("443"), protocol: Protocol::Tcp };
    Reach::Listed(vec![listed("example.com"), listed("*.example.org")])
}

fn policy(profile: Profile) -> Policy {
    Policy {
        profiles: vec![profile],
        users: vec![],
        private: vec!["203.0.113.0/24".parse().unwrap()],
        vpn_interfaces: vec!["wg*".parse().unwrap(), "tun0".parse().unwrap()],
        bridging: None,
    }
}

fn leases() -> Vec<Lease> {
    ["10.9.9.9 tcp 80-81 test", "*.lease.lan tcp 443 test", "10.9.9.9 tcp 90 other", "10.9.9.9 tcp 91 @7"]
        .map(|text| text.parse().unwrap())
        .into()
}

/// The rule that decides about `ADDRESS TRANSPORT PORT`.
fn rule(reach: Reach, text: &str, place: &Place) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let (policy, leases) = (policy(profile(reach)), leases());
    let transport = if words[1] == "udp" { Transport::Udp } else { Transport::Tcp };
    let port = words[2].parse::<PortRange>().unwrap().first();
    let question = Question { policy: &policy, profile: &policy.profiles[0], leases: &leases, transport, port };
    let outcome = match words[0].parse() {
        Ok(address) => question.outcome(None, To::Address(address, place)),
        Err(_) => {
            let name = words[0].parse().unwrap();
            let to = |to| format!("{:?}", question.outcome(Some(&name), to));
            return match question.of_name(&name) {
                Some(outcome) => format!("{outcome:?}"),
                None => format!("{} / {}", to(To::Public), to(To::Private)),
            };
        }
    };
    assert_eq!(outcome.is_allowed(), !matches!(place_of(&outcome), 'd'), "{outcome:?}");
    format!("{outcome:?}")
}

fn place_of(outcome: &Outcome) -> char {
    match outcome {
        Outcome::Exception { .. } | Outcome::Lease { .. } | Outcome::Listed { .. } | Outcome::Public => 'a',
        _ => 'd',
    }
}

#[test]
fn every_form_of_private_space_is_named_with_the_range_that_denies_it() {
    for (address, net) in [
        ("10.0.0.1", "10.0.0.0/8"),
        ("172.31.255.255", "172.16.0.0/12"),
        ("192.168.1.1", "192.168.0.0/16"),
        ("100.64.0.1", "100.64.0.0/10"),
        ("198.18.0.1", "198.18.0.0/15"),
        ("fd12::1", "fc00::/7"),
        ("64:ff9b::10.0.0.1", "64:ff9b::a00:0/104"),
    ] {
        let denied = rule(Reach::Public, &format!("{address} tcp 443"), &Place::default());
        assert_eq!(denied, format!("Private {{ net: Some({net}) }}"), "{address}");
    }
    for (address, net) in [
        ("169.254.1.2", "169.254.0.0/16"),
        ("100.100.100.200", "100.100.100.200/32"),
        ("168.63.129.16", "168.63.129.16/32"),
        ("0.0.0.0", "0.0.0.0/8"),
        ("224.0.0.251", "224.0.0.0/3"),
        ("255.255.255.255", "224.0.0.0/3"),
        ("::ffff:10.0.0.1", "::ffff:0.0.0.0/96"),
        ("::ffff:1.1.1.1", "::ffff:0.0.0.0/96"),
        ("64:ff9b::169.254.169.254", "64:ff9b::a9fe:0/112"),
        ("64:ff9b:1::1", "64:ff9b:1::/48"),
        ("2002:a00:1::1", "2002::/16"),
        ("2001::1", "2001::/32"),
        ("fe80::1", "fe80::/9"),
        ("fd00:ec2::254", "fd00:ec2::/32"),
        ("ff02::1", "ff00::/8"),
    ] {
        let denied = rule(Reach::Public, &format!("{address} tcp 443"), &Place::default());
        assert_eq!(denied, format!("Never {{ net: {net} }}"), "{address}");
    }
    for address in ["127.0.0.1", "127.82.67.53", "::1"] {
        assert_eq!(rule(Reach::Public, &format!("{address} tcp 443"), &Place::default()), "Loopback");
    }
}

#[test]
fn what_is_private_here_though_its_address_is_public_is_told_apart() {
    let place = |host, on_link: Option<&str>, interface: Option<&str>| Place {
        host,
        on_link: on_link.map(|net| net.parse().unwrap()),
        interface: interface.map(str::to_owned),
    };
    for (asked, place, outcome) in [
        ("203.0.113.7 tcp 443", place(false, None, None), "Declared { net: 203.0.113.0/24 }"),
        ("64:ff9b::203.0.113.7 tcp 443", place(false, None, None), "Declared { net: 203.0.113.0/24 }"),
        ("1.2.3.4 tcp 443", place(true, Some("1.2.3.0/24"), None), "Host"),
        ("1.2.3.5 tcp 443", place(false, Some("1.2.3.0/24"), Some("eth0")), "OnLink { net: 1.2.3.0/24 }"),
        ("2001:db8::1 tcp 443", place(false, Some("2001:db8::/64"), None), "OnLink { net: 2001:db8::/64 }"),
        (
            "8.8.8.8 tcp 443",
            place(false, None, Some("wg3")),
            "Vpn { pattern: InterfacePattern(\"wg*\"), interface: \"wg3\" }",
        ),
        ("8.8.8.8 tcp 443", place(false, None, Some("tun01")), "Public"),
        ("8.8.8.8 udp 53", place(false, None, Some("eth0")), "Public"),
    ] {
        assert_eq!(rule(Reach::Public, asked, &place), outcome, "{asked}");
    }
}

#[test]
fn exceptions_and_leases_open_their_ports_and_nothing_else() {
    let denied = |range: &str| format!("Private {{ net: Some({range}) }}");
    for (asked, outcome) in [
        ("10.1.2.3 tcp 443", "Exception { at: 0 }".to_owned()),
        ("10.1.2.3 udp 443", denied("10.0.0.0/8")),
        ("10.1.2.3 tcp 444", denied("10.0.0.0/8")),
        ("10.1.2.4 tcp 443", denied("10.0.0.0/8")),
        ("10.20.255.1 tcp 5432", "Exception { at: 1 }".to_owned()),
        ("169.254.169.254 tcp 80", "Exception { at: 4 }".to_owned()),
        ("10.9.9.9 tcp 80", "Lease { at: 0 }".to_owned()),
        ("10.9.9.9 tcp 81", "Lease { at: 0 }".to_owned()),
        ("10.9.9.9 udp 80", denied("10.0.0.0/8")),
        // Somebody else's leases.
        ("10.9.9.9 tcp 90", denied("10.0.0.0/8")),
        ("10.9.9.9 tcp 91", denied("10.0.0.0/8")),
    ] {
        assert_eq!(rule(Reach::Public, asked, &Place::default()), outcome, "{asked}");
    }
    // A prefix never opens the host itself, a single address may.
    let host = Place { host: true, ..Place::default() };
    assert_eq!(rule(Reach::Public, "10.20.0.1 tcp 5432", &host), "Host");
    assert_eq!(rule(Reach::Public, "10.1.2.3 tcp 443", &host), "Exception { at: 0 }");
    assert_eq!(rule(Reach::Public, "10.9.9.9 tcp 80", &host), "Host");
}

#[test]
fn a_name_is_explained_for_public_and_for_private_answers() {
    for (asked, public, listed) in [
        ("example.com tcp 443", "Public / Private { net: None }", "Listed { at: 0 } / Private { net: None }"),
        ("example.com tcp 80", "Public / Private { net: None }", "Unlisted / Private { net: None }"),
        ("a.b.example.org tcp 443", "Public / Private { net: None }", "Listed { at: 1 } / Private { net: None }"),
        ("example.org tcp 443", "Public / Private { net: None }", "Unlisted"),
        (
            "git.corp.lan tcp 22",
            "Exception { at: 2 } / Exception { at: 2 }",
            "Exception { at: 2 } / Exception { at: 2 }",
        ),
        ("git.corp.lan tcp 23", "Public / Private { net: None }", "Unlisted / Private { net: None }"),
        (
            "a.svc.corp.lan udp 8080",
            "Exception { at: 3 } / Exception { at: 3 }",
            "Exception { at: 3 } / Exception { at: 3 }",
        ),
        ("x.lease.lan tcp 443", "Lease { at: 1 } / Lease { at: 1 }", "Lease { at: 1 } / Lease { at: 1 }"),
        ("printer tcp 80", "LocalName", "Unlisted"),
        ("metadata.google.internal tcp 80", "LocalName", "Unlisted"),
        ("nas.local tcp 80", "LocalName", "Unlisted"),
        ("localhost tcp 80", "Loopback", "Loopback"),
        ("x.localhost tcp 80", "Loopback", "Loopback"),
        ("x.onion tcp 80", "NoName", "NoName"),
        ("dns.resolver.arpa tcp 80", "NoName", "NoName"),
        ("use-application-dns.net tcp 80", "NoName", "NoName"),
    ] {
        assert_eq!(rule(Reach::Public, asked, &Place::default()), public, "{asked}");
        assert_eq!(rule(listing(), asked, &Place::default()), listed, "{asked}");
    }
}

#[test]
fn a_listed_profile_reaches_no_address_that_was_not_answered() {
    assert_eq!(rule(listing(), "1.1.1.1 tcp 443", &Place::default()), "Unlisted");
    assert_eq!(rule(listing(), "10.1.2.3 tcp 443", &Place::default()), "Exception { at: 0 }");
    let policy = policy(profile(listing()));
    let question =
        Question { policy: &policy, profile: &policy.profiles[0], leases: &[], transport: Transport::Tcp, port: 443 };
    let name = "example.com".parse().unwrap();
    let at = |address: &str| question.outcome(Some(&name), To::Address(address.parse().unwrap(), &Place::default()));
    assert_eq!(at("1.1.1.1"), Outcome::Listed { at: 0 });
    assert_eq!(at("10.0.0.1"), Outcome::Private { net: Some("10.0.0.0/8".parse().unwrap()) });
}

#[test]
fn no_name_and_no_lease_opens_what_trusts_its_callers() {
    let policy =
        policy(Profile { exceptions: vec![exception("evil.example", "80", Protocol::Tcp)], ..profile(Reach::Public) });
    let leases: Vec<Lease> = ["169.254.1.2 tcp 80 test".parse().unwrap()].into();
    let question = Question {
        policy: &policy,
        profile: &policy.profiles[0],
        leases: &leases,
        transport: Transport::Tcp,
        port: 80,
    };
    let name = "evil.example".parse().unwrap();
    let host = Place { host: true, ..Place::default() };
    for (address, place) in
        [("169.254.1.2", Place::default()), ("fd00:ec2::254", Place::default()), ("192.168.1.1", host)]
    {
        let outcome = question.outcome(Some(&name), To::Address(address.parse().unwrap(), &place));
        assert!(!outcome.is_allowed(), "{address} {outcome:?}");
    }
    let other = question.outcome(Some(&name), To::Address("192.168.1.2".parse().unwrap(), &Place::default()));
    assert_eq!(other, Outcome::Exception { at: 0 });
}
