//! The plan of one run: everything that will be done, as plain data. Pure.

use crate::network::routes::Routes;
use crate::plugin::port::Port;
use crate::policy::{Policy, Profile, ProfileName, Target, ranges};
use crate::relay::name::PairName;
use crate::runtime::choice::Choice;
use crate::settings::{DefaultLimits, Limits};
use crate::view::View;
use ipnet::IpNet;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

/// The host name inside: the machine's own is nobody's business.
pub const HOSTNAME: &str = "sandbox";

/// Everything that a run will do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The session's name.
    pub session: String,
    /// What makes the sandbox.
    pub runtime: Choice,
    /// The project's root.
    pub project: PathBuf,
    /// The working directory inside.
    pub directory: PathBuf,
    /// The command and its arguments.
    #[serde(serialize_with = "lossy_list")]
    pub command: Vec<OsString>,
    /// The environment inside.
    #[serde(serialize_with = "lossy_map")]
    pub environment: BTreeMap<OsString, OsString>,
    /// Uid and gid of the user, on the host and inside.
    pub user: (u32, u32),
    /// What the sandbox sees.
    pub view: View,
    /// What it reaches.
    pub network: Network,
    /// What it may use at most, as somebody asked for.
    pub limits: Limits,
    /// What it may use at most because nobody did, where that can be enforced.
    pub default_limits: DefaultLimits,
    /// Whether and how these are enforced, where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforced: Option<String>,
    /// The socket of the relay that it joins, under the session's name.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::shown::maybe_lossy")]
    pub relay: Option<PathBuf>,
    /// The pairs by which it reaches other sandboxes directly while the relay is down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<PairName>,
    /// Ports of its loopback that lead to plugins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// The network of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// None but loopback.
    Offline,
    /// pasta under a network identity, under the host's firewall.
    Guarded(Guarded),
}

/// A guarded network.
#[derive(Clone, Debug, Serialize)]
pub struct Guarded {
    /// The profile.
    pub profile: ProfileName,
    /// The identities of this user and profile; the run takes a free one.
    pub identities: Range<u32>,
    /// The second layer.
    pub routes: Routes,
    /// The pasta program.
    pub pasta: PathBuf,
}

impl Network {
    /// The name of the profile.
    pub fn profile(&self) -> ProfileName {
        match self {
            Self::Offline => ProfileName::offline(),
            Self::Guarded(guarded) => guarded.profile.clone(),
        }
    }
}

/// The second layer for a profile. It is a comfort: it makes denials instant. The firewall is what decides:
/// to what an excepted name leads, a way is opened when it is first used ([`crate::network`]).
pub fn routes(policy: &Policy, profile: &Profile, dns: IpAddr) -> Routes {
    // The sandbox's own loopback, what never leaves a link, and the IPv4-mapped range, which is
    // routed by the IPv4 table.
    let own = |net: &IpNet| match net.addr() {
        IpAddr::V4(address) => address.is_loopback() || address.is_multicast() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast() || address.to_ipv4_mapped().is_some(),
    };
    let prohibited =
        ranges::denied().into_iter().chain(policy.private.iter().copied()).filter(|net| !own(net)).collect();
    let exceptions = profile.exceptions.iter().filter_map(|exception| match exception.target {
        Target::Address(net) => Some(net),
        Target::Domain(_) => None,
    });
    let permitted = std::iter::once(IpNet::from(dns)).chain(exceptions).collect();
    Routes { prohibited, permitted }
}

fn lossy_list<S: Serializer>(words: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(words.iter().map(|word| word.to_string_lossy()))
}

fn lossy_map<S: Serializer>(map: &BTreeMap<OsString, OsString>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    serializer.collect_map(map.iter().map(|(name, value)| (text(name), text(value))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Exception, PortRange, Ports, Protocol, Reach};

    fn routes_with(targets: Vec<Target>) -> Routes {
        let ports = Ports::new(vec![PortRange::new(443, 443).unwrap()]).unwrap();
        let exception = |target| Exception { target, ports: ports.clone(), protocol: Protocol::Tcp };
        let profile = Profile {
            name: ProfileName::public(),
            exceptions: targets.into_iter().map(exception).collect(),
            reach: Reach::Public,
        };
        let policy = Policy {
            profiles: vec![profile.clone()],
            users: vec![],
            private: vec![],
            vpn_interfaces: vec![],
            bridging: None,
        };
        routes(&policy, &profile, "169.254.1.1".parse().unwrap())
    }

    #[test]
    fn private_ranges_have_no_way_but_for_dns_and_exceptions() {
        let routes = routes_with(vec![Target::Address("10.1.2.3/32".parse().unwrap())]);
        for net in ["10.0.0.0/8", "169.254.0.0/16", "fc00::/7"] {
            assert!(routes.prohibited.contains(&net.parse().unwrap()), "{net}");
        }
        assert_eq!(routes.permitted, ["169.254.1.1/32", "10.1.2.3/32"].map(|net| net.parse::<IpNet>().unwrap()));
    }

    #[test]
    fn the_sandboxs_own_loopback_stays() {
        let routes = routes_with(vec![]);
        let own = ["127.0.0.1", "::1"].map(|address| address.parse::<IpAddr>().unwrap());
        assert!(!routes.prohibited.iter().any(|net| own.iter().any(|address| net.contains(address))));
    }

    #[test]
    fn an_excepted_name_opens_its_ways_when_they_are_used() {
        let named = routes_with(vec![Target::Domain("git.corp.lan".parse().unwrap())]);
        assert_eq!(named, routes_with(vec![]));
    }
}
