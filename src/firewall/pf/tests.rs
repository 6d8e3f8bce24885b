use super::loaded::{Loaded, Reference, holds, token};
use super::*;
use crate::firewall::golden::{assert_golden, policy};
use crate::policy::ruleset::Transport;
use crate::policy::{DomainName, Listed, NamePattern, Policy, Ports, Reach};
use std::net::IpAddr;

fn ruleset() -> Ruleset {
    Ruleset::from(&policy())
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn surroundings() -> Surroundings {
    let network = |profile: &str, interface: &str, subnets: &[&str]| Network {
        profile: ProfileName::new(profile).unwrap(),
        interface: InterfaceName::new(interface).unwrap(),
        subnets: subnets.iter().map(|text| net(text)).collect(),
    };
    let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    Surroundings {
        shared: Shared {
            on_link: vec![net("203.0.113.0/24"), net("2001:db8:1::/64")],
            own: addresses(&["203.0.113.9", "2001:db8:1::9"]),
            resolvers: ["192.168.1.1:53", "[2001:db8::53]:53"].map(|text| text.parse().unwrap()).to_vec(),
        },
        names: [(DomainName::new("git.corp.lan").unwrap(), addresses(&["10.7.7.7", "fd00::7"]))].into(),
        networks: vec![
            network("public", "bridge100", &["192.168.64.0/24", "fd12:3456:789a:1::/64"]),
            network("my-work", "bridge101", &["192.168.65.0/24"]),
        ],
        vpn: vec![net("198.18.0.0/15"), net("8.8.4.0/24")],
    }
}

fn anchor() -> Anchor {
    Anchor::new(&ruleset(), &surroundings())
}

/// What becomes of a packet by the first rule that matches, as pf decides by `quick`.
fn verdict(anchor: &Anchor, interface: &str, from: &str, to: &str, transport: Transport, port: u16) -> Action {
    let [from, to] = [from, to].map(|text| text.parse::<IpAddr>().unwrap());
    let matches = |rule: &&Rule| {
        rule.interface.as_str() == interface
            && (rule.protocol == Protocol::Any || rule.protocol == Protocol::Transport(transport))
            && rule.from.is_none_or(|net| net.contains(&from))
            && rule.to.is_none_or(|net| net.contains(&to))
            && rule.ports.is_none_or(|ports| (ports.first()..=ports.last()).contains(&port))
    };
    anchor.rules.iter().find(matches).map_or(Action::Pass, |rule| rule.action)
}

#[test]
fn the_anchor_is_as_it_was() {
    assert_golden("pf.conf", &anchor().text());
}

#[test]
fn a_sandbox_reaches_what_its_profile_opens_and_nothing_private() {
    let anchor = anchor();
    let tcp = |interface, from, to, port| verdict(&anchor, interface, from, to, Transport::Tcp, port);
    let public = |to, port| tcp("bridge100", "192.168.64.2", to, port);
    let work = |to, port| tcp("bridge101", "192.168.65.2", to, port);
    for (to, port) in [("1.1.1.1", 443), ("192.168.1.1", 53)] {
        assert_eq!(public(to, port), Action::Pass, "{to}");
    }
    for to in [
        "10.0.0.5",
        "192.168.1.1",
        "192.168.64.1",
        "192.168.65.2",
        "203.0.113.9",
        "203.0.113.77",
        "8.8.4.4",
        "127.0.0.1",
        "255.255.255.255",
    ] {
        assert_eq!(public(to, 443), Action::Reset, "{to}");
        assert_eq!(verdict(&anchor, "bridge100", "192.168.64.2", to, Transport::Udp, 443), Action::Drop, "{to}");
    }
    assert_eq!(work("10.0.0.5", 443), Action::Pass);
    assert_eq!(work("10.0.0.5", 80), Action::Reset);
    assert_eq!(work("10.7.7.7", 22), Action::Pass);
    assert_eq!(work("192.168.64.2", 9000), Action::Reset);
    let v6 = |to| tcp("bridge100", "fd12:3456:789a:1::2", to, 443);
    assert_eq!(v6("2606:4700::1111"), Action::Pass);
    for to in ["fd00::5", "2001:db8:1::77", "fe80::1", "::1", "fd12:3456:789a:1::1"] {
        assert_eq!(v6(to), Action::Reset, "{to}");
    }
}

#[test]
fn a_profile_that_lists_names_reaches_their_addresses_and_no_resolver() {
    let listed = Listed {
        pattern: NamePattern::new("example.com").unwrap(),
        ports: Ports::new(vec!["443".parse().unwrap()]).unwrap(),
        protocol: crate::policy::Protocol::Tcp,
    };
    let mut policy = policy();
    policy.profiles[0].reach = Reach::Listed(vec![listed]);
    let mut surroundings = surroundings();
    let unanswered = Anchor::new(&Ruleset::from(&policy), &surroundings);
    surroundings.names.insert(DomainName::new("example.com").unwrap(), vec!["1.1.1.1".parse().unwrap()]);
    let answered = Anchor::new(&Ruleset::from(&policy), &surroundings);
    let public = |anchor, to, port| verdict(anchor, "bridge100", "192.168.64.2", to, Transport::Tcp, port);
    assert_eq!((public(&unanswered, "1.1.1.1", 443), public(&answered, "1.1.1.1", 443)), (Action::Reset, Action::Pass));
    for (to, port) in [("1.1.1.1", 80), ("1.0.0.1", 443), ("192.168.1.1", 53)] {
        assert_eq!(public(&answered, to, port), Action::Reset, "{to}");
    }
}

#[test]
fn a_source_that_is_not_the_networks_reaches_nothing() {
    let anchor = anchor();
    for from in ["192.168.65.2", "8.8.8.8", "0.0.0.0", "fd00::1", "fe80::2"] {
        let to = if from.contains(':') { "2606:4700::1111" } else { "1.1.1.1" };
        assert_eq!(verdict(&anchor, "bridge100", from, to, Transport::Tcp, 443), Action::Reset, "{from}");
    }
}

#[test]
fn an_exception_never_opens_the_host_or_another_sandbox() {
    let mut surroundings = surroundings();
    surroundings.shared.own.push("192.168.10.1".parse().unwrap());
    let name = DomainName::new("git.corp.lan").unwrap();
    surroundings.names.insert(name, vec!["203.0.113.9".parse().unwrap(), "192.168.64.2".parse().unwrap()]);
    let anchor = Anchor::new(&ruleset(), &surroundings);
    let udp = |to| verdict(&anchor, "bridge101", "192.168.65.2", to, Transport::Udp, 9000);
    assert_eq!((udp("192.168.10.2"), udp("192.168.10.1")), (Action::Pass, Action::Drop));
    for to in ["203.0.113.9", "192.168.64.2"] {
        assert_eq!(verdict(&anchor, "bridge101", "192.168.65.2", to, Transport::Tcp, 22), Action::Reset, "{to}");
    }
}

#[test]
fn a_vpn_that_takes_the_default_route_leaves_nothing() {
    let surroundings = Surroundings { vpn: vec![net("0.0.0.0/0")], ..surroundings() };
    let anchor = Anchor::new(&ruleset(), &surroundings);
    assert_eq!(verdict(&anchor, "bridge100", "192.168.64.2", "1.1.1.1", Transport::Tcp, 443), Action::Reset);
}

#[test]
fn a_network_of_a_profile_that_is_gone_reaches_nothing() {
    let mut surroundings = surroundings();
    surroundings.networks[0].profile = ProfileName::new("gone").unwrap();
    let anchor = Anchor::new(&ruleset(), &surroundings);
    assert_eq!(verdict(&anchor, "bridge100", "192.168.64.2", "1.1.1.1", Transport::Tcp, 443), Action::Reset);
}

#[test]
fn without_a_sandbox_no_packet_of_anybody_meets_a_rule() {
    let anchor = Anchor::new(&ruleset(), &Surroundings { networks: vec![], ..surroundings() });
    assert_eq!(anchor.rules.len(), 1);
    let mark = &anchor.rules[0];
    assert_eq!((mark.interface.as_str(), mark.from), ("lo0", Some(net("127.82.67.67/32"))));
    assert!(anchor.rules.iter().all(|rule| rule.interface.as_str() != "bridge100"));
}

#[test]
fn every_line_is_one_rule_of_ours_and_nothing_else() {
    for line in anchor().text().lines() {
        assert!(line.starts_with("pass in quick on ") || line.starts_with("block "), "{line}");
        assert!(line.contains(" quick on ") && line.ends_with(&format!(" label \"{}\"", anchor().label)), "{line}");
        assert!(line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{line}");
    }
    assert!(anchor().label.to_string().len() <= 63);
}

#[test]
fn the_version_is_the_configurations_and_the_label_tells_the_rest() {
    let other = |change: &dyn Fn(&mut Policy)| {
        let mut policy = policy();
        change(&mut policy);
        version(&Ruleset::from(&policy))
    };
    assert_eq!(other(&|_| {}), version(&ruleset()));
    assert_ne!(other(&|policy| policy.private.clear()), version(&ruleset()));
    assert_ne!(other(&|policy| policy.vpn_interfaces.clear()), version(&ruleset()));
    assert_ne!(other(&|policy| drop(policy.profiles[1].exceptions.pop())), version(&ruleset()));
    let elsewhere = Anchor::new(&ruleset(), &Surroundings::default());
    assert!(elsewhere.label.is_version(&version(&ruleset())) && elsewhere.label != anchor().label);
}

/// What pfctl lists for an anchor: like its text, in other words.
fn listed(anchor: &Anchor) -> String {
    anchor.text().replace(" port ", " port = ").replace("/32", "")
}

#[test]
fn the_label_counts_only_while_every_rule_has_it() {
    let anchor = anchor();
    let list = listed(&anchor);
    let loaded = Loaded::parse(&list);
    assert_eq!(loaded.label(), Some(&anchor.label));
    assert_eq!(loaded.sources, ["192.168.64.0/24", "192.168.65.0/24", "fd12:3456:789a:1::/64"].map(net));
    let lines: Vec<&str> = list.lines().collect();
    let foreign = "pass in quick on bridge100 all flags S/SA keep state";
    for changed in [
        lines[1..].join("\n"),
        [&lines[..], &[foreign]].concat().join("\n"),
        [&lines[..], &lines[..1]].concat().join("\n"),
    ] {
        assert_eq!(Loaded::parse(&changed).label(), None);
    }
    assert!(Loaded::parse("").is_empty());
}

#[test]
fn labels_of_others_are_not_ours() {
    for text in ["", "rcc", "rcc:1:2:3", "mullvad", "rcc:zzzzzzzzzzzzzzzzzzzzzzzz:000000000000000000000000:1"] {
        assert_eq!(Label::parse(text), None, "{text}");
    }
    let label = anchor().label;
    assert_eq!(Label::parse(&label.to_string()), Some(label));
}

#[test]
fn the_reference_is_found_in_the_main_ruleset() {
    let stock = "scrub-anchor \"com.apple/*\" all fragment reassemble\nanchor \"com.apple/*\" all\n";
    let ours = "anchor \"rcc\" all\n";
    assert_eq!(Reference::parse(stock), Reference::Absent);
    assert_eq!(Reference::parse(&format!("{stock}{ours}")), Reference::Behind);
    let (scrub, rest) = stock.split_at(stock.find("anchor \"com.apple/*\" all\n").unwrap());
    assert_eq!(Reference::parse(&format!("{scrub}{ours}{rest}")), Reference::First);
    assert_eq!(Reference::parse("anchor \"rcc\" on en0 all\nanchor \"rcc/x\" all\n"), Reference::Absent);
}

#[test]
fn tokens_are_read_and_found_again() {
    assert_eq!(
        token("No ALTQ support in kernel\npf enabled\nToken : 9988776655443322110\n"),
        Some(9_988_776_655_443_322_110)
    );
    assert_eq!(token("pfctl: pf already enabled\n"), None);
    let list = "TOKENS:\nPID      Process Name                 TOKEN                    TIMESTAMP\n\
                412      rcc                          9988776655443322110      0 days 00:00:42\n";
    assert!(holds(list, 9_988_776_655_443_322_110) && !holds(list, 412) && !holds(list, 998_877));
}
