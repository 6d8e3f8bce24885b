//! /dev/pf, through the crate `pfctl`: from our plain rules to its own.

use crate::firewall::pf::{ANCHOR, Action, Anchor, Ndp, Protocol, Rule};
use crate::policy::PortRange;
use crate::policy::ruleset::Transport;
use ipnet::IpNet;
use pfctl::ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use pfctl::{
    AddrFamily, AnchorChange, AnchorKind, Direction, DropAction, Endpoint, FilterRule, FilterRuleAction,
    FilterRuleBuilder, Icmp6Type, IcmpType, Ip, PfCtl, Port, PortRangeModifier, Proto, RuleLog, RulesetKind,
    StatePolicy, TcpFlag, TcpFlags,
};

/// Replaces the anchor whole, in one transaction: a packet meets the old rules or the new ones.
pub(super) fn load(pf: &mut PfCtl, anchor: &Anchor) -> pfctl::Result<()> {
    let label = anchor.label.to_string();
    let rules = anchor.rules.iter().map(|rule| convert(rule, &label)).collect::<pfctl::Result<_>>()?;
    let mut change = AnchorChange::new();
    change.set_filter_rules(rules);
    pf.set_rules(ANCHOR, change)
}

/// Empties the anchor.
pub(super) fn flush(pf: &mut PfCtl) -> pfctl::Result<()> {
    pf.flush_rules(ANCHOR, RulesetKind::Filter)
}

/// Makes the main ruleset refer to the anchor; no error where it does. The reference comes after
/// all rules of pf.conf and of others: DIOCINSERTRULE sorts by a priority that the crate leaves 0.
pub(super) fn refer(pf: &mut PfCtl) -> pfctl::Result<()> {
    pf.try_add_anchor(ANCHOR, AnchorKind::Filter)
}

fn convert(rule: &Rule, label: &str) -> pfctl::Result<FilterRule> {
    let mut builder = FilterRuleBuilder::default();
    builder.direction(Direction::In).quick(true).interface(rule.interface.as_str()).label(label);
    builder.from(place(rule.from)).to(Endpoint::new(place(rule.to), port(rule.ports)));
    let stateful = matches!(rule.action, Action::Pass) && !matches!(rule.protocol, Protocol::Ndp(_));
    builder.keep_state(if stateful { StatePolicy::Keep } else { StatePolicy::None });
    match rule.action {
        Action::Pass => builder.action(FilterRuleAction::Pass),
        Action::Reset => builder.action(FilterRuleAction::Drop(DropAction::ReturnRst)),
        Action::Drop => builder.action(FilterRuleAction::Drop(DropAction::Drop)),
    };
    if rule.action != Action::Pass {
        builder.log(RuleLog::ExcludeMatchingState);
    }
    match rule.protocol {
        Protocol::Any => builder.proto(Proto::Any),
        Protocol::Transport(Transport::Tcp) => builder.proto(Proto::Tcp),
        Protocol::Transport(Transport::Udp) => builder.proto(Proto::Udp),
        Protocol::Ndp(message) => {
            builder.proto(Proto::IcmpV6).af(AddrFamily::Ipv6).icmp_type(IcmpType::Icmp6(ndp(message)))
        }
    };
    if stateful && rule.protocol != Protocol::Transport(Transport::Udp) {
        builder.tcp_flags(TcpFlags::new(&[TcpFlag::Syn], &[TcpFlag::Syn, TcpFlag::Ack]));
    }
    builder.build()
}

fn ndp(message: Ndp) -> Icmp6Type {
    match message {
        Ndp::RouterSolicitation => Icmp6Type::RouterSol,
        Ndp::NeighbourSolicitation => Icmp6Type::NeighbrSol,
        Ndp::NeighbourAdvertisement => Icmp6Type::NeighbrAdv,
    }
}

fn place(net: Option<IpNet>) -> Ip {
    let Some(net) = net else { return Ip::Any };
    let network = match net {
        IpNet::V4(net) => Ipv4Network::new(net.addr(), net.prefix_len()).map(IpNetwork::V4),
        IpNet::V6(net) => Ipv6Network::new(net.addr(), net.prefix_len()).map(IpNetwork::V6),
    };
    Ip::Net(network.expect("both types have the same bounds for the length"))
}

fn port(ports: Option<PortRange>) -> Port {
    match ports {
        None => Port::Any,
        Some(ports) if ports.first() == ports.last() => Port::from(ports.first()),
        Some(ports) => Port::Range(ports.first(), ports.last(), PortRangeModifier::Inclusive),
    }
}
