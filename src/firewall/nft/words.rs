//! The few words of nftables' JSON (libnftables-json(5)) that the rules are made of.

use nftables::expr::{
    Expression, Fib, FibFlag, FibResult, Meta, MetaKey, NamedExpression, Payload, PayloadField, Prefix, Range, SetItem,
    Verdict,
};
use nftables::schema::{
    Chain, Counter, Element, FlushObject, NfCmd, NfListObject, NfObject, Rule, Set, SetFlag, SetType, SetTypeValue,
    Table,
};
use nftables::stmt::{self, JumpTarget, Match, Operator, Statement};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook, RejectCode};

use crate::policy::PortRange;
use crate::policy::ruleset::{IdentityRange, Opening};
use ipnet::IpNet;
use std::collections::HashSet;

/// The name of our table, in the family `inet`.
pub const TABLE: &str = "rcc";
const FAMILY: NfFamily = NfFamily::INet;

pub(super) fn table() -> NfListObject<'static> {
    NfListObject::Table(Table { family: FAMILY, name: TABLE.into(), handle: None })
}

fn add(object: NfListObject<'static>) -> NfObject<'static> {
    NfObject::CmdObject(NfCmd::Add(object))
}

pub(super) fn add_set(set: Set<'static>) -> NfObject<'static> {
    add(NfListObject::Set(Box::new(set)))
}

pub(super) fn flush_set(set: &Set<'static>) -> NfObject<'static> {
    let set = Set { elem: None, ..set.clone() };
    NfObject::CmdObject(NfCmd::Flush(FlushObject::Set(Box::new(set))))
}

/// Nothing for a set without elements.
pub(super) fn add_elements(set: Set<'static>) -> Option<NfObject<'static>> {
    let elem = set.elem?;
    Some(add(NfListObject::Element(Element { family: FAMILY, table: TABLE.into(), name: set.name, elem })))
}

/// A set of intervals of one type or of a concatenation of types.
pub(super) fn set(name: String, types: &[SetType], elements: Vec<Expression<'static>>) -> Set<'static> {
    let set_type = match types {
        [single] => SetTypeValue::Single(*single),
        several => SetTypeValue::Concatenated(several.to_vec().into()),
    };
    Set {
        family: FAMILY,
        table: TABLE.into(),
        name: name.into(),
        set_type,
        flags: Some(HashSet::from([SetFlag::Interval])),
        elem: (!elements.is_empty()).then(|| elements.into()),
        ..Set::default()
    }
}

/// A chain that others go to.
pub(super) fn add_chain(name: String) -> NfObject<'static> {
    add(NfListObject::Chain(Chain { family: FAMILY, table: TABLE.into(), name: name.into(), ..Chain::default() }))
}

/// The chain that sees every packet that a process of the host sends.
pub(super) fn add_output_chain(name: &'static str, priority: i32) -> NfObject<'static> {
    add(NfListObject::Chain(Chain {
        family: FAMILY,
        table: TABLE.into(),
        name: name.into(),
        _type: Some(NfChainType::Filter),
        hook: Some(NfHook::Output),
        prio: Some(priority),
        policy: Some(NfChainPolicy::Accept),
        ..Chain::default()
    }))
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
