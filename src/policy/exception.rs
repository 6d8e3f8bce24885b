//! Exceptions: the few private places that a profile may reach.

use super::pattern::NamePattern;
use ipnet::IpNet;
use serde::{Serialize, Serializer};
use std::fmt;

/// One private place that may be reached although its range is denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Exception {
    /// Where to.
    pub target: Target,
    /// Which ports; never empty.
    pub ports: Ports,
    /// Over what.
    pub protocol: Protocol,
}

/// Names that a profile with [`super::Reach::Listed`] may reach, in public space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Listed {
    /// Which names.
    pub pattern: NamePattern,
    /// Which ports; never empty.
    pub ports: Ports,
    /// Over what.
    pub protocol: Protocol,
}

/// The place of an [`Exception`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// An address (as a /32 or /128) or a prefix, truncated to its network.
    Address(IpNet),
    /// Names; what they are answered with is opened as they are asked for.
    Domain(NamePattern),
}

/// The transport of an [`Exception`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP only; the default.
    Tcp,
    /// UDP only.
    Udp,
    /// Both.
    Any,
}

impl Protocol {
    /// As configuration files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Any => "any",
        }
    }
}

/// An inclusive range of ports, 1 to 65535, `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// Why a port or range of ports was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a port is a number from 1 to 65535, a range is written \"8000-8100\" with the lower port first")]
pub struct BadPorts;

impl PortRange {
    /// Checks the bounds.
    pub fn new(first: u16, last: u16) -> Result<Self, BadPorts> {
        if first >= 1 && first <= last { Ok(Self { first, last }) } else { Err(BadPorts) }
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl std::str::FromStr for PortRange {
    type Err = BadPorts;
    fn from_str(text: &str) -> Result<Self, BadPorts> {
        let port = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse().map_err(|_| BadPorts) } else { Err(BadPorts) }
        };
        match text.split_once('-') {
            Some((first, last)) => Self::new(port(first)?, port(last)?),
            None => Self::new(port(text)?, port(text)?),
        }
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A sorted set of ports without overlaps; never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ports(Vec<PortRange>);

impl Ports {
    /// Sorts and merges; an empty list is refused.
    pub fn new(mut ranges: Vec<PortRange>) -> Result<Self, BadPorts> {
        ranges.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if u32::from(range.first) <= u32::from(last.last) + 1 => {
                    last.last = last.last.max(range.last)
                }
                _ => merged.push(range),
            }
        }
        if merged.is_empty() { Err(BadPorts) } else { Ok(Self(merged)) }
    }

    /// In ascending order, neither overlapping nor adjacent.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(list: &[&str]) -> Result<String, BadPorts> {
        let ranges = list.iter().map(|text| text.parse()).collect::<Result<Vec<PortRange>, _>>()?;
        Ok(Ports::new(ranges)?.ranges().iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn overlapping_and_adjacent_ports_are_merged() {
        assert_eq!(ports(&["80-90", "443", "85-100", "101"]).unwrap(), "80-101,443");
        assert_eq!(ports(&["65535", "1"]).unwrap(), "1,65535");
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["0", "65536", "-1", "+1", "90-80", "1-", "", " 1", "0x50"] {
            assert!(ports(&[text]).is_err(), "{text:?}");
        }
        assert!(ports(&[]).is_err());
    }
}
