//! What a profile does with a destination, and by which of its rules: the same order as the rules
//! of the firewall and the resolver, without either.

use super::ruleset::Transport;
use super::{
    DomainName, Holder, InterfacePattern, Lease, LeaseTarget, Policy, Profile, Protocol, Reach, Target, ranges,
};
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Everything that root decided.
    pub policy: &'a Policy,
    /// One profile of it.
    pub profile: &'a Profile,
    /// Leases that hold, of whomever.
    pub leases: &'a [Lease],
    /// Over what.
    pub transport: Transport,
    /// To which port.
    pub port: u16,
}

/// Where a packet would go.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// An address, and what the host knows of it.
    Address(IpAddr, &'a Place),
    /// Some address of public space that a name was answered with.
    Public,
    /// Some address of private space that a name was answered with.
    Private,
}

/// What the host knows of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// It is one of the host's own.
    pub host: bool,
    /// The directly connected prefix that holds it.
    pub on_link: Option<IpNet>,
    /// The interface that packets to it leave by.
    pub interface: Option<String>,
}

/// What becomes of a packet, or of the question for a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
pub enum Outcome {
    /// Allowed by [`Profile::exceptions`], at this position.
    Exception {
        /// The position.
        at: usize,
    },
    /// Allowed by a lease, at this position of [`Question::leases`].
    Lease {
        /// The position.
        at: usize,
    },
    /// Allowed by the list of names, at this position.
    Listed {
        /// The position.
        at: usize,
    },
    /// Allowed: public space, in a profile that reaches all of it.
    Public,
    /// Denied: inside, this is the sandbox's own loopback.
    Loopback,
    /// Denied: the host itself.
    Host,
    /// Denied: for names and leases this space is closed, and no exception names the address.
    Never {
        /// The space.
        net: IpNet,
    },
    /// Denied: private on every machine. A private answer to a name is removed from it.
    Private {
        /// The range; unknown for a name that was not resolved.
        net: Option<IpNet>,
    },
    /// Denied: private by [`Policy::private`].
    Declared {
        /// As root's file has it.
        net: IpNet,
    },
    /// Denied: next to the host.
    OnLink {
        /// The prefix.
        net: IpNet,
    },
    /// Denied: behind a VPN.
    Vpn {
        /// The pattern that the interface matches.
        pattern: InterfacePattern,
        /// The interface.
        interface: String,
    },
    /// Denied: the profile lists what it reaches, and not this.
    Unlisted,
    /// Denied: the name belongs to no public space, and no exception covers it. It does not exist.
    LocalName,
    /// Denied: nobody answers such names. It does not exist.
    NoName,
}

impl Outcome {
    /// Whether it is reached.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Exception { .. } | Self::Lease { .. } | Self::Listed { .. } | Self::Public)
    }
}

impl Question<'_> {
    /// What becomes of the question for a name, if no address comes of it; otherwise what its
    /// addresses meet decides ([`Question::outcome`]).
    pub fn of_name(&self, name: &DomainName) -> Option<Outcome> {
        match name.as_str().rsplit('.').next() {
            // RFC 6761, 6.3.
            Some("localhost") => return Some(Outcome::Loopback),
            // RFC 7686; RFC 6761, 6.4; RFC 9476.
            Some("onion" | "invalid" | "alt") => return Some(Outcome::NoName),
            _ => {}
        }
        // RFC 9462, and Mozilla's canary for DNS over HTTPS: they would lead past the resolver.
        let within =
            |above: &str| name.as_str().strip_suffix(above).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if within("resolver.arpa") || within("use-application-dns.net") {
            return Some(Outcome::NoName);
        }
        if self.is_ruled(name) {
            return None;
        }
        match &self.profile.reach {
            Reach::Listed(_) => Some(Outcome::Unlisted),
            Reach::Public if is_local(name) => Some(Outcome::LocalName),
            Reach::Public => None,
        }
    }

    /// What becomes of a packet; `name` is what was asked for, if anything was.
    pub fn outcome(&self, name: Option<&DomainName>, to: To<'_>) -> Outcome {
        let own = match to {
            To::Address(address, _) => Some(address),
            To::Public | To::Private => None,
        };
        if own.is_some_and(|address| address.is_loopback()) {
            return Outcome::Loopback;
        }
        if let Some(at) = self.exception(|net| net.prefix_len() == net.max_prefix_len(), own) {
            return Outcome::Exception { at };
        }
        if matches!(to, To::Address(_, place) if place.host) {
            return Outcome::Host;
        }
        if let Some(at) = self.exception(|net| net.prefix_len() < net.max_prefix_len(), own) {
            return Outcome::Exception { at };
        }
        if let Some(net) = own.and_then(|address| holder(ranges::never_behind_a_name(), address)) {
            return Outcome::Never { net };
        }
        if let Some(at) = self.leases.iter().position(|lease| self.is_leased(lease, name, own)) {
            return Outcome::Lease { at };
        }
        if let Some(at) = name.and_then(|name| self.excepted(name)) {
            return Outcome::Exception { at };
        }
        self.private(to).or_else(|| self.listed(name)).unwrap_or(match self.profile.reach {
            Reach::Public => Outcome::Public,
            Reach::Listed(_) => Outcome::Unlisted,
        })
    }

    /// The exception by address that opens it, of those whose prefix is `wanted`.
    fn exception(&self, wanted: impl Fn(&IpNet) -> bool, address: Option<IpAddr>) -> Option<usize> {
        let address = address?;
        self.profile.exceptions.iter().position(|exception| match &exception.target {
            Target::Address(net) => {
                wanted(net) && net.contains(&address) && self.holds(&exception.ports, exception.protocol)
            }
            Target::Domain(_) => false,
        })
    }

    fn excepted(&self, name: &DomainName) -> Option<usize> {
        self.profile.exceptions.iter().position(|exception| match &exception.target {
            Target::Domain(pattern) => pattern.covers(name) && self.holds(&exception.ports, exception.protocol),
            Target::Address(_) => false,
        })
    }

    fn listed(&self, name: Option<&DomainName>) -> Option<Outcome> {
        let (Reach::Listed(list), Some(name)) = (&self.profile.reach, name) else { return None };
        let covers = |listed: &super::Listed| listed.pattern.covers(name) && self.holds(&listed.ports, listed.protocol);
        list.iter().position(covers).map(|at| Outcome::Listed { at })
    }

    fn private(&self, to: To<'_>) -> Option<Outcome> {
        let (address, place) = match to {
            To::Public => return None,
            To::Private => return Some(Outcome::Private { net: None }),
            To::Address(address, place) => (address, place),
        };
        if let Some(net) = holder(ranges::denied(), address) {
            return Some(Outcome::Private { net: Some(net) });
        }
        let behind_nat64 = |net: &IpNet| ranges::with_nat64([*net]).iter().any(|net| net.contains(&address));
        if let Some(net) = self.policy.private.iter().find(|net| behind_nat64(net)) {
            return Some(Outcome::Declared { net: *net });
        }
        if let Some(net) = place.on_link {
            return Some(Outcome::OnLink { net });
        }
        let interface = place.interface.as_ref()?;
        let pattern = self.policy.vpn_interfaces.iter().find(|pattern| pattern.matches(interface))?;
        Some(Outcome::Vpn { pattern: pattern.clone(), interface: interface.clone() })
    }

    fn is_leased(&self, lease: &Lease, name: Option<&DomainName>, address: Option<IpAddr>) -> bool {
        let ours = matches!(&lease.holder, Holder::Profile(profile) if *profile == self.profile.name);
        let ports = lease.ports.first() <= self.port && self.port <= lease.ports.last();
        let covers = match &lease.target {
            LeaseTarget::Address(leased) => Some(*leased) == address,
            LeaseTarget::Name(pattern) => name.is_some_and(|name| pattern.covers(name)),
        };
        ours && covers && ports && lease.transport == self.transport
    }

    /// Whether any rule names it, whatever the port: then it is resolved.
    fn is_ruled(&self, name: &DomainName) -> bool {
        let excepted = self.profile.exceptions.iter().any(|exception| match &exception.target {
            Target::Domain(pattern) => pattern.covers(name),
            Target::Address(_) => false,
        });
        let listed = match &self.profile.reach {
            Reach::Listed(list) => list.iter().any(|listed| listed.pattern.covers(name)),
            Reach::Public => false,
        };
        let leased = self.leases.iter().any(|lease| {
            matches!(&lease.target, LeaseTarget::Name(pattern) if pattern.covers(name))
                && matches!(&lease.holder, Holder::Profile(profile) if *profile == self.profile.name)
        });
        excepted || listed || leased
    }

    fn holds(&self, ports: &super::Ports, protocol: Protocol) -> bool {
        let transport = matches!(
            (protocol, self.transport),
            (Protocol::Any, _) | (Protocol::Tcp, Transport::Tcp) | (Protocol::Udp, Transport::Udp)
        );
        transport && ports.ranges().iter().any(|range| range.first() <= self.port && self.port <= range.last())
    }
}

/// Names that the resolver asks nobody for unless a rule names them.
fn is_local(name: &DomainName) -> bool {
    let text = name.as_str();
    let last = text.rsplit('.').next().unwrap_or_default();
    // RFC 6762, ICANN's resolution 2024.07.29.06, RFC 8375.
    !text.contains('.') || matches!(last, "local" | "internal") || text == "home.arpa" || text.ends_with(".home.arpa")
}

/// The narrowest of these that holds the address.
fn holder(nets: Vec<IpNet>, address: IpAddr) -> Option<IpNet> {
    nets.into_iter().filter(|net| net.contains(&address)).max_by_key(IpNet::prefix_len)
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
