//! What the kernel holds for a while, read from it: addresses of names, and leases.

use super::netfilter::{self, Element, Netfilter};
use super::nft::{Contents, Family, Held, HeldKey, LEASED_NAMES, Shape, digest};
use crate::policy::ruleset::Transport;
use std::io;
use std::net::IpAddr;

/// Everything that ends by itself, of whatever version of the rules. What cannot be read is left
/// out: it was put there by somebody else, and ends all the same.
pub(super) fn read(kernel: &mut Netfilter) -> io::Result<Vec<Held>> {
    let mut held = Vec::new();
    for set in kernel.sets()? {
        if set == LEASED_NAMES {
            held.extend(elements(kernel, &set)?.into_iter().filter_map(|element| leased_name(&element)));
        } else if let Some((contents, family)) = Contents::parse(&set) {
            let elements = elements(kernel, &set)?;
            held.extend(elements.into_iter().filter_map(|element| address(&contents, family, &element)));
        }
    }
    Ok(held)
}

/// The elements of a set; none if the set is absent.
pub(super) fn elements(kernel: &mut Netfilter, set: &str) -> io::Result<Vec<Element>> {
    match kernel.elements(set) {
        Err(error) if netfilter::is_absent(&error) => Ok(Vec::new()),
        elements => elements,
    }
}

/// A lease by name, if its key is the digest of its comment.
pub(super) fn leased_name(element: &Element) -> Option<Held> {
    let comment = element.comment.clone()?;
    let held = Held { key: HeldKey::LeasedName, remaining: element.remaining?, comment };
    (key(&held.key, &held.comment) == element.key).then_some(held)
}

/// An element of a set of addresses.
pub(super) fn address(contents: &Contents, family: Family, element: &Element) -> Option<Held> {
    let key = decode(contents, family, &element.key)?;
    Some(Held { key, remaining: element.remaining?, comment: element.comment.clone().unwrap_or_default() })
}

/// The bytes of a key; `comment` is what a lease by name is known by.
pub(super) fn key(key: &HeldKey, comment: &str) -> Vec<u8> {
    let HeldKey::Address { identity, address, port, .. } = key else {
        return digest(comment).iter().flat_map(|word| word.to_ne_bytes()).collect();
    };
    let mut bytes = Vec::with_capacity(28);
    // meta skuid is a number of the machine's own order, what comes from packets is not.
    bytes.extend(identity.iter().flat_map(|identity| identity.to_ne_bytes()));
    match address {
        IpAddr::V4(address) => bytes.extend(address.octets()),
        IpAddr::V6(address) => bytes.extend(address.octets()),
    }
    if let Some((transport, port)) = port {
        let [high, low] = port.to_be_bytes();
        bytes.extend([protocol(*transport), 0, 0, 0, high, low, 0, 0]);
    }
    bytes
}

/// IANA Protocol Numbers.
fn protocol(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    }
}

fn decode(contents: &Contents, family: Family, mut bytes: &[u8]) -> Option<HeldKey> {
    let shape = contents.shape();
    let mut take = |length: usize| {
        let (part, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(part)
    };
    let identity = match shape {
        Shape::Session => Some(u32::from_ne_bytes(*take(4)?.first_chunk()?)),
        Shape::Opening | Shape::Address => None,
    };
    let address = match family {
        Family::V4 => IpAddr::from(*take(4)?.first_chunk::<4>()?),
        Family::V6 => IpAddr::from(*take(16)?.first_chunk::<16>()?),
    };
    let port = match shape {
        Shape::Address => None,
        Shape::Opening | Shape::Session => {
            let transport = match take(4)? {
                [6, 0, 0, 0] => Transport::Tcp,
                [17, 0, 0, 0] => Transport::Udp,
                _ => return None,
            };
            Some((transport, u16::from_be_bytes(*take(4)?.first_chunk()?)))
        }
    };
    bytes.is_empty().then_some(HeldKey::Address { contents: contents.clone(), identity, address, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_shape_are_read_as_they_are_written() {
        for (set, identity, port, length) in [
            ("lease4-public", None, Some((Transport::Tcp, 443)), 12),
            ("leased6-public", None, Some((Transport::Udp, 53)), 24),
            ("sessionlease6", Some(1_919_090_688), Some((Transport::Tcp, 65535)), 28),
            ("listed4_0_3-public", None, None, 4),
        ] {
            let (contents, family) = Contents::parse(set).unwrap();
            let address =
                if family == Family::V4 { [10, 1, 2, 3].into() } else { [0xfd00, 0, 0, 0, 0, 0, 0, 1].into() };
            let held = HeldKey::Address { contents: contents.clone(), identity, address, port };
            let bytes = key(&held, "");
            assert_eq!(bytes.len(), length, "{set}");
            assert_eq!(decode(&contents, family, &bytes), Some(held), "{set}");
            let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
            assert_eq!(decode(&contents, other, &bytes), None, "{set}");
            assert_eq!(decode(&contents, family, &[&bytes[..], &[0; 4]].concat()), None, "{set}");
        }
    }

    #[test]
    fn a_lease_under_a_key_that_is_not_its_own_is_none() {
        let text = "git.corp.lan tcp 22 public".to_owned();
        let remaining = Some(std::time::Duration::from_secs(9));
        let mut element = Element { key: key(&HeldKey::LeasedName, &text), remaining, comment: Some(text) };
        assert!(leased_name(&element).is_some());
        element.key[0] ^= 1;
        assert_eq!(leased_name(&element), None);
    }
}
