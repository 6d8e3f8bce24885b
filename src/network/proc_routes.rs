//! The routes of the calling process's network namespace, from proc_pid_net(5).

use ipnet::IpNet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTF_LOCAL`, `RTF_ANYCAST` and `RTF_REJECT`, linux/ipv6_route.h and linux/route.h: routes that
/// lead nowhere else.
const NOT_A_WAY_OUT: u32 = 0x8000_0000 | 0x0010_0000 | 0x0200;

/// One unicast route that leaves the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// By which neighbour; `None` for what is on the link itself.
    pub gateway: Option<IpAddr>,
    /// By which interface.
    pub interface: String,
}

/// Every route that does not lead to loopback.
pub fn read() -> io::Result<Vec<Route>> {
    let v4 = std::fs::read_to_string("/proc/net/route")?;
    // Absent where the kernel has no IPv6.
    let v6 = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    Ok(parse(&v4, &v6))
}

fn parse(v4: &str, v6: &str) -> Vec<Route> {
    let routes = v4.lines().skip(1).filter_map(line_v4).chain(v6.lines().filter_map(line_v6));
    routes.filter(|route| route.interface != "lo").collect()
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, addresses in memory order.
fn line_v4(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [interface, destination, gateway, flags, _, _, _, mask, ..] = fields[..] else { return None };
    let address = |hex| u32::from_str_radix(hex, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
    if u32::from_str_radix(flags, 16).ok()? & NOT_A_WAY_OUT != 0 {
        return None;
    }
    let (destination, gateway, mask) = (address(destination)?, address(gateway)?, address(mask)?);
    Some(Route {
        destination: IpNet::with_netmask(destination.into(), mask.into()).ok()?,
        gateway: (!gateway.is_unspecified()).then_some(gateway.into()),
        interface: interface.to_owned(),
    })
}

/// `destination length source length next-hop metric refcnt use flags interface`.
fn line_v6(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [destination, length, _, _, next_hop, _, _, _, flags, interface] = fields[..] else { return None };
    let address = |hex| u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from);
    if u32::from_str_radix(flags, 16).ok()? & NOT_A_WAY_OUT != 0 {
        return None;
    }
    let (destination, next_hop) = (address(destination)?, address(next_hop)?);
    if destination.is_multicast() {
        return None;
    }
    Some(Route {
        destination: IpNet::new(destination.into(), u8::from_str_radix(length, 16).ok()?).ok()?,
        gateway: (!next_hop.is_unspecified()).then_some(next_hop.into()),
        interface: interface.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
        *\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0\n";
    const V6: &str = "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
        00000000000000000000000000000001 80 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n";

    #[test]
    fn routes_are_read_in_both_families() {
        let routes: Vec<String> = parse(V4, V6)
            .iter()
            .map(|route| format!("{} {:?} {}", route.destination, route.gateway, route.interface))
            .collect();
        assert_eq!(
            routes,
            [
                "0.0.0.0/0 Some(192.168.2.1) eth0",
                "192.168.2.0/24 None eth0",
                "2001:db8::/64 None eth0",
                "::/0 Some(fe80::1) eth0",
            ]
        );
    }
}
