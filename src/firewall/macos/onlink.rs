//! What the host is and what it is next to, from its addresses and routes.

use super::links::{self, Links as Raw, LinksError};
use crate::policy::ranges;
use crate::policy::ruleset::{Ruleset, aggregated};
use ipnet::IpNet;
use std::net::IpAddr;

/// As the shared code calls it.
pub use super::links::LinksError as OnLinkError;

/// What the host is and what it is next to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The prefixes of all addresses, and the routes without a gateway, of all interfaces but
    /// loopback; default routes are left out. With their forms behind NAT64. Aggregated.
    pub on_link: Vec<IpNet>,
    /// The host's own addresses of every interface, loopback included.
    pub own: Vec<IpAddr>,
    routes: Vec<(String, IpNet)>,
}

impl Links {
    /// The prefixes that lead through VPN interfaces, the default route included. Aggregated.
    pub fn vpn(&self, ruleset: &Ruleset) -> Vec<IpNet> {
        let is_vpn = |name: &str| ruleset.vpn_interfaces.iter().any(|pattern| pattern.matches(name));
        let nets = self.routes.iter().filter(|(name, _)| is_vpn(name)).map(|(_, net)| *net);
        aggregated(nets.collect())
    }
}

/// Asks the kernel.
pub fn read() -> Result<Links, LinksError> {
    Ok(Links::from(links::links()?))
}

impl From<Raw> for Links {
    fn from(raw: Raw) -> Self {
        let name = |index: u16| raw.names.iter().find(|(it, _)| *it == index).map(|(_, name)| name.clone());
        let loopback = |name: &str| name.starts_with("lo");
        let routes: Vec<(String, IpNet, bool)> =
            raw.routes.iter().map(|it| (name(it.interface).unwrap_or_default(), it.destination, it.gateway)).collect();
        let connected = routes.iter().filter(|(_, _, gateway)| !gateway).map(|(name, net, _)| (name, *net));
        let prefixes = raw.addresses.iter().map(|(name, net)| (name, net.trunc()));
        let nets = prefixes.chain(connected).filter(|(name, net)| !loopback(name) && net.prefix_len() > 0);
        Self {
            on_link: aggregated(ranges::with_nat64(nets.map(|(_, net)| net))),
            own: raw.addresses.iter().map(|(_, net)| net.addr()).collect(),
            routes: routes.into_iter().map(|(name, net, _)| (name, net)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pf::routes::Route;
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn prefixes_of_links_and_routes_of_vpns_are_told_apart() {
        let route = |net: &str, interface, gateway| Route { destination: net.parse().unwrap(), interface, gateway };
        let links = Links::from(Raw {
            addresses: vec![
                ("lo0".into(), "127.0.0.1/8".parse().unwrap()),
                ("en0".into(), "198.51.100.7/24".parse().unwrap()),
            ],
            names: vec![(1, "lo0".into()), (4, "en0".into()), (9, "utun3".into())],
            routes: vec![
                route("0.0.0.0/0", 4, true),
                route("203.0.113.0/24", 4, false),
                route("10.20.0.0/16", 9, true),
                route("127.0.0.0/8", 1, false),
            ],
        });
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert!(links.on_link.contains(&net("198.51.100.0/24")) && links.on_link.contains(&net("203.0.113.0/24")));
        assert!(!links.on_link.iter().any(|it| it.contains(&net("127.0.0.0/8")) || it.contains(&net("10.20.0.0/16"))));
        let vpn_interfaces = vec!["utun*".parse().unwrap()];
        let policy = Policy { profiles: vec![], users: vec![], private: vec![], vpn_interfaces, bridging: None };
        assert_eq!(links.vpn(&Ruleset::from(&policy)), [net("10.20.0.0/16")]);
        assert_eq!(links.own.len(), 2);
    }

    #[test]
    fn this_machine_has_loopback() {
        assert!(read().unwrap().own.contains(&"127.0.0.1".parse().unwrap()));
    }
}
