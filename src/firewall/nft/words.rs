//! The few words of nftables' JSON (libnftables-json(5)) that the rules are made of.

use nftables::expr::{
    BinaryOperation, CT, Elem, Expression, Fib, FibFlag, FibResult, Meta, MetaKey, NamedExpression, Payload,
    PayloadField, Prefix, Range, SetItem, Verdict,
};
use nftables::schema;
use nftables::schema::{Chain, Counter, FlushObject, NfCmd, NfListObject, NfObject, Rule, Set, SetFlag, Table};
use nftables::stmt::{self, JumpTarget, Match, Operator, Statement};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook, RejectCode};

use crate::policy::PortRange;
use crate::policy::ruleset::{ADDRESS_LIFETIME, IdentityRange, Opening};
use ipnet::IpNet;
use serde::Serialize;
use std::collections::HashSet;
use std::time::Duration;

/// The name of our table, in the family `inet`.
pub const TABLE: &str = "rcc";
const FAMILY: NfFamily = NfFamily::INet;

pub(super) fn table() -> NfListObject<'static> {
    NfListObject::Table(Table { family: FAMILY, name: TABLE.into(), handle: None })
}

fn add(object: NfListObject<'static>) -> NfObject<'static> {
    NfObject::CmdObject(NfCmd::Add(object))
}

/// A named set. The crate's own has no type `uid`, keeps flags in an order that differs from run
/// to run, and writes what an element does not have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct DeclaredSet {
    family: NfFamily,
    table: &'static str,
    pub(super) name: String,
    #[serde(rename = "type")]
    key: Key,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<SetFlag>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    elem: Vec<Element>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Key {
    Single(&'static str),
    Concatenated(Vec<&'static str>),
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Element {
    /// For good.
    Plain(Expression<'static>),
    /// For a while.
    Timed { elem: Timed },
}

/// The parts of an element that ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Timed {
    val: Expression<'static>,
    /// Seconds.
    timeout: u64,
    comment: String,
}

/// One command of a transaction.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Command {
    /// As the crate has it.
    Other(Box<NfObject<'static>>),
    /// `add set`, with its elements.
    Declare { add: Named },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Named {
    set: DeclaredSet,
}

impl From<NfObject<'static>> for Command {
    fn from(object: NfObject<'static>) -> Self {
        Self::Other(Box::new(object))
    }
}

pub(super) fn add_set(set: DeclaredSet) -> Command {
    Command::Declare { add: Named { set } }
}

pub(super) fn flush_set(set: &DeclaredSet) -> NfObject<'static> {
    let set = Set { family: FAMILY, table: TABLE.into(), name: set.name.clone().into(), ..Set::default() };
    NfObject::CmdObject(NfCmd::Flush(FlushObject::Set(Box::new(set))))
}

/// Nothing for a set without elements.
pub(super) fn add_elements(set: DeclaredSet) -> Option<NfObject<'static>> {
    let plain = set.elem.into_iter().filter_map(|element| match element {
        Element::Plain(expression) => Some(expression),
        Element::Timed { .. } => None,
    });
    let elem: Vec<Expression<'static>> = plain.collect();
    let element =
        || schema::Element { family: FAMILY, table: TABLE.into(), name: set.name.into(), elem: elem.clone().into() };
    (!elem.is_empty()).then(|| add(NfListObject::Element(element())))
}

/// A set of intervals of one type or of a concatenation of types.
pub(super) fn interval_set(name: String, types: Vec<&'static str>, elements: Vec<Expression<'static>>) -> DeclaredSet {
    let elem = elements.into_iter().map(Element::Plain).collect();
    DeclaredSet { elem, flags: vec![SetFlag::Interval], ..declared(name, types) }
}

/// A set of single elements that stay.
pub(super) fn plain_set(name: String, types: Vec<&'static str>, elements: Vec<Expression<'static>>) -> DeclaredSet {
    DeclaredSet { elem: elements.into_iter().map(Element::Plain).collect(), ..declared(name, types) }
}

/// A hash set of at most `size` elements, which end after the longest life of an address unless
/// they say otherwise. A rule may renew them.
pub(super) fn timed_set(name: String, types: Vec<&'static str>, size: u32, elem: Vec<Element>) -> DeclaredSet {
    let flags = vec![SetFlag::Timeout];
    let timeout = Some(ADDRESS_LIFETIME.as_secs());
    DeclaredSet { elem, flags, timeout, size: Some(size), ..declared(name, types) }
}

fn declared(name: String, types: Vec<&'static str>) -> DeclaredSet {
    let (flags, elem) = (Vec::new(), Vec::new());
    let key = if let [single] = types[..] { Key::Single(single) } else { Key::Concatenated(types) };
    DeclaredSet { family: FAMILY, table: TABLE, name, key, flags, elem, timeout: None, size: None }
}

/// An element that ends after so many whole seconds.
pub(super) fn timed(mut key: Vec<Expression<'static>>, remaining: Duration, comment: &str) -> Element {
    let val = if key.len() == 1 { key.remove(0) } else { concat(key) };
    Element::Timed { elem: Timed { val, timeout: remaining.as_secs(), comment: comment.to_owned() } }
}

/// Sets the life of the element that a packet meets back to the longest.
pub(super) fn renew(key: Expression<'static>, set: &str) -> Statement<'static> {
    let timeout = u32::try_from(ADDRESS_LIFETIME.as_secs()).ok();
    let elem = Expression::Named(NamedExpression::Elem(Elem { val: Box::new(key), timeout, ..Elem::default() }));
    Statement::Set(stmt::Set { op: stmt::SetOp::Update, elem, set: format!("@{set}").into() })
}

/// A chain that others go to.
pub(super) fn add_chain(name: String) -> NfObject<'static> {
    add(NfListObject::Chain(Chain { family: FAMILY, table: TABLE.into(), name: name.into(), ..Chain::default() }))
}

/// The chain that sees every packet that a process of the host sends.
pub(super) fn add_output_chain(name: &'static str, priority: i32) -> NfObject<'static> {
    add_base_chain(name, NfChainType::Filter, NfHook::Output, priority)
}

/// A chain that packets come to by themselves.
pub(super) fn add_base_chain(name: &'static str, kind: NfChainType, hook: NfHook, priority: i32) -> NfObject<'static> {
    add(NfListObject::Chain(base_chain(FAMILY, name, kind, hook, priority)))
}

fn base_chain(family: NfFamily, name: &'static str, kind: NfChainType, hook: NfHook, priority: i32) -> Chain<'static> {
    Chain {
        family,
        table: TABLE.into(),
        name: name.into(),
        _type: Some(kind),
        hook: Some(hook),
        prio: Some(priority),
        policy: Some(NfChainPolicy::Accept),
        ..Chain::default()
    }
}

/// The table of the family `bridge`, which sees frames.
fn frames() -> NfListObject<'static> {
    NfListObject::Table(Table { family: NfFamily::Bridge, name: TABLE.into(), handle: None })
}

/// An empty table of frames, whether there was one or not.
pub(super) fn replaced_frames() -> Vec<NfObject<'static>> {
    [NfCmd::Add(frames()), NfCmd::Delete(frames()), NfCmd::Add(frames())].map(NfObject::CmdObject).to_vec()
}

/// No table of frames, whether there was one or not.
pub(super) fn no_frames() -> [NfObject<'static>; 2] {
    // Deleting what is absent is an error, adding what is present is not.
    [NfCmd::Add(frames()), NfCmd::Delete(frames())].map(NfObject::CmdObject)
}

/// A chain that frames come to by themselves.
pub(super) fn add_frames_chain(name: &'static str, hook: NfHook, priority: i32) -> NfObject<'static> {
    add(NfListObject::Chain(base_chain(NfFamily::Bridge, name, NfChainType::Filter, hook, priority)))
}

/// A rule for frames.
pub(super) fn add_frames_rule(chain: &'static str, expr: Vec<Statement<'static>>) -> NfObject<'static> {
    add(NfListObject::Rule(Rule {
        family: NfFamily::Bridge,
        table: TABLE.into(),
        chain: chain.into(),
        expr: expr.into(),
        ..Rule::default()
    }))
}

/// Whether the first octets of a frame's address are these.
pub(super) fn mac_starts(which: &'static str, start: &[u8]) -> Statement<'static> {
    let octets = |of: &dyn Fn(usize) -> u8| (0..6).map(|at| format!("{:02x}", of(at))).collect::<Vec<_>>().join(":");
    let mask = octets(&|at| if at < start.len() { 0xff } else { 0 });
    let wanted = octets(&|at| start.get(at).copied().unwrap_or_default());
    let masked = BinaryOperation::AND(field("ether", which), text(mask));
    is(Expression::BinaryOperation(Box::new(masked)), text(wanted))
}

/// Marks the packet, as long as it is on this machine.
pub(super) fn mark(value: u32) -> Statement<'static> {
    Statement::Mangle(stmt::Mangle { key: meta(MetaKey::Mark), value: Expression::Number(value) })
}

/// Whether a rule is in the table of packets.
pub(super) fn is_of_packets(rule: &Rule<'_>) -> bool {
    rule.family == FAMILY
}

pub(super) fn add_counter(name: String) -> NfObject<'static> {
    let (packets, bytes, handle) = (Some(0), Some(0), None);
    add(NfListObject::Counter(Counter {
        family: FAMILY,
        table: TABLE.into(),
        name: name.into(),
        handle,
        packets,
        bytes,
    }))
}

pub(super) fn add_rule(chain: &str, expr: Vec<Statement<'static>>) -> NfObject<'static> {
    add(NfListObject::Rule(Rule {
        family: FAMILY,
        table: TABLE.into(),
        chain: chain.to_owned().into(),
        expr: expr.into(),
        ..Rule::default()
    }))
}

pub(super) fn text(text: impl Into<String>) -> Expression<'static> {
    Expression::String(text.into().into())
}

pub(super) fn net(net: &IpNet) -> Expression<'static> {
    let address = text(net.addr().to_string());
    if net.prefix_len() == net.max_prefix_len() {
        return address;
    }
    Expression::Named(NamedExpression::Prefix(Prefix { addr: Box::new(address), len: net.prefix_len().into() }))
}

fn range(first: u32, last: u32) -> Expression<'static> {
    let [first, last] = [first, last].map(Expression::Number);
    if first == last { first } else { Expression::Range(Box::new(Range { range: [first, last] })) }
}

pub(super) fn ports(ports: PortRange) -> Expression<'static> {
    range(ports.first().into(), ports.last().into())
}

pub(super) fn identities(identities: IdentityRange) -> Expression<'static> {
    range(identities.first, identities.last)
}

pub(super) fn opening(opening: &Opening) -> Expression<'static> {
    concat(vec![net(&opening.net), text(opening.transport.as_str()), ports(opening.ports)])
}

pub(super) fn concat(parts: Vec<Expression<'static>>) -> Expression<'static> {
    Expression::Named(NamedExpression::Concat(parts))
}

pub(super) fn one_of(members: Vec<Expression<'static>>) -> Expression<'static> {
    Expression::Named(NamedExpression::Set(members.into_iter().map(SetItem::Element).collect()))
}

pub(super) fn field(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField { protocol: protocol.into(), field: field.into() };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

pub(super) fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

/// The kernel's own opinion of the destination: local, broadcast, multicast, ...
pub(super) fn destination_type() -> Expression<'static> {
    let flags = HashSet::from([FibFlag::Daddr]);
    Expression::Named(NamedExpression::Fib(Fib { result: FibResult::Type, flags }))
}

pub(super) fn is(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op: Operator::EQ })
}

pub(super) fn is_not(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op: Operator::NEQ })
}

/// A segment of a TCP connection that is open or was: the kernel sends no other without SYN from
/// a socket, and those who have sockets only can send none themselves.
pub(super) fn is_no_syn() -> Statement<'static> {
    let flag = BinaryOperation::AND(field("tcp", "flags"), text("syn"));
    is(Expression::BinaryOperation(Box::new(flag)), Expression::Number(0))
}

/// A segment that asks for a connection.
pub(super) fn is_syn() -> Statement<'static> {
    let flag = BinaryOperation::AND(field("tcp", "flags"), text("syn"));
    is(Expression::BinaryOperation(Box::new(flag)), text("syn"))
}

/// A packet of a flow that the other side has begun.
pub(super) fn is_reply() -> Statement<'static> {
    let direction = CT { key: "direction".into(), family: None, dir: None };
    is(Expression::Named(NamedExpression::CT(direction)), text("reply"))
}

/// Whether the left side is in a named set.
pub(super) fn is_in(left: Expression<'static>, set: &str) -> Statement<'static> {
    is(left, text(format!("@{set}")))
}

pub(super) fn goes_to(chain: String) -> Verdict<'static> {
    Verdict::Goto(JumpTarget { target: chain.into() })
}

pub(super) fn goto(chain: String) -> Statement<'static> {
    Statement::Goto(JumpTarget { target: chain.into() })
}

pub(super) fn count(counter: String) -> Statement<'static> {
    Statement::Counter(stmt::Counter::Named(counter.into()))
}

pub(super) fn accept() -> Statement<'static> {
    Statement::Accept(None)
}

pub(super) fn drop() -> Statement<'static> {
    Statement::Drop(None)
}

pub(super) fn reset() -> Statement<'static> {
    reject(stmt::RejectType::TCPReset, None)
}

pub(super) fn reject(kind: stmt::RejectType, code: Option<RejectCode>) -> Statement<'static> {
    Statement::Reject(Some(stmt::Reject::new(Some(kind), code)))
}
