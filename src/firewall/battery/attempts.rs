//! Which attempts are made on this host.

use super::{Action, Attempt, Expected};
use crate::firewall::onlink::Links;
use crate::policy::ranges;
use crate::policy::ruleset::CANARY;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// What the attempts depend on. Plain data.
#[derive(Clone, Debug, Default)]
pub struct HostView {
    /// The host's addresses and neighbours.
    pub links: Links,
    /// The gateways of its default routes.
    pub gateways: Vec<IpAddr>,
    /// Its DNS servers.
    pub resolvers: Vec<IpAddr>,
    /// A port on which [`super::Listeners`] listen for TCP and UDP on every address of the host.
    pub port: u16,
    /// An abstract unix socket on which they listen.
    pub abstract_socket: String,
    /// Unix sockets of the host that would hand out its powers.
    pub sockets: Vec<PathBuf>,
    /// Where the sandbox's own DNS is answered, if it has any.
    pub dns: Option<IpAddr>,
    /// A public place that may be contacted, if the user names one.
    pub public: Option<SocketAddr>,
    /// Whether the profile reaches listed names only.
    pub listed: bool,
}

/// A port for places without listeners of ours: HTTP, which metadata services and most appliances
/// on a LAN answer.
const ANY_PORT: u16 = 80;

/// All attempts, in the order of the table.
pub fn attempts(host: &HostView) -> Vec<Attempt> {
    // First, so that everything after it shows that it made no difference.
    let mut attempts = vec![denied("escape", "flush of all packet filters".to_owned(), Action::FlushFilters)];
    for address in private_samples() {
        attempts.extend(probes("private", &address.to_string(), address, ANY_PORT));
    }
    for (name, address) in METADATA {
        attempts.extend(probes("metadata", name, address, ANY_PORT));
    }
    for (name, address) in own_forms(host) {
        // The sandbox has the same addresses, and its own kernel would answer an echo.
        let probes = probes("host", &format!("{name} {address}"), address, host.port);
        attempts.extend(probes.into_iter().filter(|attempt| !matches!(attempt.action, Action::Echo(_))));
    }
    for gateway in &host.gateways {
        attempts.extend(probes("gateway", &format!("the host's gateway {gateway}"), *gateway, host.port));
    }
    for (net, neighbour) in neighbours(host) {
        attempts.extend(probes("on-link", &format!("a neighbour in {net}"), neighbour, ANY_PORT));
    }
    for group in ["224.0.0.251", "239.255.255.250", "255.255.255.255", "ff02::fb", "ff02::1"] {
        let to: IpAddr = group.parse().expect("a literal address");
        attempts.push(denied("multicast", format!("udp to {group}"), Action::Udp((to, 5353).into())));
    }
    // The sandbox's own loopback answers for the host's, and a public server is as public as anything.
    let asked = |resolver: &&IpAddr| !resolver.is_loopback() && (host.listed || is_private(host, resolver));
    for resolver in host.resolvers.iter().filter(asked) {
        attempts.extend(probes("dns", &format!("the host's DNS server {resolver}"), *resolver, 53));
        attempts.extend(probes("dns", &format!("the host's DNS server {resolver} by DoT"), *resolver, 853));
    }
    attempts.push(denied("canary", format!("tcp to {CANARY}"), Action::Tcp((CANARY, host.port).into())));
    attempts.extend(escapes(host));
    attempts.extend(positives(host));
    attempts
}

fn denied(class: &'static str, description: String, action: Action) -> Attempt {
    Attempt { class, description, action, expected: Expected::Denied }
}

/// An echo to loopback is left out: the sandbox's own loopback answers, and nothing tells it from
/// the host's.
fn probes(class: &'static str, name: &str, address: IpAddr, port: u16) -> Vec<Attempt> {
    let to = SocketAddr::new(address, port);
    let echo = (!address.is_loopback()).then_some(("icmp echo", Action::Echo(address)));
    let all = [("tcp", Action::Tcp(to)), ("udp", Action::Udp(to))].into_iter().chain(echo);
    all.map(|(protocol, action)| denied(class, format!("{protocol} to {name}"), action)).collect()
}

/// One address of each denied range, and IPv4 in its IPv6 clothes.
fn private_samples() -> Vec<IpAddr> {
    let samples = ranges::denied().into_iter().filter_map(|net| net.hosts().nth(1).or(Some(net.addr())));
    let dressed = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 168, 1, 1)].into_iter().flat_map(|v4| {
        let [a, b, c, d] = v4.octets().map(u16::from);
        let six_to_four = Ipv6Addr::new(0x2002, a << 8 | b, c << 8 | d, 0, 0, 0, 0, 1);
        [v4.to_ipv6_mapped(), ranges::behind_nat64(v4), six_to_four].map(IpAddr::V6)
    });
    samples.chain(dressed).collect()
}

/// Where clouds answer with credentials.
const METADATA: [(&str, IpAddr); 4] = [
    ("169.254.169.254", IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254))),
    ("169.254.170.2 (containers)", IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2))),
    ("100.100.100.200", IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200))),
    ("fd00:ec2::254", IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))),
];

/// Every way to say "this host". The sandbox's own loopback has nothing listening on the port.
fn own_forms(host: &HostView) -> Vec<(&'static str, IpAddr)> {
    let loopback: [IpAddr; 5] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::new(127, 1, 2, 3).into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
    ];
    let mut forms: Vec<(&str, IpAddr)> = loopback.map(|address| ("loopback", address)).to_vec();
    for address in host.links.own.iter().filter(|address| !address.is_loopback()) {
        forms.push(("its address", *address));
        if let IpAddr::V4(v4) = address {
            forms.push(("its address, mapped,", v4.to_ipv6_mapped().into()));
            forms.push(("its address, behind NAT64,", ranges::behind_nat64(*v4).into()));
        }
    }
    forms
}

/// One address in each on-link prefix that is neither the host's nor the gateway's.
fn neighbours(host: &HostView) -> Vec<(IpNet, IpAddr)> {
    let free = |net: &IpNet| {
        let taken = |address: &IpAddr| host.links.own.contains(address) || host.gateways.contains(address);
        net.hosts().take(64).filter(|address| !taken(address)).last().map(|address| (*net, address))
    };
    let routable = host.links.on_link.iter().filter(|net| !is_link_local(net));
    routable.filter_map(free).collect()
}

/// Whether the rules deny an address whatever the profile.
fn is_private(host: &HostView, address: &IpAddr) -> bool {
    ranges::denied().iter().chain(&host.links.on_link).any(|net| net.contains(address))
}

fn is_link_local(net: &IpNet) -> bool {
    matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

fn escapes(host: &HostView) -> Vec<Attempt> {
    let mut attempts = vec![
        denied(
            "escape",
            "the host's abstract unix socket".to_owned(),
            Action::AbstractSocket(host.abstract_socket.clone()),
        ),
        denied("escape", "a raw socket".to_owned(), Action::RawSocket),
        denied("escape", "a packet socket".to_owned(), Action::PacketSocket),
        denied("escape", "the network namespace of process 1".to_owned(), Action::EnterNetns),
    ];
    attempts.extend(host.sockets.iter().map(|path| {
        denied("escape", format!("the host's socket {}", path.display()), Action::PathSocket(path.clone()))
    }));
    attempts
}

fn positives(host: &HostView) -> Vec<Attempt> {
    let reached = |class, description, action| Attempt { class, description, action, expected: Expected::Reached };
    let dns =
        host.dns.map(|address| reached("dns", format!("a query to {address}"), Action::Udp((address, 53).into())));
    let public = host.public.map(|to| {
        let (description, action) = (format!("tcp to {to}"), Action::Tcp(to));
        if host.listed { denied("unlisted", description, action) } else { reached("public", description, action) }
    });
    dns.into_iter().chain(public).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(host: &HostView) -> Vec<(&'static str, Action, Expected)> {
        attempts(host).into_iter().map(|attempt| (attempt.class, attempt.action, attempt.expected)).collect()
    }

    #[test]
    fn the_hosts_resolvers_are_denied_where_they_are_private_and_everywhere_under_a_list() {
        let resolvers = ["192.168.1.1", "9.9.9.9", "127.0.0.53"].map(|text| text.parse().unwrap()).to_vec();
        let mut host = HostView { resolvers, ..HostView::default() };
        let asks = |host: &HostView, to: &str| {
            let to: SocketAddr = to.parse().unwrap();
            [Action::Udp(to), Action::Tcp(to)]
                .into_iter()
                .all(|action| made(host).contains(&("dns", action, Expected::Denied)))
        };
        assert!(asks(&host, "192.168.1.1:53") && asks(&host, "192.168.1.1:853"));
        assert!(!asks(&host, "9.9.9.9:53") && !asks(&host, "127.0.0.53:53"));
        host.listed = true;
        assert!(asks(&host, "9.9.9.9:53") && asks(&host, "9.9.9.9:853"));
    }

    #[test]
    fn a_public_place_is_to_be_reached_and_under_a_list_denied() {
        let to: SocketAddr = "203.0.113.7:443".parse().unwrap();
        let mut host = HostView { public: Some(to), ..HostView::default() };
        assert!(made(&host).contains(&("public", Action::Tcp(to), Expected::Reached)));
        host.listed = true;
        assert!(made(&host).contains(&("unlisted", Action::Tcp(to), Expected::Denied)));
    }
}
