//! The rules for bridges of container engines. Which profile's rules hold follows from the
//! interface alone; of the sender's addresses only those of a place on the bridge pass, so that
//! whoever is recorded for a packet sent it.
//!
//! A packet passes only where every table lets it: these rules deny, and leave to others (the
//! engine's own, firewalld's) what they deny beyond that. Connection tracking is asked here, and here
//! alone: the engine's address translation needs it anyway.

use super::log;
use super::rules::{self, Class};
use super::sets;
use super::words::{self, DeclaredSet, field, goto, is, is_not, meta, text};
use crate::policy::bridge::{Bridge, MAC_START};
use crate::policy::ruleset::{
    BRIDGE_CANARY, BRIDGE_ON_LINK_CANARY, BRIDGE_PORTS_CANARY, BridgeRules, Ruleset, Version,
};
use nftables::expr::{CT, Expression, MetaKey, NamedExpression, SetItem};
use nftables::schema::NfObject;
use nftables::stmt::{Statement, VerdictMap};
use nftables::types::{NfChainType, NfHook};

/// Before connection tracking (`raw` is -300, nft(8)): what is dropped there fills no table.
const FIRST: i32 = -300;
/// `srcnat`.
const SOURCE_NAT: i32 = 100;
/// On nothing but what goes to [`BRIDGE_PORTS_CANARY`]: "rccb" in ASCII.
const FRAMES_MARK: u32 = 0x7263_6362;
const PREROUTING: &str = "prerouting";
const FORWARD: &str = "forward";
const INPUT: &str = "input";
const POSTROUTING: &str = "postrouting";
const TOWARDS: &str = "towards";
const PLACES_V4: &str = "places4";
const PLACES_V6: &str = "places6";

fn of(stem: &str, bridge: &Bridge) -> String {
    format!("{stem}-{}", bridge.profile)
}

/// Who may be on each bridge.
pub(super) fn sets(ruleset: &Ruleset) -> Vec<DeclaredSet> {
    let pair = |mac, address: String| words::concat(vec![text(format!("{mac}")), text(address)]);
    let sets = ruleset.bridges.iter().flat_map(|BridgeRules { bridge, places }| {
        let v4 = places.iter().map(|place| pair(place.mac, place.v4.to_string())).collect();
        let v6 = places.iter().map(|place| pair(place.mac, place.v6.to_string())).collect();
        [
            words::plain_set(of(PLACES_V4, bridge), vec!["ether_addr", "ipv4_addr"], v4),
            words::plain_set(of(PLACES_V6, bridge), vec!["ether_addr", "ipv6_addr"], v6),
        ]
    });
    sets.collect()
}

/// The sets in which the kernel counts senders.
pub(super) fn meters(ruleset: &Ruleset) -> Vec<String> {
    let of_bridge = |rules: &BridgeRules| {
        let profile = ruleset.profiles.iter().find(|profile| profile.name == rules.bridge.profile);
        let logs = profile.into_iter().flat_map(log::bridge_meters);
        logs.chain([queries_meter(&rules.bridge)]).collect::<Vec<_>>()
    };
    ruleset.bridges.iter().flat_map(of_bridge).collect()
}

fn queries_meter(bridge: &Bridge) -> String {
    of("bridgequeries", bridge)
}

/// Chains, none where there are no bridges.
pub(super) fn chains(ruleset: &Ruleset) -> Vec<NfObject<'static>> {
    if ruleset.bridges.is_empty() {
        return Vec::new();
    }
    let stems = ["place", "placed", "leave", "arrive"];
    let own = ruleset.bridges.iter().flat_map(|rules| stems.map(|stem| words::add_chain(of(stem, &rules.bridge))));
    let mut chains: Vec<_> = own.collect();
    chains.push(words::add_chain(TOWARDS.to_owned()));
    let filter = NfChainType::Filter;
    chains.extend([
        words::add_base_chain(PREROUTING, filter, NfHook::Prerouting, FIRST),
        words::add_base_chain(FORWARD, filter, NfHook::Forward, rules::PRIORITY),
        words::add_base_chain(INPUT, filter, NfHook::Input, rules::PRIORITY),
        words::add_base_chain(POSTROUTING, NfChainType::NAT, NfHook::Postrouting, SOURCE_NAT),
    ]);
    chains
}

/// All rules but those of the table of frames.
pub(super) fn rules(ruleset: &Ruleset, version: Option<&Version>) -> Vec<NfObject<'static>> {
    if ruleset.bridges.is_empty() {
        return Vec::new();
    }
    let all = || words::one_of(ruleset.bridges.iter().map(|rules| text(rules.bridge.interface())).collect());
    let mut rules = Vec::new();
    for BridgeRules { bridge, .. } in &ruleset.bridges {
        rules.extend(place_rules(bridge));
        rules.extend(placed_rules(bridge, version));
        // No exception leads from one sandbox to another, and none to other bridges of ours.
        let neighbour = vec![is(meta(MetaKey::Oifname), all()), goto(Class::OnLink.counter(&bridge.profile))];
        rules.push(words::add_rule(&of("leave", bridge), neighbour));
        rules.push(words::add_rule(&of("leave", bridge), vec![goto(rules::profile_chain(&bridge.profile))]));
        rules.extend(arrive_rules(bridge));
    }
    rules.extend(towards_rules());
    let dispatch = |chain: &str, stem: &str| words::add_rule(chain, vec![by_interface(ruleset, stem)]);
    rules.push(dispatch(PREROUTING, "place"));
    rules.push(dispatch(FORWARD, "leave"));
    rules.push(words::add_rule(FORWARD, vec![is(meta(MetaKey::Oifname), all()), goto(TOWARDS.to_owned())]));
    rules.push(dispatch(INPUT, "arrive"));
    for BridgeRules { bridge, .. } in &ruleset.bridges {
        // The host answers at its addresses on the bridge to who is on it, and to itself.
        let others = || is_not(meta(MetaKey::Iifname), text("lo"));
        let v4 = is(field("ip", "daddr"), text(bridge.gateway_v4().to_string()));
        let v6 = is(field("ip6", "daddr"), text(bridge.gateway_v6().to_string()));
        rules.push(words::add_rule(INPUT, vec![others(), v4, words::drop()]));
        rules.push(words::add_rule(INPUT, vec![others(), v6, words::drop()]));
        for (protocol, net) in [("ip", bridge.v4.into()), ("ip6", bridge.v6.into())] {
            let ours = is(field(protocol, "saddr"), words::net(&net));
            let out = is_not(meta(MetaKey::Oifname), all());
            rules.push(words::add_rule(POSTROUTING, vec![ours, out, Statement::Masquerade(None)]));
        }
    }
    rules.push(words::add_rule(rules::OUTPUT, vec![is(meta(MetaKey::Oifname), all()), goto(TOWARDS.to_owned())]));
    rules
}

/// Goes to a chain of the bridge that a packet comes from.
fn by_interface(ruleset: &Ruleset, stem: &str) -> Statement<'static> {
    let entry = |rules: &BridgeRules| {
        let chain = Expression::Verdict(words::goes_to(of(stem, &rules.bridge)));
        SetItem::Mapping(text(rules.bridge.interface()), chain)
    };
    let data = Expression::Named(NamedExpression::Set(ruleset.bridges.iter().map(entry).collect()));
    Statement::VerdictMap(VerdictMap { key: meta(MetaKey::Iifname), data })
}

/// Neighbour discovery (RFC 4861, 7.1): never from behind a router.
fn discovery() -> Vec<Statement<'static>> {
    let kinds = words::one_of(vec![text("nd-neighbor-solicit"), text("nd-neighbor-advert")]);
    let near = is(field("ip6", "hoplimit"), Expression::Number(255));
    vec![is(field("icmpv6", "type"), kinds), near, words::accept()]
}

/// Only who has the addresses of a place gets further.
fn place_rules(bridge: &Bridge) -> Vec<NfObject<'static>> {
    let chain = of("place", bridge);
    let placed = |protocol: &'static str, set: &str| {
        let sender = words::concat(vec![field("ether", "saddr"), field(protocol, "saddr")]);
        words::add_rule(&chain, vec![words::is_in(sender, &of(set, bridge)), goto(of("placed", bridge))])
    };
    vec![
        placed("ip", PLACES_V4),
        placed("ip6", PLACES_V6),
        words::add_rule(&chain, discovery()),
        words::add_rule(&chain, vec![words::drop()]),
    ]
}

/// What tells a sandbox that these rules are in force, wherever the host's routes lead: a reset to who
/// knocks at the right ports of an address that no router takes, and silence at all others.
fn placed_rules(bridge: &Bridge, version: Option<&Version>) -> Vec<NfObject<'static>> {
    let chain = of("placed", bridge);
    let to = |address: std::net::Ipv4Addr| is(field("ip", "daddr"), text(address.to_string()));
    let knock = |ports| is(field("tcp", "dport"), ports);
    let ports = canary_ports(bridge, version);
    let on_link = text(format!("@{}", sets::ON_LINK_PORTS));
    vec![
        words::add_rule(&chain, vec![to(BRIDGE_CANARY), knock(ports), words::reset()]),
        words::add_rule(&chain, vec![to(BRIDGE_CANARY), words::drop()]),
        words::add_rule(&chain, vec![to(BRIDGE_ON_LINK_CANARY), knock(on_link), words::reset()]),
        words::add_rule(&chain, vec![to(BRIDGE_ON_LINK_CANARY), words::drop()]),
        // The table of frames marks those that knock at the right ports. If it is gone, nobody answers.
        words::add_rule(
            &chain,
            vec![to(BRIDGE_PORTS_CANARY), is(meta(MetaKey::Mark), Expression::Number(FRAMES_MARK)), words::reset()],
        ),
        words::add_rule(&chain, vec![to(BRIDGE_PORTS_CANARY), words::drop()]),
    ]
}

fn canary_ports(bridge: &Bridge, version: Option<&Version>) -> Expression<'static> {
    let ports = version.map_or([0; 4], |version| version.canary(&bridge.profile).ports);
    words::one_of(ports.map(|port| Expression::Number(port.into())).to_vec())
}

/// What of the host is reached: its resolver, and what the profile opens.
fn arrive_rules(bridge: &Bridge) -> Vec<NfObject<'static>> {
    let chain = of("arrive", bridge);
    let resolver = || {
        let transport = is(meta(MetaKey::L4proto), words::one_of(vec![text("tcp"), text("udp")]));
        let address = is(field("ip", "daddr"), text(bridge.gateway_v4().to_string()));
        // RFC 1035, 4.2: both over port 53.
        vec![address, transport, is(field("th", "dport"), Expression::Number(53))]
    };
    let too_many = rules::too_many_queries(queries_meter(bridge), field("ip", "saddr"));
    vec![
        words::add_rule(&chain, discovery()),
        words::add_rule(&chain, [resolver(), vec![too_many, words::drop()]].concat()),
        words::add_rule(&chain, [resolver(), vec![words::count(of(rules::DNS, bridge)), words::accept()]].concat()),
        words::add_rule(&chain, vec![goto(rules::profile_chain(&bridge.profile))]),
    ]
}

/// Nothing but replies goes to a sandbox, whoever sends it: and of the host's own, what finds neighbours,
/// and what its canaries answer, which connection tracking never saw.
fn towards_rules() -> Vec<NfObject<'static>> {
    let ct = |key: &'static str| Expression::Named(NamedExpression::CT(CT { key: key.into(), ..CT::default() }));
    let replies = is(ct("direction"), text("reply"));
    let known = is(ct("state"), words::one_of(vec![text("established"), text("related")]));
    let canaries =
        [BRIDGE_CANARY, BRIDGE_ON_LINK_CANARY, BRIDGE_PORTS_CANARY].map(|address| text(address.to_string())).to_vec();
    let canary = is(field("ip", "saddr"), words::one_of(canaries));
    vec![
        words::add_rule(TOWARDS, vec![replies, known, words::accept()]),
        words::add_rule(TOWARDS, vec![canary, words::accept()]),
        words::add_rule(TOWARDS, discovery()),
        words::add_rule(TOWARDS, vec![words::drop()]),
    ]
}

/// The table of frames: packets between two ports of a bridge never get to where packets are routed, and
/// nothing of theirs is to get across, of whatever protocol. They are known by their hardware addresses,
/// since few kernels can tell the bridge (`NFT_BRIDGE_META`).
pub(super) fn frames(ruleset: &Ruleset, version: Option<&Version>) -> Vec<NfObject<'static>> {
    if ruleset.bridges.is_empty() {
        return Vec::new();
    }
    let mut objects = words::replaced_frames();
    objects.extend([
        words::add_frames_chain(FORWARD, NfHook::Forward, FIRST),
        words::add_frames_chain(PREROUTING, NfHook::Prerouting, FIRST),
    ]);
    let between = |which| words::add_frames_rule(FORWARD, vec![words::mac_starts(which, &MAC_START), words::drop()]);
    objects.extend(["saddr", "daddr"].map(between));
    objects.extend(ruleset.bridges.iter().map(|BridgeRules { bridge, .. }| {
        let from = words::mac_starts("saddr", &bridge.mac_start());
        let to = is(field("ip", "daddr"), text(BRIDGE_PORTS_CANARY.to_string()));
        let knock = is(field("tcp", "dport"), canary_ports(bridge, version));
        words::add_frames_rule(PREROUTING, vec![from, to, knock, words::mark(FRAMES_MARK)])
    }));
    objects
}
