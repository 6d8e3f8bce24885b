//! Bridges for container engines whose networks rcc cannot enter: one for each profile that has
//! one, so that the interface alone tells which rules hold for a packet.
//!
//! A place on a bridge stands for one network identity: the same slots, and the same locks on
//! them, as where pasta runs under that identity. It has one hardware address and one address of
//! each family, and nothing else passes; they tell sessions apart, and decide nothing.

use super::identity::{BLOCK_START, PROFILES_MAX, RANGE_LENGTH, SLOTS, UserRange};
use super::{Policy, ProfileName};
use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The length of the IPv4 prefix that all bridges share: room for [`PROFILES_MAX`] of them.
pub const SHARED_V4: u8 = 16;
/// The length of the IPv6 prefix that all bridges share.
pub const SHARED_V6: u8 = 48;
/// What is shared unless root says otherwise: nobody's default, RFC 1918.
pub const DEFAULT_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 82, 0, 0), SHARED_V4);
/// The same of unique local addresses, RFC 4193: "rccb" in ASCII, which no random prefix is likely to be.
pub const DEFAULT_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfd72, 0x6363, 0x6272, 0, 0, 0, 0, 0), SHARED_V6);
/// How every hardware address of a place begins: locally administered (IEEE 802, 8.4), then "rc".
pub const MAC_START: [u8; 3] = [0x02, b'r', b'c'];
/// Of one bridge: 2,048 addresses, and as many as one could want.
const LENGTH_V4: u8 = 21;
const LENGTH_V6: u8 = 64;
/// Users whose sandboxes find a place on one bridge. The first [`SLOTS`] addresses are the host's and the
/// last one is for broadcasts, with 31 others.
const USERS: u32 = (1 << (32 - LENGTH_V4)) / SLOTS - 2;

/// That there are bridges, for which profiles and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bridging {
    /// Profiles that have one.
    pub profiles: Vec<ProfileName>,
    /// Where all of them are; its length is [`SHARED_V4`].
    pub v4: Ipv4Net,
    /// Where all of them are; its length is [`SHARED_V6`].
    pub v6: Ipv6Net,
}

/// The bridge of one profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bridge {
    /// Whose rules hold.
    pub profile: ProfileName,
    /// Position of the profile, which everything here follows from.
    position: u32,
    /// The prefix on it.
    pub v4: Ipv4Net,
    /// The prefix on it.
    pub v6: Ipv6Net,
}

/// One sandbox's place on a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// What it stands for.
    pub identity: u32,
    /// The hardware address that its interface must have.
    pub mac: Mac,
    /// Its only address.
    pub v4: Ipv4Addr,
    /// Its only address but for the link-local ones, which reach nothing.
    pub v6: Ipv6Addr,
}

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Policy {
    /// All bridges, in the order of the profiles.
    pub fn bridges(&self) -> Vec<Bridge> {
        let Some(bridging) = &self.bridging else { return Vec::new() };
        let profiles = self.profiles.iter().enumerate().take(PROFILES_MAX);
        let bridged = profiles.filter(|(_, profile)| bridging.profiles.contains(&profile.name));
        bridged.map(|(position, profile)| Bridge::new(bridging, profile.name.clone(), position as u32)).collect()
    }

    /// The bridge of a profile.
    pub fn bridge(&self, profile: &ProfileName) -> Option<Bridge> {
        self.bridges().into_iter().find(|bridge| bridge.profile == *profile)
    }

    /// Which identity an address on one of the bridges stands for.
    pub fn identity_at(&self, address: IpAddr) -> Option<u32> {
        self.bridges().iter().find_map(|bridge| bridge.identity_at(address))
    }
}

impl Bridge {
    fn new(bridging: &Bridging, profile: ProfileName, position: u32) -> Self {
        let v4 = u32::from(bridging.v4.network()) + (position << (32 - LENGTH_V4));
        let v6 = u128::from(bridging.v6.network()) + (u128::from(position) << (128 - LENGTH_V6));
        Self {
            profile,
            position,
            v4: Ipv4Net::new_assert(v4.into(), LENGTH_V4),
            v6: Ipv6Net::new_assert(v6.into(), LENGTH_V6),
        }
    }

    /// The name of the interface on the host.
    pub fn interface(&self) -> String {
        format!("rcc{}", self.position)
    }

    /// What engines call the network on it.
    pub fn network(&self) -> String {
        format!("rcc-{}", self.profile)
    }

    /// The host's address on it, which is where sandboxes ask for names.
    pub fn gateway_v4(&self) -> Ipv4Addr {
        (u32::from(self.v4.network()) + 1).into()
    }

    /// The host's address on it.
    pub fn gateway_v6(&self) -> Ipv6Addr {
        (u128::from(self.v6.network()) + 1).into()
    }

    /// How the hardware address of each of its places begins.
    pub fn mac_start(&self) -> [u8; 4] {
        let [a, b, c] = MAC_START;
        [a, b, c, self.position as u8]
    }

    /// The place of an identity; `None` if it is none of this profile, or belongs to one of more users
    /// than there is room for.
    pub fn place(&self, identity: u32) -> Option<Place> {
        let offset = identity.checked_sub(BLOCK_START)?;
        let (user, within) = (offset / RANGE_LENGTH, offset % RANGE_LENGTH);
        if within / SLOTS != self.position || user >= USERS {
            return None;
        }
        let host = SLOTS * (user + 1) + within % SLOTS;
        let ([a, b, c, d], [high, low]) = (self.mac_start(), (host as u16).to_be_bytes());
        Some(Place {
            identity,
            mac: Mac([a, b, c, d, high, low]),
            v4: (u32::from(self.v4.network()) + host).into(),
            v6: (u128::from(self.v6.network()) + u128::from(host)).into(),
        })
    }

    /// Every place of these users.
    pub fn places(&self, users: &[UserRange]) -> Vec<Place> {
        users.iter().flat_map(|user| user.slots(self.position as usize)).filter_map(|it| self.place(it)).collect()
    }

    /// Which identity an address stands for.
    pub fn identity_at(&self, address: IpAddr) -> Option<u32> {
        let host = match address {
            IpAddr::V4(address) => u32::from(address).checked_sub(self.v4.network().into())?,
            IpAddr::V6(address) => u32::try_from(u128::from(address).checked_sub(self.v6.network().into())?).ok()?,
        };
        let (user, slot) = ((host / SLOTS).checked_sub(1)?, host % SLOTS);
        let identity = (user < USERS).then(|| BLOCK_START + user * RANGE_LENGTH + self.position * SLOTS + slot)?;
        Some(identity)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn bridges() -> Vec<Bridge> {
        let bridging = Bridging { profiles: vec![], v4: DEFAULT_V4, v6: DEFAULT_V6 };
        (0..PROFILES_MAX as u32).map(|position| Bridge::new(&bridging, ProfileName::public(), position)).collect()
    }

    #[test]
    fn every_place_is_on_its_bridge_and_no_other_and_stands_for_its_identity() {
        let (mut seen, bridges) = (BTreeSet::new(), bridges());
        for user in [0, 1, USERS - 1] {
            let range = UserRange::new(1000, BLOCK_START + user * RANGE_LENGTH, RANGE_LENGTH).unwrap();
            for (position, bridge) in bridges.iter().enumerate() {
                assert!(DEFAULT_V4.contains(&bridge.v4) && DEFAULT_V6.contains(&bridge.v6));
                for identity in range.slots(position) {
                    let place = bridge.place(identity).unwrap();
                    assert!(bridge.v4.hosts().any(|host| host == place.v4) && bridge.v6.contains(&place.v6));
                    assert_ne!(place.v4, bridge.gateway_v4());
                    assert!(seen.insert(place.mac) && seen.len() <= 3 * RANGE_LENGTH as usize);
                    let of =
                        |address| bridges.iter().filter_map(|other| other.identity_at(address)).collect::<Vec<_>>();
                    assert_eq!((of(place.v4.into()), of(place.v6.into())), (vec![identity], vec![identity]));
                }
            }
        }
    }

    #[test]
    fn the_host_strangers_and_users_without_room_have_no_place() {
        let bridge = &bridges()[1];
        assert_eq!(bridge.place(BLOCK_START), None, "another profile's");
        assert_eq!(bridge.place(BLOCK_START + USERS * RANGE_LENGTH + SLOTS), None);
        assert_eq!(bridge.place(1000), None);
        let nobody: [IpAddr; 4] =
            [bridge.gateway_v4().into(), bridge.gateway_v6().into(), bridge.v4.broadcast().into(), [8, 8, 8, 8].into()];
        assert!(nobody.iter().all(|address| bridge.identity_at(*address).is_none()));
        assert_eq!(bridge.interface(), "rcc1");
        assert_eq!(bridge.place(BLOCK_START + SLOTS).unwrap().mac.to_string(), "02:72:63:01:00:20");
    }
}
