//! The same profiles for sandboxes behind bridges, whose packets are forwarded and belong to no socket of the host's:
//! one bridge for each profile, and its chain by the interface that a packet comes in on.

use super::rules::profile_chain;
use super::sets::Family;
use super::words::{self, field, goto, is, meta, text};
use crate::policy::ProfileName;
use crate::policy::Surroundings;
use crate::policy::ruleset::{ProfileRules, Ruleset};
use nftables::expr::{Expression, MetaKey, NamedExpression, SetItem};
use nftables::schema::NfObject;
use nftables::stmt::{Statement, VerdictMap};
use nftables::types::{NfChainType, NfHook};

const FORWARD: &str = "forward";
const INPUT: &str = "input";
/// What IPv6 needs of the neighbour on a link: solicitations of routers and of neighbours, and advertisements of
/// neighbours (RFC 4861, 4).
const NEIGHBOURS: [u32; 3] = [133, 135, 136];
/// Of a packet that no router has passed on (RFC 4861, 7.1).
const FROM_THE_LINK: u32 = 255;
/// RFC 1035, 4.2: both over port 53.
const DNS: u32 = 53;

/// The bridge of the profile at this position of [`Ruleset::profiles`].
pub fn bridge(position: usize) -> String {
    format!("rcc{position}")
}

/// The chain that packets from a profile's bridge are sent to. No other name begins so.
fn chain(profile: &ProfileName) -> String {
    format!("bridge-{profile}")
}

/// Chains and rules, for a table that has the profiles' own. `priority` is that of both hooks.
pub(super) fn objects(ruleset: &Ruleset, surroundings: &Surroundings, priority: i32) -> Vec<NfObject<'static>> {
    let mut objects: Vec<NfObject<'static>> =
        ruleset.profiles.iter().map(|profile| words::add_chain(chain(&profile.name))).collect();
    objects.push(words::add_base_chain(FORWARD, NfChainType::Filter, NfHook::Forward, priority));
    objects.push(words::add_base_chain(INPUT, NfChainType::Filter, NfHook::Input, priority));
    for profile in &ruleset.profiles {
        objects.extend(of_profile(profile, surroundings));
    }
    objects.push(words::add_rule(FORWARD, vec![dispatch(ruleset)]));
    // A sandbox is answered, and nobody begins to speak to one.
    let leaves = || is(meta(MetaKey::Oifname), bridges(ruleset));
    objects.push(words::add_rule(FORWARD, vec![leaves(), words::is_reply(), words::accept()]));
    objects.push(words::add_rule(FORWARD, vec![leaves(), words::drop()]));
    let kinds = words::one_of(NEIGHBOURS.map(Expression::Number).to_vec());
    let neighbour = vec![
        is(meta(MetaKey::Iifname), bridges(ruleset)),
        is(field("icmpv6", "type"), kinds),
        is(field("ip6", "hoplimit"), Expression::Number(FROM_THE_LINK)),
        words::accept(),
    ];
    objects.push(words::add_rule(INPUT, neighbour));
    objects.push(words::add_rule(INPUT, vec![dispatch(ruleset)]));
    objects
}

/// The host's resolvers answer for every name: whoever may reach listed names alone could send through them what it
/// likes.
fn of_profile(profile: &ProfileRules, surroundings: &Surroundings) -> Vec<NfObject<'static>> {
    let name = chain(&profile.name);
    let resolvers = surroundings.resolvers.iter().map(|resolver| resolver.ip());
    let reachable = resolvers.filter(|address| profile.listed.is_none() && !address.is_loopback());
    let dns = reachable.map(|address| {
        let protocol = if Family::of(&address) == Family::V4 { "ip" } else { "ip6" };
        let transport = is(meta(MetaKey::L4proto), words::one_of(vec![text("tcp"), text("udp")]));
        let port = is(field("th", "dport"), Expression::Number(DNS));
        let to = is(field(protocol, "daddr"), text(address.to_string()));
        words::add_rule(&name, vec![to, transport, port, words::accept()])
    });
    dns.chain([words::add_rule(&name, vec![goto(profile_chain(&profile.name))])]).collect()
}

fn bridges(ruleset: &Ruleset) -> Expression<'static> {
    words::one_of((0..ruleset.profiles.len()).map(|position| text(bridge(position))).collect())
}

fn dispatch(ruleset: &Ruleset) -> Statement<'static> {
    let entry = |(position, profile): (usize, &ProfileRules)| {
        let chain = Expression::Verdict(words::goes_to(chain(&profile.name)));
        SetItem::Mapping(text(bridge(position)), chain)
    };
    let entries = ruleset.profiles.iter().enumerate().map(entry).collect();
    let data = Expression::Named(NamedExpression::Set(entries));
    Statement::VerdictMap(VerdictMap { key: meta(MetaKey::Iifname), data })
}
