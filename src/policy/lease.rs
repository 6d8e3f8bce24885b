//! Leases: exceptions with an end, which the kernel keeps.

use super::ruleset::Transport;
use super::{NamePattern, PortRange, ProfileName};
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;

/// Something that may be reached for a while. Its text ([`fmt::Display`] and
/// [`FromStr`](std::str::FromStr)) is what stands in the comment of the kernel's element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// Where to.
    pub target: LeaseTarget,
    /// Over what.
    pub transport: Transport,
    /// To which ports; at most [`Lease::PORTS_MAX`].
    pub ports: PortRange,
    /// For whom.
    pub holder: Holder,
}

/// The place of a [`Lease`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseTarget {
    /// One address.
    Address(IpAddr),
    /// Names; what they are answered with.
    Name(NamePattern),
}

/// Who may use a [`Lease`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// Every sandbox of a profile.
    Profile(ProfileName),
    /// The one sandbox that holds this network identity.
    Identity(u32),
}

/// Why a lease is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLease {
    /// Not four words of the right kind.
    #[error("a lease is written \"HOST TRANSPORT PORTS HOLDER\"")]
    Syntax,
    /// Each port is an element of a set in the kernel.
    #[error("a lease opens at most {} ports; more belong in /etc/rcc/config.toml", Lease::PORTS_MAX)]
    TooManyPorts,
    /// It would not fit into a comment.
    #[error(
        "this name is too long for a lease (at most {} characters); it belongs in /etc/rcc/config.toml",
        Lease::NAME_MAX
    )]
    LongName,
}

impl Lease {
    /// Ports of one lease.
    pub const PORTS_MAX: u32 = 64;
    /// Characters of a pattern. With the longest of everything else the text has 126 bytes, and
    /// nft takes no comment over 127 (`NFTNL_UDATA_COMMENT_MAXLEN`, libnftnl/udata.h).
    pub const NAME_MAX: usize = 84;

    /// Checks the bounds.
    pub fn new(target: LeaseTarget, transport: Transport, ports: PortRange, holder: Holder) -> Result<Self, BadLease> {
        if u32::from(ports.last()) - u32::from(ports.first()) >= Self::PORTS_MAX {
            return Err(BadLease::TooManyPorts);
        }
        match &target {
            LeaseTarget::Name(pattern) if pattern.to_string().len() > Self::NAME_MAX => Err(BadLease::LongName),
            _ => Ok(Self { target, transport, ports, holder }),
        }
    }
}

impl fmt::Display for LeaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(pattern) => write!(f, "{pattern}"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile(profile) => write!(f, "{profile}"),
            // No name of a profile starts with '@'.
            Self::Identity(identity) => write!(f, "@{identity}"),
        }
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.target, self.transport.as_str(), self.ports, self.holder)
    }
}

impl std::str::FromStr for Lease {
    type Err = BadLease;
    /// Takes nothing but what [`fmt::Display`] writes, to the byte.
    fn from_str(text: &str) -> Result<Self, BadLease> {
        let words: Vec<&str> = text.split(' ').collect();
        let [target, transport, ports, holder] = words[..] else { return Err(BadLease::Syntax) };
        let target = match target.parse() {
            Ok(address) => LeaseTarget::Address(address),
            Err(_) => LeaseTarget::Name(target.parse().map_err(|_| BadLease::Syntax)?),
        };
        let transport = match transport {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return Err(BadLease::Syntax),
        };
        let holder = match holder.strip_prefix('@') {
            Some(identity) => Holder::Identity(identity.parse().map_err(|_| BadLease::Syntax)?),
            None => Holder::Profile(holder.parse().map_err(|_| BadLease::Syntax)?),
        };
        let lease = Self::new(target, transport, ports.parse().map_err(|_| BadLease::Syntax)?, holder)?;
        if lease.to_string() == text { Ok(lease) } else { Err(BadLease::Syntax) }
    }
}

impl Serialize for Lease {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_it_is_written() {
        for text in [
            "10.1.2.3 tcp 443 public",
            "fd00::1 udp 53-60 my-work",
            "git.corp.lan tcp 22 @1919090688",
            "*.corp.lan tcp 8000-8063 public",
        ] {
            assert_eq!(text.parse::<Lease>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_comment_that_somebody_else_wrote_is_no_lease() {
        for text in [
            "",
            "10.1.2.3",
            "10.1.2.3 tcp 443",
            "10.1.2.3 tcp 443 public ",
            "10.1.2.3  tcp 443 public",
            "10.1.2.3 icmp 443 public",
            "10.1.2.3 tcp 0443 public",
            "10.1.2.3 tcp 443-443 public",
            "10.1.2.0/24 tcp 443 public",
            "10.1.2.3 tcp 443 Public",
            "10.1.2.3 tcp 443 @-1",
            "10.1.2.3 tcp 443 @4294967296",
            "10.1.2.3 tcp 443 @+7",
            "Git.corp.lan tcp 443 public",
            "git.corp.lan. tcp 443 public",
            "* tcp 443 public",
            "git\0.lan tcp 443 public",
            "::ffff:10.1.2.3 tcp 443 public extra",
        ] {
            assert_eq!(text.parse::<Lease>(), Err(BadLease::Syntax), "{text:?}");
        }
        assert_eq!("10.1.2.3 tcp 1-65 public".parse::<Lease>(), Err(BadLease::TooManyPorts));
        let long = format!("{}.lan tcp 1 public", ["a"; 45].join("."));
        assert_eq!(long.parse::<Lease>(), Err(BadLease::LongName));
    }

    #[test]
    fn the_longest_lease_fits_into_a_comment() {
        let name = format!("*.{}.{}", "a".repeat(63), "b".repeat(18));
        assert_eq!(name.len(), Lease::NAME_MAX);
        let lease: Lease = format!("{name} tcp 65472-65535 {}", "p".repeat(24)).parse().unwrap();
        assert!(lease.to_string().len() <= 127);
    }
}
