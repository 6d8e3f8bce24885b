//! The sets whose elements come and go while the rules stay: addresses that names were answered
//! with, and leases. Every element ends by itself; the kernel is the only one that knows them.
//!
//! A name whose ports are few opens (address, transport, port), each an element of one set of its
//! profile, so that a thousand names with ports of their own cost a packet one look. A name with
//! more opens its address in a set of its class, and a rule beside the set has the ports.

use super::sets::{Family, tag};
use super::words::{self, DeclaredSet, Element};
use crate::policy::ruleset::{ProfileRules, Ruleset, Transport, Version};
use crate::policy::{Holder, Lease, LeaseTarget, NameRules, PortRange, ProfileName};
use nftables::expr::Expression;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Ports of a class that are elements each; more are ranges in a rule.
const PORTS_EACH: u32 = 16;
/// Elements of one set of addresses: about 5 MB. Whoever asks for names without end fills it, and
/// is granted nothing more until the oldest have ended.
pub const ADDRESSES_MAX: u32 = 16_384;
/// Elements of one set of leases.
pub const LEASES_MAX: u32 = 1024;
/// The set of leases by name. Its elements say in their comment what they are; their keys are
/// digests of that.
pub const LEASED_NAMES: &str = "leasednames";

/// Which rules a name was granted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// Exceptions into private space.
    Excepted,
    /// The list of a profile that denies everything else.
    Listed,
}

impl NameKind {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Excepted, Self::Listed];

    pub(super) fn stem(self) -> &'static str {
        match self {
            Self::Excepted => "excepted",
            Self::Listed => "listed",
        }
    }

    /// The rules of this kind.
    pub fn rules(self, profile: &ProfileRules) -> Option<&NameRules> {
        match self {
            Self::Excepted => Some(&profile.excepted),
            Self::Listed => profile.listed.as_ref(),
        }
    }
}

/// What the key of an element is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Address, transport, port.
    Opening,
    /// Address.
    Address,
    /// Identity, address, transport, port.
    Session,
}

/// What a set of this module holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contents {
    /// Addresses of names of a profile; with a class only those of that class.
    Names {
        /// By which rules.
        kind: NameKind,
        /// Whose.
        profile: ProfileName,
        /// The position in [`NameRules::classes`].
        class: Option<usize>,
    },
    /// Leases by address, of a profile or of all sessions.
    Leases(Option<ProfileName>),
    /// Addresses of leased names, of a profile or of all sessions.
    Leased(Option<ProfileName>),
}

impl Contents {
    /// Where the addresses of a lease are.
    pub fn of_lease(lease: &Lease) -> Self {
        let profile = match &lease.holder {
            Holder::Profile(profile) => Some(profile.clone()),
            Holder::Identity(_) => None,
        };
        match lease.target {
            LeaseTarget::Address(_) => Self::Leases(profile),
            LeaseTarget::Name(_) => Self::Leased(profile),
        }
    }

    /// What the keys of its elements are made of.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Names { class: Some(_), .. } => Shape::Address,
            Self::Leases(None) | Self::Leased(None) => Shape::Session,
            _ => Shape::Opening,
        }
    }

    /// The name of the set. Those of names carry the tag of the version, so that what was decided
    /// under other rules meets no set.
    pub fn set(&self, family: Family, version: Option<&Version>) -> String {
        let digit = family.digit();
        match self {
            Self::Names { kind, profile, class } => {
                let class = class.map(|class| format!("_{class}")).unwrap_or_default();
                format!("{}{digit}_{}{class}-{profile}", kind.stem(), tag(version))
            }
            Self::Leases(Some(profile)) => format!("lease{digit}-{profile}"),
            Self::Leases(None) => format!("sessionlease{digit}"),
            Self::Leased(Some(profile)) => format!("leased{digit}-{profile}"),
            Self::Leased(None) => format!("sessionleased{digit}"),
        }
    }

    /// What the set of this name holds, whatever version it is of.
    pub fn parse(set: &str) -> Option<(Self, Family)> {
        let (stem, profile) = match set.split_once('-') {
            Some((stem, profile)) => (stem, Some(ProfileName::new(profile).ok()?)),
            None => (set, None),
        };
        let (kind, rest) = stem.split_at_checked(stem.find(['4', '6'])?)?;
        let (digit, rest) = rest.split_at_checked(1)?;
        let family = if digit == "4" { Family::V4 } else { Family::V6 };
        let mut parts = rest.split('_').skip(1);
        let (tag, class) = (parts.next(), parts.next());
        let contents = match (kind, profile, tag) {
            ("lease", Some(profile), None) => Self::Leases(Some(profile)),
            ("leased", Some(profile), None) => Self::Leased(Some(profile)),
            ("sessionlease", None, None) => Self::Leases(None),
            ("sessionleased", None, None) => Self::Leased(None),
            (kind, Some(profile), Some(_)) => {
                let kind = NameKind::ALL.into_iter().find(|known| known.stem() == kind)?;
                let class = class.map(str::parse).transpose().ok()?;
                Self::Names { kind, profile, class }
            }
            _ => return None,
        };
        Some((contents, family))
    }
}

/// The tag of the version that a set's name carries, if it does.
pub fn tag_of(set: &str) -> Option<&str> {
    let (Contents::Names { .. }, _) = Contents::parse(set)? else { return None };
    set.split_once('-')?.0.split('_').nth(1)
}

/// Whether a set holds leases, and not what was opened by them.
pub fn is_of_leases(set: &str) -> bool {
    set == LEASED_NAMES || matches!(Contents::parse(set), Some((Contents::Leases(_), _)))
}

/// The ports of a class as elements, or nothing if they are too many for that.
pub fn each_port(class: &[(Transport, PortRange)]) -> Option<Vec<(Transport, u16)>> {
    let count: u32 = class.iter().map(|(_, ports)| u32::from(ports.last() - ports.first()) + 1).sum();
    let each = |(transport, ports): &(Transport, PortRange)| {
        let transport = *transport;
        (ports.first()..=ports.last()).map(move |port| (transport, port))
    };
    (count <= PORTS_EACH).then(|| class.iter().flat_map(each).collect())
}

/// The sets that the names of one profile and kind need; with a class for those with many ports.
pub(super) fn names(kind: NameKind, profile: &ProfileRules) -> Vec<Contents> {
    let Some(rules) = kind.rules(profile) else { return Vec::new() };
    let of = |class| Contents::Names { kind, profile: profile.name.clone(), class };
    let few = rules.classes.iter().any(|class| each_port(class).is_some()).then(|| of(None));
    let many = rules.classes.iter().enumerate().filter(|(_, class)| each_port(class).is_none());
    few.into_iter().chain(many.map(|(class, _)| of(Some(class)))).collect()
}

/// All sets of this module.
pub(super) fn contents(ruleset: &Ruleset) -> Vec<Contents> {
    let mut contents = vec![Contents::Leases(None), Contents::Leased(None)];
    for profile in &ruleset.profiles {
        let name = Some(profile.name.clone());
        contents.extend([Contents::Leases(name.clone()), Contents::Leased(name)]);
        contents.extend(NameKind::ALL.into_iter().flat_map(|kind| names(kind, profile)));
    }
    contents
}

/// Something that the kernel holds for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What and where.
    pub key: HeldKey,
    /// Whose it is, as its comment says: a name, or a lease's text.
    pub comment: String,
    /// How long it still lasts.
    pub remaining: Duration,
}

/// The place of a [`Held`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeldKey {
    /// An element of a set of addresses. Identity and port are there if the set's [`Shape`] has
    /// them.
    Address {
        /// The set's.
        contents: Contents,
        /// The host uid that it is open to.
        identity: Option<u32>,
        /// Where to.
        address: IpAddr,
        /// At which port.
        port: Option<(Transport, u16)>,
    },
    /// A lease by name.
    LeasedName,
}

/// The key of a lease by name: 64 bits of the SHA-256 of its text.
pub fn digest(text: &str) -> [u32; 2] {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let word = |at: usize| u32::from_be_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]]);
    [word(0), word(4)]
}

/// The declarations of all sets, with what they hold already.
pub(super) fn sets(ruleset: &Ruleset, version: Option<&Version>, held: &[Held]) -> Vec<DeclaredSet> {
    let mut elements: BTreeMap<String, Vec<Element>> = BTreeMap::new();
    for held in held {
        let (set, key) = match &held.key {
            HeldKey::Address { contents, address, .. } => {
                (contents.set(Family::of(address), version), address_key(&held.key))
            }
            HeldKey::LeasedName => (LEASED_NAMES.to_owned(), digest(&held.comment).map(Expression::Number).to_vec()),
        };
        let element = words::timed(key, held.remaining, &held.comment);
        elements.entry(set).or_default().push(element);
    }
    let mut sets = Vec::new();
    for contents in contents(ruleset) {
        for family in Family::BOTH {
            let name = contents.set(family, version);
            let address = family.address_type();
            let types = match contents.shape() {
                Shape::Opening => vec![address, "inet_proto", "inet_service"],
                Shape::Address => vec![address],
                Shape::Session => vec!["uid", address, "inet_proto", "inet_service"],
            };
            let size = if matches!(contents, Contents::Leases(_)) { LEASES_MAX } else { ADDRESSES_MAX };
            let elements = elements.remove(&name).unwrap_or_default();
            sets.push(words::timed_set(name, types, size, elements));
        }
    }
    let names = elements.remove(LEASED_NAMES).unwrap_or_default();
    sets.push(words::timed_set(LEASED_NAMES.to_owned(), vec!["mark", "mark"], LEASES_MAX, names));
    sets
}

fn address_key(key: &HeldKey) -> Vec<Expression<'static>> {
    let HeldKey::Address { identity, address, port, .. } = key else { return Vec::new() };
    let identity = identity.map(Expression::Number);
    let port = port.map(|(transport, port)| [words::text(transport.as_str()), Expression::Number(port.into())]);
    identity.into_iter().chain([words::text(address.to_string())]).chain(port.into_iter().flatten()).collect()
}
