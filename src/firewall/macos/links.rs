//! The host's interfaces, their addresses and its routes.

use crate::firewall::pf::routes::{self, Route};
use ipnet::IpNet;
use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why they could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask the kernel for {what}: {source}")]
pub struct LinksError {
    what: &'static str,
    source: io::Error,
}

impl LinksError {
    fn last(what: &'static str) -> Self {
        Self { what, source: io::Error::last_os_error() }
    }
}

/// Everything that rules may depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Addresses with the names of their interfaces and their prefixes.
    pub addresses: Vec<(String, IpNet)>,
    /// Names of interfaces by index.
    pub names: Vec<(u16, String)>,
    /// Routes of packets that are forwarded.
    pub routes: Vec<Route>,
}

/// Reads everything.
///
/// # Errors
/// The kernel's.
pub fn links() -> Result<Links, LinksError> {
    let mut links = Links { routes: routes::parse(&route_dump()?), ..Links::default() };
    for_each_address(|entry| {
        // SAFETY: names of getifaddrs(3) are C strings that live as long as its list.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
        match address(entry.ifa_addr) {
            Some(Address::Link(index)) => links.names.push((index, name)),
            Some(Address::Ip(address)) => {
                let whole = if address.is_ipv4() { 32 } else { 128 };
                let length = prefix_length(entry.ifa_netmask, address).unwrap_or(whole);
                links.addresses.extend(IpNet::new(address, length).ok().map(|net| (name, net)));
            }
            None => {}
        }
    })?;
    Ok(links)
}

fn for_each_address(mut visit: impl FnMut(&libc::ifaddrs)) -> Result<(), LinksError> {
    let mut list = std::ptr::null_mut();
    // SAFETY: writes the head of a new list to a local.
    if unsafe { libc::getifaddrs(&mut list) } != 0 {
        return Err(LinksError::last("addresses"));
    }
    let mut next = list;
    // SAFETY: entries are valid until the list is freed, which is below.
    while let Some(entry) = unsafe { next.as_ref() } {
        visit(entry);
        next = entry.ifa_next;
    }
    // SAFETY: the list is ours and nothing points into it any more.
    unsafe { libc::freeifaddrs(list) };
    Ok(())
}

enum Address {
    Link(u16),
    Ip(IpAddr),
}

fn address(pointer: *const libc::sockaddr) -> Option<Address> {
    // SAFETY: getifaddrs(3) gives a null pointer or a whole address, as long as its family says.
    unsafe {
        match i32::from(pointer.as_ref()?.sa_family) {
            libc::AF_LINK => Some(Address::Link(pointer.cast::<libc::sockaddr_dl>().read_unaligned().sdl_index)),
            libc::AF_INET => {
                let address = pointer.cast::<libc::sockaddr_in>().read_unaligned().sin_addr;
                Some(Address::Ip(Ipv4Addr::from(u32::from_be(address.s_addr)).into()))
            }
            libc::AF_INET6 => {
                let mut octets = pointer.cast::<libc::sockaddr_in6>().read_unaligned().sin6_addr.s6_addr;
                if Ipv6Addr::from(octets).is_unicast_link_local() {
                    // Where the kernel may hide the interface.
                    octets[2..4].fill(0);
                }
                Some(Address::Ip(Ipv6Addr::from(octets).into()))
            }
            _ => None,
        }
    }
}

/// The family of a mask may be left out, so that of its address counts.
fn prefix_length(mask: *const libc::sockaddr, address: IpAddr) -> Option<u8> {
    if mask.is_null() {
        return None;
    }
    // SAFETY: masks of getifaddrs(3) are as long as the addresses that they belong to.
    let ones = unsafe {
        match address {
            IpAddr::V4(_) => mask.cast::<libc::sockaddr_in>().read_unaligned().sin_addr.s_addr.count_ones(),
            IpAddr::V6(_) => {
                let octets = mask.cast::<libc::sockaddr_in6>().read_unaligned().sin6_addr.s6_addr;
                u128::from_be_bytes(octets).count_ones()
            }
        }
    };
    u8::try_from(ones).ok()
}

/// sysctl(3), `NET_RT_DUMP`: needs no privilege.
fn route_dump() -> Result<Vec<u8>, LinksError> {
    let mut name = [libc::CTL_NET, libc::PF_ROUTE, 0, 0, libc::NET_RT_DUMP, 0];
    // The table may grow between the question for its size and its copy.
    for _ in 0..8 {
        let mut size = 0;
        // SAFETY: without a buffer, sysctl writes the size that it would need, to a local.
        let asked =
            unsafe { libc::sysctl(name.as_mut_ptr(), 6, std::ptr::null_mut(), &mut size, std::ptr::null_mut(), 0) };
        if asked != 0 {
            return Err(LinksError::last("the size of the routing table"));
        }
        let mut dump = vec![0_u8; size + size / 4 + 4096];
        size = dump.len();
        // SAFETY: writes at most `size` bytes to the buffer, which has as many.
        let copied =
            unsafe { libc::sysctl(name.as_mut_ptr(), 6, dump.as_mut_ptr().cast(), &mut size, std::ptr::null_mut(), 0) };
        if copied == 0 {
            dump.truncate(size);
            return Ok(dump);
        }
        if io::Error::last_os_error().raw_os_error() != Some(libc::ENOMEM) {
            break;
        }
    }
    Err(LinksError::last("the routing table"))
}
