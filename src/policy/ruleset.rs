//! A policy as plain rules, in the form that every packet filter can be given: no name of a
//! backend, and nothing left to decide.

use super::bridge::{Bridge, Place};
use super::identity::SLOTS;
use super::{
    Exception, InterfacePattern, NameRules, Policy, PortRange, Ports, Profile, ProfileName, Protocol, Reach, Target,
    ranges,
};
use ipnet::IpNet;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Everything that is known without looking at the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ruleset {
    /// Private by address on every machine or by root's decision; sorted, neither overlapping
    /// nor adjacent.
    pub denied: Vec<IpNet>,
    /// Interfaces whose routes are private.
    pub vpn_interfaces: Vec<InterfacePattern>,
    /// In the order of the policy.
    pub profiles: Vec<ProfileRules>,
    /// Bridges of container engines, in the order of the policy.
    pub bridges: Vec<BridgeRules>,
}

/// The rules of one bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BridgeRules {
    /// Which one.
    pub bridge: Bridge,
    /// Who may be on it.
    pub places: Vec<Place>,
}

/// The rules of one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileRules {
    /// Unique within a ruleset.
    pub name: ProfileName,
    /// The identities of every user for this profile; sorted, disjoint.
    pub identities: Vec<IdentityRange>,
    /// Exceptions for single addresses: these may open the host itself.
    pub hosts: Vec<Opening>,
    /// Exceptions for prefixes: these never open the host itself.
    pub prefixes: Vec<Opening>,
    /// Exceptions by name; whoever answers the name decides the address, so these never open the
    /// host itself, nor what [`ranges::never_behind_a_name`] lists.
    pub excepted: NameRules,
    /// The names of public space that may be reached; all of public space may if this is absent.
    pub listed: Option<NameRules>,
}

/// An inclusive range of network identities (host uids).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct IdentityRange {
    /// The lowest uid.
    pub first: u32,
    /// The highest uid.
    pub last: u32,
}

/// What packet filters can match ports of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The name in /etc/protocols, which nft and pf use too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// One box of (addresses, transport, ports). Within one list no two boxes share a point: the
/// kernel refuses overlapping elements of an interval set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Opening {
    /// Where to.
    pub net: IpNet,
    /// Over what.
    pub transport: Transport,
    /// To which ports.
    pub ports: PortRange,
}

impl From<&Policy> for Ruleset {
    fn from(policy: &Policy) -> Self {
        let mut denied = ranges::denied();
        denied.extend(ranges::with_nat64(policy.private.iter().map(IpNet::trunc)));
        let mut vpn_interfaces = policy.vpn_interfaces.clone();
        vpn_interfaces.sort_unstable();
        vpn_interfaces.dedup();
        let profiles = policy.profiles.iter().enumerate().map(|(position, profile)| {
            let identities = policy.users.iter().map(|user| {
                let slots = user.slots(position);
                debug_assert_eq!(slots.end - slots.start, SLOTS);
                IdentityRange { first: slots.start, last: slots.end - 1 }
            });
            ProfileRules::new(profile, identities.collect())
        });
        let bridges = policy.bridges().into_iter().map(|bridge| {
            let places = bridge.places(&policy.users);
            BridgeRules { bridge, places }
        });
        Self { denied: aggregated(denied), vpn_interfaces, profiles: profiles.collect(), bridges: bridges.collect() }
    }
}

impl Ruleset {
    /// The position of the profile that an identity belongs to.
    pub fn profile_of(&self, identity: u32) -> Option<usize> {
        let holds = |range: &IdentityRange| (range.first..=range.last).contains(&identity);
        self.profiles.iter().position(|profile| profile.identities.iter().any(holds))
    }
}

/// Sorted, neither overlapping nor adjacent.
pub fn aggregated(mut nets: Vec<IpNet>) -> Vec<IpNet> {
    nets = IpNet::aggregate(&nets);
    nets.sort_unstable();
    nets
}

impl ProfileRules {
    fn new(profile: &Profile, mut identities: Vec<IdentityRange>) -> Self {
        identities.sort_unstable();
        identities.dedup();
        let (mut hosts, mut prefixes, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for Exception { target, ports, protocol } in &profile.exceptions {
            let net = match target {
                Target::Domain(pattern) => {
                    names.push((pattern, ports, *protocol));
                    continue;
                }
                Target::Address(net) => *net,
            };
            let openings = if net.prefix_len() == net.max_prefix_len() { &mut hosts } else { &mut prefixes };
            for transport in transports(*protocol) {
                let each = ports.ranges().iter().map(|ports| Opening {
                    net: net.trunc(),
                    transport: *transport,
                    ports: *ports,
                });
                openings.extend(each);
            }
        }
        let listed = match &profile.reach {
            Reach::Public => None,
            Reach::Listed(list) => {
                Some(NameRules::new(list.iter().map(|listed| (&listed.pattern, &listed.ports, listed.protocol))))
            }
        };
        Self {
            name: profile.name.clone(),
            identities,
            hosts: disjoint(hosts),
            prefixes: disjoint(prefixes),
            excepted: NameRules::new(names.into_iter()),
            listed,
        }
    }
}

pub(super) fn transports(protocol: Protocol) -> &'static [Transport] {
    match protocol {
        Protocol::Tcp => &[Transport::Tcp],
        Protocol::Udp => &[Transport::Udp],
        Protocol::Any => &[Transport::Tcp, Transport::Udp],
    }
}

/// The same points, in boxes that do not overlap. Two prefixes are either nested or apart, so it
/// is enough to take from each prefix the ports that a prefix around it already opens.
pub fn disjoint(openings: Vec<Opening>) -> Vec<Opening> {
    let mut ports_of: BTreeMap<(Transport, IpNet), Vec<PortRange>> = BTreeMap::new();
    for opening in openings {
        ports_of.entry((opening.transport, opening.net)).or_default().push(opening.ports);
    }
    let mut result = Vec::with_capacity(ports_of.len());
    // Prefixes around the current one, outermost first, with all that is open in each. The map
    // sorts a prefix before everything inside it.
    let mut around: Vec<(Transport, IpNet, Vec<PortRange>)> = Vec::new();
    for ((transport, net), ports) in ports_of {
        while around.last().is_some_and(|(t, outer, _)| *t != transport || !outer.contains(&net)) {
            around.pop();
        }
        let inherited = around.last().map_or(&[][..], |(_, _, open)| open);
        result.extend(subtracted(&merged(ports.clone()), inherited).map(|ports| Opening { net, transport, ports }));
        // A host has nothing inside it; skipping it keeps 100,000 of them cheap.
        if net.prefix_len() < net.max_prefix_len() {
            let open = merged([inherited, &ports].concat());
            around.push((transport, net, open));
        }
    }
    result
}

/// Sorted and merged.
pub(super) fn merged(ports: Vec<PortRange>) -> Vec<PortRange> {
    Ports::new(ports).map(|ports| ports.ranges().to_vec()).unwrap_or_default()
}

/// `ports` without `taken`; both sorted and merged.
fn subtracted(ports: &[PortRange], taken: &[PortRange]) -> impl Iterator<Item = PortRange> {
    let mut rest = Vec::new();
    for range in ports {
        let mut first = u32::from(range.first());
        for hole in taken.iter().filter(|hole| hole.last() >= range.first() && hole.first() <= range.last()) {
            rest.push((first, u32::from(hole.first()) - 1));
            first = u32::from(hole.last()) + 1;
        }
        rest.push((first, u32::from(range.last())));
    }
    rest.into_iter().filter_map(|(first, last)| {
        let (first, last) = (u16::try_from(first).ok()?, u16::try_from(last).ok()?);
        PortRange::new(first, last).ok()
    })
}

/// Which rules are loaded: the SHA-256 of the rendered static ruleset.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version([u8; 32]);

/// A loopback address and ports on it to which datagrams are denied only under one version of the
/// rules, and only to the identities of one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// Never assigned to an interface; inside 127.0.0.0/8, so that nothing ever leaves.
    pub address: Ipv4Addr,
    /// Distinct.
    pub ports: [u16; 4],
    /// A further port, to which an empty datagram must *not* be denied: it tells the rules from a
    /// filter that denies everything alike.
    pub control: u16,
}

/// Where a profile's canary sits: "RCC" in ASCII is 82.67.67.
pub const CANARY: Ipv4Addr = Ipv4Addr::new(127, 82, 67, 67);
/// Where the canary of the on-link prefixes sits.
pub const ON_LINK_CANARY: Ipv4Addr = Ipv4Addr::new(127, 82, 67, 68);
/// Where the canary of a bridge sits, seen from it: in reserved space (RFC 1112, 4), which no router
/// forwards to, should the rules be gone.
pub const BRIDGE_CANARY: Ipv4Addr = Ipv4Addr::new(240, 82, 67, 67);
/// The same for the on-link prefixes.
pub const BRIDGE_ON_LINK_CANARY: Ipv4Addr = Ipv4Addr::new(240, 82, 67, 68);
/// The same for the rules that keep the ports of a bridge apart.
pub const BRIDGE_PORTS_CANARY: Ipv4Addr = Ipv4Addr::new(240, 82, 67, 69);
/// Where sandboxes ask for names, on port 53 over UDP and TCP (RFC 1035, 4.2). Only network
/// identities get there.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 82, 67, 53);
/// The longest time for which an answer may be kept inside: longer TTLs are to be shortened to
/// this, so that nobody inside uses an address for longer than it may be reached.
pub const TTL_MAX: Duration = Duration::from_secs(300);
/// How long an address may be reached after it was answered, or after the last packet of a flow
/// to it. At least twice [`TTL_MAX`]: a packet sets the time to this, and must not shorten it.
pub const ADDRESS_LIFETIME: Duration = Duration::from_secs(600);

impl Version {
    /// From the digest of the rendered rules.
    pub fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// What identities of this profile see while this version is loaded.
    pub fn canary(&self, profile: &ProfileName) -> Canary {
        self.derived(CANARY, profile.as_str().as_bytes())
    }

    /// What identities of every profile see while these on-link prefixes are denied.
    pub fn on_link_canary(&self, on_link: &[IpNet]) -> Canary {
        let text: String = on_link.iter().map(|net| format!("{net}\n")).collect();
        self.derived(ON_LINK_CANARY, text.as_bytes())
    }

    fn derived(&self, address: Ipv4Addr, of: &[u8]) -> Canary {
        let mut ports: Vec<u16> = Vec::with_capacity(5);
        for round in 0_u32.. {
            let digest = Sha256::new().chain_update(self.0).chain_update(round.to_be_bytes()).chain_update(of);
            for pair in digest.finalize().chunks_exact(2) {
                let port = u16::from_be_bytes([pair[0], pair[1]]);
                if port != 0 && ports.len() < 5 && !ports.contains(&port) {
                    ports.push(port);
                }
            }
            if ports.len() == 5 {
                break;
            }
        }
        Canary { address, ports: [ports[0], ports[1], ports[2], ports[3]], control: ports[4] }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opening(net: &str, ports: &str) -> Opening {
        Opening { net: net.parse().unwrap(), transport: Transport::Tcp, ports: ports.parse().unwrap() }
    }

    #[test]
    fn a_nested_prefix_keeps_only_the_ports_that_it_adds() {
        let boxes = disjoint(vec![
            opening("10.1.0.0/16", "443"),
            opening("10.0.0.0/8", "400-500"),
            opening("10.1.0.0/16", "22"),
            opening("10.1.2.0/24", "20-30"),
            opening("10.2.0.0/16", "490-510"),
        ]);
        assert_eq!(
            boxes,
            [
                opening("10.0.0.0/8", "400-500"),
                opening("10.1.0.0/16", "22"),
                opening("10.1.2.0/24", "20-21"),
                opening("10.1.2.0/24", "23-30"),
                opening("10.2.0.0/16", "501-510"),
            ]
        );
    }

    #[test]
    fn the_canary_differs_between_versions_profiles_and_on_link_prefixes() {
        let (one, two) = (Version::new([1; 32]), Version::new([2; 32]));
        let (public, other) = (ProfileName::public(), ProfileName::new("other").unwrap());
        assert_ne!(one.canary(&public).ports, two.canary(&public).ports);
        assert_ne!(one.canary(&public).ports, one.canary(&other).ports);
        assert_ne!(one.on_link_canary(&[]).ports, one.on_link_canary(&["10.0.0.0/8".parse().unwrap()]).ports);
        assert_eq!(one.canary(&public), one.canary(&public));
    }

    proptest! {
        #[test]
        fn boxes_are_apart_and_open_exactly_the_same_points(
            input in proptest::collection::vec((0u32..16, 28u8..=32, 1u16..12, 0u16..4, any::<bool>()), 0..40),
        ) {
            let openings: Vec<Opening> = input.iter().map(|(host, length, first, more, udp)| Opening {
                net: IpNet::new(Ipv4Addr::from(0x0a00_0000 + host).into(), *length).unwrap().trunc(),
                transport: if *udp { Transport::Udp } else { Transport::Tcp },
                ports: PortRange::new(*first, first + more).unwrap(),
            }).collect();
            let boxes = disjoint(openings.clone());
            let hits = |list: &[Opening], address, port, transport| list.iter().filter(|o| {
                o.net.contains(&address) && o.transport == transport && (o.ports.first()..=o.ports.last()).contains(&port)
            }).count();
            for host in 0..16 {
                let address = IpNet::from(std::net::IpAddr::from(Ipv4Addr::from(0x0a00_0000 + host)));
                for port in 1..16 {
                    for transport in [Transport::Tcp, Transport::Udp] {
                        let before = hits(&openings, address, port, transport).min(1);
                        prop_assert_eq!(hits(&boxes, address, port, transport), before);
                    }
                }
            }
        }
    }
}
