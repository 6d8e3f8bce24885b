//! The chains of the table and the rules in them.

use super::bridges;
use super::held::{self, Contents, NameKind, Shape};
use super::log;
use super::sets::{self, Family};
use super::words::{self, count, field, goto, is, is_in, meta, text};
use crate::policy::ProfileName;
use crate::policy::bridge::Bridge;
use crate::policy::ruleset::{CANARY, ON_LINK_CANARY, ProfileRules, RESOLVER, Ruleset, Version};
use nftables::expr::{Expression, MetaKey, NamedExpression, SetItem};
use nftables::schema::NfObject;
use nftables::stmt::{Limit, Meter, RejectType, Statement, VerdictMap};
use nftables::types::RejectCode;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a packet was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// To the host itself by any of its addresses, to broadcast or multicast.
    Host,
    /// To a range that is private by address.
    Private,
    /// To a directly connected prefix.
    OnLink,
    /// Into a VPN.
    Vpn,
    /// To a public address that is not of an allowed name.
    Unlisted,
}

impl Class {
    /// Those of a profile, in the order in which they are tried.
    pub fn of(profile: &ProfileRules) -> &'static [Self] {
        const ALL: [Class; 5] = [Class::Host, Class::Private, Class::OnLink, Class::Vpn, Class::Unlisted];
        if profile.listed.is_some() { &ALL } else { &ALL[..4] }
    }

    /// Without '-', so that the names of chains stay apart.
    fn stem(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Private => "private",
            Self::OnLink => "onlink",
            Self::Vpn => "vpn",
            Self::Unlisted => "unlisted",
        }
    }

    /// The name of the counter and of the chain of this class.
    pub fn counter(self, profile: &ProfileName) -> String {
        format!("{}-{profile}", self.stem())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Host => "host",
            Self::Private => "private",
            Self::OnLink => "on-link",
            Self::Vpn => "vpn",
            Self::Unlisted => "unlisted",
        })
    }
}

/// Stems of the counters of what passes in a profile.
pub fn passed(profile: &ProfileRules) -> [&'static str; 4] {
    [DNS, EXCEPTION, LEASE, if profile.listed.is_some() { LISTED } else { PUBLIC }]
}

pub(super) const DNS: &str = "dns";
const EXCEPTION: &str = "exception";
const LEASE: &str = "lease";
const LISTED: &str = "listed";
const PUBLIC: &str = "public";

const DENY: &str = "deny";
pub(super) const OUTPUT: &str = "output";
/// Just before the usual filter chains (`filter` is 0, nft(8)), so that their logs and counters
/// do not see what we deny.
pub(super) const PRIORITY: i32 = -10;
const ON_LINK_CANARY_CHAIN: &str = "canary_onlink";
/// Queries of one identity that get to the resolver each second, and at once after a pause. It answers a
/// hundred thousand from one core, and takes in some times as many.
const QUERIES_RATE: u32 = 5_000;
const QUERIES_BURST: u32 = 2_000;
/// Discard (RFC 863): where the probes knock.
pub const PROBE_PORT: u16 = 9;

/// A name for a chain or counter of one profile. No stem has a '-', so no two of them meet.
fn of(stem: &str, profile: &ProfileRules) -> String {
    format!("{stem}-{}", profile.name)
}

/// The chain that an identity of this profile is sent to.
pub fn profile_chain(profile: &ProfileName) -> String {
    format!("profile-{profile}")
}

/// The chain that answers to the canary's address.
pub fn canary_chain(profile: &ProfileName) -> String {
    format!("canary-{profile}")
}

/// Whether a chain is the canary of some profile.
pub fn is_canary_chain(chain: &str) -> bool {
    chain.starts_with("canary-")
}

/// Everything that rules refer to.
pub(super) fn chains(ruleset: &Ruleset, version: Option<&Version>) -> Vec<NfObject<'static>> {
    let mut objects = vec![words::add_chain(ON_LINK_CANARY_CHAIN.to_owned())];
    for profile in &ruleset.profiles {
        let classes = || Class::of(profile).iter().map(|class| class.counter(&profile.name));
        objects.extend(passed(profile).map(|stem| words::add_counter(of(stem, profile))));
        objects.extend(classes().map(words::add_counter));
        let chains = [profile_chain(&profile.name), canary_chain(&profile.name), of(DENY, profile)];
        objects.extend(chains.into_iter().chain(classes()).map(words::add_chain));
        objects.extend(named_sets(profile, version).map(|(_, _, set)| words::add_chain(set)));
    }
    objects.push(words::add_output_chain(OUTPUT, PRIORITY));
    objects.extend(bridges::chains(ruleset));
    objects
}

/// Every set of addresses of names, which has a chain of the same name for what it accepts.
fn named_sets(profile: &ProfileRules, version: Option<&Version>) -> impl Iterator<Item = (Contents, Family, String)> {
    let contents = NameKind::ALL.into_iter().flat_map(|kind| held::names(kind, profile));
    contents
        .flat_map(move |contents| Family::BOTH.map(|family| (contents.clone(), family, contents.set(family, version))))
}

/// All rules. Without a version the canary's ports are 0, which nothing can knock at.
pub(super) fn rules(ruleset: &Ruleset, version: Option<&Version>) -> Vec<NfObject<'static>> {
    let [ports, control] = [sets::ON_LINK_PORTS, sets::ON_LINK_CONTROL].map(|set| text(format!("@{set}")));
    let mut rules = canary_rules(ON_LINK_CANARY_CHAIN, ports, control);
    for profile in &ruleset.profiles {
        let canary = version.map(|version| version.canary(&profile.name));
        let ports = canary.map_or([0; 4], |canary| canary.ports).map(|port| Expression::Number(port.into()));
        let control = Expression::Number(canary.map_or(0, |canary| canary.control).into());
        rules.extend(canary_rules(&canary_chain(&profile.name), words::one_of(ports.to_vec()), control));
        rules.extend(profile_rules(profile, ruleset, version));
        rules.extend(
            named_sets(profile, version)
                .flat_map(|(contents, family, set)| renewing_rules(profile, &contents, family, &set)),
        );
        let bridge = ruleset.bridges.iter().map(|rules| &rules.bridge).find(|bridge| bridge.profile == profile.name);
        rules.extend(Class::of(profile).iter().flat_map(|class| class_rules(*class, profile, bridge)));
        rules.extend(deny_rules(profile));
    }
    rules.extend(dispatch(ruleset));
    rules.extend(resolver_rules());
    rules.extend(bridges::rules(ruleset, version));
    rules
}

/// Who is not sent to a profile's chain is no sandbox, and the resolver is none of its business.
/// Its own answers come from there but do not go there.
fn resolver_rules() -> [NfObject<'static>; 2] {
    let resolver = || is(field("ip", "daddr"), text(RESOLVER.to_string()));
    // Only SYN: the last words of a sandbox's connection may come from no socket any more.
    [
        words::add_rule(OUTPUT, vec![resolver(), words::is_syn(), words::reset()]),
        words::add_rule(OUTPUT, vec![resolver(), is(meta(MetaKey::L4proto), text("udp")), words::drop()]),
    ]
}

/// Which chain an identity's packets go to. Without identities there is nothing to dispatch.
fn dispatch(ruleset: &Ruleset) -> Option<NfObject<'static>> {
    let entries: Vec<SetItem<'static>> = ruleset
        .profiles
        .iter()
        .flat_map(|profile| {
            let chain = move || Expression::Verdict(words::goes_to(profile_chain(&profile.name)));
            profile.identities.iter().map(move |range| SetItem::Mapping(words::identities(*range), chain()))
        })
        .collect();
    let data = Expression::Named(NamedExpression::Set(entries.clone()));
    let dispatch = Statement::VerdictMap(VerdictMap { key: meta(MetaKey::Skuid), data });
    (!entries.is_empty()).then(|| words::add_rule(OUTPUT, vec![dispatch]))
}

/// A datagram to the canary's ports is dropped, which its sender is told at once (EPERM), and an
/// empty one to the control port passes. No ICMP is involved: the kernel limits how much of that
/// it sends (`icmp_msgs_per_sec`), so that a flood of denials could silence the canary.
fn canary_rules(chain: &str, ports: Expression<'static>, control: Expression<'static>) -> Vec<NfObject<'static>> {
    // The length of an empty datagram is that of its header (RFC 768).
    let empty = is(field("udp", "length"), Expression::Number(8));
    vec![
        words::add_rule(chain, vec![is(field("udp", "dport"), ports), words::drop()]),
        words::add_rule(chain, vec![is(field("udp", "dport"), control), empty, words::accept()]),
        words::add_rule(chain, vec![is(meta(MetaKey::L4proto), text("tcp")), words::reset()]),
        words::add_rule(chain, vec![words::drop()]),
    ]
}

/// One profile from the most specific to the general. There is no rule for replies: nothing
/// listens under an identity, and a stranger's unasked datagram must not open a way back to it.
/// Nothing asks connection tracking either: it would be switched on for the whole host, and its
/// table is of a size that one sandbox can fill.
fn profile_rules(profile: &ProfileRules, ruleset: &Ruleset, version: Option<&Version>) -> Vec<NfObject<'static>> {
    let chain = profile_chain(&profile.name);
    let rule = |statements| words::add_rule(&chain, statements);
    let pass = |stem: &str| [count(of(stem, profile)), words::accept()];
    let deny = |class: Class| goto(class.counter(&profile.name));
    let exception = |kind: &str| {
        Family::BOTH.map(|family| {
            let [count, accept] = pass(EXCEPTION);
            rule(vec![is_in(key(Shape::Opening, family), &family.profile_set(kind, profile)), count, accept])
        })
    };
    let denied = |kind: &str, class| {
        Family::BOTH.map(|family| rule(vec![is_in(destination(family), &family.set(kind)), deny(class)]))
    };
    let named = |kind| {
        let sets = named_sets(profile, version)
            .filter(move |(contents, ..)| matches!(contents, Contents::Names { kind: of, .. } if *of == kind));
        sets.map(|(contents, family, set)| {
            let ports = class_ports(profile, &contents).map(|ports| is(words::concat(port_key().to_vec()), ports));
            let found = is_in(key(contents.shape(), family), &set);
            rule(ports.into_iter().chain([found, goto(set)]).collect())
        })
    };

    let mut rules = vec![
        rule(vec![is(destination(Family::V4), text(CANARY.to_string())), goto(canary_chain(&profile.name))]),
        rule(vec![
            is(destination(Family::V4), text(ON_LINK_CANARY.to_string())),
            goto(ON_LINK_CANARY_CHAIN.to_owned()),
        ]),
    ];
    let transport = is(meta(MetaKey::L4proto), words::one_of(vec![text("tcp"), text("udp")]));
    // RFC 1035, 4.2: both over port 53.
    let port = is(field("th", "dport"), Expression::Number(53));
    let resolver = || [is(destination(Family::V4), text(RESOLVER.to_string())), transport.clone(), port.clone()];
    rules.push(rule(
        resolver()
            .into_iter()
            .chain([too_many_queries(queries_meter(&profile.name), meta(MetaKey::Skuid)), words::drop()])
            .collect(),
    ));
    rules.push(rule(resolver().into_iter().chain(pass(DNS)).collect()));
    rules.extend(exception(sets::HOST));
    let host = ["local", "broadcast", "anycast", "multicast"].map(text).to_vec();
    rules.push(rule(vec![is(words::destination_type(), words::one_of(host)), deny(Class::Host)]));
    rules.extend(exception(sets::PREFIX));
    // From here on somebody's answer or a lease decides, and these stay shut for both.
    rules.extend(denied(sets::NEVER, Class::Private));
    rules.extend(leases(profile).map(|(contents, family)| {
        let [count, accept] = pass(LEASE);
        rule(vec![is_in(key(contents.shape(), family), &contents.set(family, None)), count, accept])
    }));
    rules.extend(named(NameKind::Excepted));
    rules.extend(denied(sets::DENIED, Class::Private));
    rules.extend(denied(sets::ON_LINK, Class::OnLink));
    for pattern in &ruleset.vpn_interfaces {
        // A stem of full length (IFNAMSIZ - 1) already is one name; nft refuses a '*' after it.
        let name = if pattern.as_str().len() > 15 { pattern.as_str().trim_end_matches('*') } else { pattern.as_str() };
        rules.push(rule(vec![is(meta(MetaKey::Oifname), text(name)), deny(Class::Vpn)]));
    }
    rules.extend(named(NameKind::Listed));
    let rest = if profile.listed.is_some() { vec![deny(Class::Unlisted)] } else { pass(PUBLIC).to_vec() };
    rules.push(rule(rest));
    rules
}

/// All sandboxes share one queue to the resolver. What one of them sends beyond any use never gets into it.
pub(super) fn too_many_queries(meter: String, key: Expression<'static>) -> Statement<'static> {
    let limit = Limit { inv: Some(true), ..packets(QUERIES_RATE, QUERIES_BURST) };
    Statement::Meter(Meter { name: meter.into(), key, stmt: Box::new(Statement::Limit(limit)) })
}

/// The set in which the kernel counts the queries of each identity: newer nft lists it as a set.
pub(super) fn queries_meter(profile: &ProfileName) -> String {
    format!("queries-{profile}")
}

fn destination(family: Family) -> Expression<'static> {
    match family {
        Family::V4 => field("ip", "daddr"),
        Family::V6 => field("ip6", "daddr"),
    }
}

/// What of a packet is looked for in a set of this shape.
fn key(shape: Shape, family: Family) -> Expression<'static> {
    let address = [destination(family)].into_iter();
    match shape {
        Shape::Address => destination(family),
        Shape::Opening => words::concat(address.chain(port_key()).collect()),
        Shape::Session => words::concat([meta(MetaKey::Skuid)].into_iter().chain(address).chain(port_key()).collect()),
    }
}

fn port_key() -> [Expression<'static>; 2] {
    [meta(MetaKey::L4proto), field("th", "dport")]
}

/// The sets of leases that hold for a profile, its sessions' own included.
fn leases(profile: &ProfileRules) -> impl Iterator<Item = (Contents, Family)> {
    let all = [Some(profile.name.clone()), None]
        .into_iter()
        .flat_map(|holder| [Contents::Leases(holder.clone()), Contents::Leased(holder)]);
    all.flat_map(|contents| Family::BOTH.map(|family| (contents.clone(), family)))
}

/// The ports of a set of addresses, if its elements do not have them.
fn class_ports(profile: &ProfileRules, contents: &Contents) -> Option<Expression<'static>> {
    let Contents::Names { kind, class: Some(class), .. } = contents else { return None };
    let ports = kind.rules(profile)?.classes.get(*class)?.iter();
    let each = ports.map(|(transport, ports)| words::concat(vec![text(transport.as_str()), words::ports(*ports)]));
    Some(words::one_of(each.collect()))
}

/// What a packet to the address of a name meets: a flow that is alive keeps its address alive.
/// The first packet of a connection does not, so that knocking alone keeps nothing.
fn renewing_rules(profile: &ProfileRules, contents: &Contents, family: Family, set: &str) -> Vec<NfObject<'static>> {
    let renew = || words::renew(key(contents.shape(), family), set);
    let stem = if matches!(contents, Contents::Names { kind: NameKind::Listed, .. }) { LISTED } else { EXCEPTION };
    vec![
        words::add_rule(set, vec![words::is_no_syn(), renew()]),
        words::add_rule(set, vec![is(meta(MetaKey::L4proto), text("udp")), renew()]),
        words::add_rule(set, vec![count(of(stem, profile)), words::accept()]),
    ]
}

/// Probes are denied like everything else but neither counted nor logged nor answered: they come
/// several times a second from every guard. Only they leave by `lo` for an address that is not
/// local.
fn class_rules(class: Class, profile: &ProfileRules, bridge: Option<&Bridge>) -> Vec<NfObject<'static>> {
    let chain = class.counter(&profile.name);
    let probe = vec![
        is(meta(MetaKey::Oifname), text("lo")),
        is(field("udp", "dport"), Expression::Number(PROBE_PORT.into())),
        words::drop(),
    ];
    let mut rules =
        vec![words::add_rule(&chain, probe), words::add_rule(&chain, log::statements(class, &profile.name))];
    // What comes from a bridge has no socket here, and so no uid.
    let logs = bridge.into_iter().flat_map(|bridge| log::bridge_statements(class, bridge));
    rules.extend(logs.map(|statements| words::add_rule(&chain, statements)));
    rules.push(words::add_rule(&chain, vec![count(chain.clone()), goto(of(DENY, profile))]));
    rules
}

/// TCP gets a reset, because an ICMPv6 reject does not reach a local TCP socket. What is rejected
/// with ICMP is limited far below what the kernel sends at most for the whole machine (1000 a
/// second by default, ip-sysctl.rst); the sender learns of a silent drop just as fast.
fn deny_rules(profile: &ProfileRules) -> Vec<NfObject<'static>> {
    let chain = of(DENY, profile);
    let prohibited = words::reject(RejectType::ICMPX, Some(RejectCode::AdminProhibited));
    vec![
        words::add_rule(&chain, vec![is(meta(MetaKey::L4proto), text("tcp")), words::reset()]),
        words::add_rule(&chain, vec![limit(10, 20), prohibited]),
        words::add_rule(&chain, vec![words::drop()]),
    ]
}

/// So many packets a second, after a burst.
pub(super) fn limit(rate: u32, burst: u32) -> Statement<'static> {
    Statement::Limit(packets(rate, burst))
}

fn packets(rate: u32, burst: u32) -> Limit<'static> {
    Limit { rate, rate_unit: None, per: Some("second".into()), burst: Some(burst), burst_unit: None, inv: None }
}
