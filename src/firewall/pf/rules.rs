//! From a ruleset and what is around the host to rules. Everything is decided here.

use super::{Action, InterfaceName, Ndp, Network, Protocol, Rule, Surroundings};
use crate::policy::ruleset::{CANARY, Opening, Ruleset, Transport, aggregated};
use crate::policy::{DomainName, NameRules, PortRange};
use ipnet::IpNet;
use std::net::IpAddr;

/// Where resolvers listen (RFC 1035, 4.2).
const DNS: u16 = 53;

/// All rules. There is always one, to be labelled.
pub(super) fn rules(ruleset: &Ruleset, surroundings: &Surroundings) -> Vec<Rule> {
    let mut rules = vec![mark()];
    for network in &surroundings.networks {
        let network_rules = NetworkRules { ruleset, surroundings, network };
        for subnet in &network.subnets {
            rules.extend(network_rules.of(*subnet));
        }
        // What has another source address, or belongs to a profile that is gone.
        rules.extend(network_rules.denied(None, None));
    }
    rules
}

/// A rule that no packet meets: it carries the label where there are no sandboxes. The address is
/// never assigned to an interface.
fn mark() -> Rule {
    let address = Some(IpNet::from(IpAddr::from(CANARY)));
    let interface = InterfaceName::numbered("lo", 0);
    Rule { action: Action::Drop, interface, protocol: Protocol::Any, from: address, to: address, ports: None }
}

struct NetworkRules<'a> {
    ruleset: &'a Ruleset,
    surroundings: &'a Surroundings,
    network: &'a Network,
}

impl NetworkRules<'_> {
    /// For the packets from one of its subnets.
    fn of(&self, subnet: IpNet) -> Vec<Rule> {
        let profile = self.ruleset.profiles.iter().find(|profile| profile.name == self.network.profile);
        let Some(profile) = profile else { return Vec::new() };
        let mut rules = Vec::new();
        if matches!(subnet, IpNet::V6(_)) {
            rules.extend(Ndp::ALL.map(|message| self.rule(Action::Pass, Protocol::Ndp(message), None, None)));
        }
        // The host's resolvers answer for every name: whoever may reach listed names alone could send
        // through them what it likes.
        if profile.listed.is_none() {
            rules.extend(self.dns(subnet));
        }
        // A single address may be the host's own; a prefix or a name never opens the host.
        rules.extend(self.openings(subnet, &profile.hosts));
        rules.extend(self.all_denied(subnet, self.host_and_sandboxes()));
        rules.extend(self.openings(subnet, &profile.prefixes));
        rules.extend(self.openings(subnet, &self.named(&profile.excepted)));
        rules.extend(self.all_denied(subnet, self.private()));
        match &profile.listed {
            // What is not listed meets the last rules of the network.
            Some(listed) => rules.extend(self.openings(subnet, &self.named(listed))),
            None => rules.push(self.rule(Action::Pass, Protocol::Any, Some(subnet), None)),
        }
        rules
    }

    fn dns(&self, subnet: IpNet) -> Vec<Rule> {
        let port = PortRange::new(DNS, DNS).ok();
        let resolvers = self.surroundings.shared.resolvers.iter().map(|resolver| IpNet::from(resolver.ip()));
        let rules = resolvers.filter(|resolver| same_family(subnet, *resolver)).flat_map(|resolver| {
            [Transport::Udp, Transport::Tcp].map(|transport| Rule {
                ports: port,
                ..self.rule(Action::Pass, Protocol::Transport(transport), Some(subnet), Some(resolver))
            })
        });
        rules.collect()
    }

    fn openings(&self, subnet: IpNet, openings: &[Opening]) -> Vec<Rule> {
        let openings = openings.iter().filter(|opening| same_family(subnet, opening.net));
        let rule = |opening: &Opening| Rule {
            ports: Some(opening.ports),
            ..self.rule(Action::Pass, Protocol::Transport(opening.transport), Some(subnet), Some(opening.net))
        };
        openings.map(rule).collect()
    }

    fn named(&self, rules: &NameRules) -> Vec<Opening> {
        let of_name = |(name, addresses): (&DomainName, &Vec<IpAddr>)| {
            let ports = rules.classes_of(name).into_iter().flat_map(|class| &rules.classes[class]);
            let opening = |&(transport, ports): &(Transport, PortRange)| {
                addresses.iter().map(move |address| Opening { net: IpNet::from(*address), transport, ports })
            };
            ports.flat_map(opening).collect::<Vec<_>>()
        };
        self.surroundings.names.iter().flat_map(of_name).collect()
    }

    /// The sandbox's own subnets are the host's and other sandboxes' as well.
    fn host_and_sandboxes(&self) -> Vec<IpNet> {
        let own = self.surroundings.shared.own.iter().copied().map(IpNet::from);
        let sandboxes = self.surroundings.networks.iter().flat_map(|network| &network.subnets).copied();
        aggregated(own.chain(sandboxes).collect())
    }

    fn private(&self) -> Vec<IpNet> {
        let around = self.surroundings.shared.on_link.iter().chain(&self.surroundings.vpn);
        aggregated(self.ruleset.denied.iter().chain(around).copied().collect())
    }

    fn all_denied(&self, subnet: IpNet, to: Vec<IpNet>) -> Vec<Rule> {
        let to = to.into_iter().filter(|net| same_family(subnet, *net));
        to.flat_map(|net| self.denied(Some(subnet), Some(net))).collect()
    }

    /// TCP learns it at once.
    fn denied(&self, from: Option<IpNet>, to: Option<IpNet>) -> [Rule; 2] {
        let reset = self.rule(Action::Reset, Protocol::Transport(Transport::Tcp), from, to);
        [reset, self.rule(Action::Drop, Protocol::Any, from, to)]
    }

    fn rule(&self, action: Action, protocol: Protocol, from: Option<IpNet>, to: Option<IpNet>) -> Rule {
        Rule { action, interface: self.network.interface.clone(), protocol, from, to, ports: None }
    }
}

fn same_family(a: IpNet, b: IpNet) -> bool {
    a.max_prefix_len() == b.max_prefix_len()
}
