//! What `rcc allow`, `rcc deny` and `rcc allowed` take.

use super::destination::Destination;
use crate::policy::{ProfileName, Protocol};
use clap::{Args, ValueEnum};
use std::time::Duration;

/// Allow a destination, for a while or for good (root)
#[derive(Debug, Args)]
pub struct AllowArguments {
    /// An address, a prefix, a name, or `*.` and a name; and a port, or ports like 8000-8100
    #[arg(value_name = "HOST:PORT")]
    pub(super) destination: Destination,
    /// For how long, like 30m or 2h [default: for good, in /etc/rcc/config.toml]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(super) time: Option<Duration>,
    /// In which network profile [default: public, or the session's]
    #[arg(long, value_name = "PROFILE", conflicts_with = "session")]
    pub(super) profile: Option<ProfileName>,
    /// For one running sandbox alone, as `rcc ps` shows it
    #[arg(long, value_name = "SESSION", requires = "time")]
    pub(super) session: Option<String>,
    /// Over what
    #[arg(long, value_enum, default_value_t = AnyProtocol::Tcp)]
    pub(super) protocol: AnyProtocol,
    /// Where a profile lists its names: the name may lead into private networks too
    #[arg(long, conflicts_with = "time")]
    pub(super) private: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Take back what was allowed, at once (root)
#[derive(Debug, Args)]
pub struct DenyArguments {
    /// As it was allowed; without a port, every port
    #[arg(value_name = "HOST[:PORT]")]
    pub(super) destination: Destination,
    /// In which network profile [default: public, or the session's]
    #[arg(long, value_name = "PROFILE", conflicts_with = "session")]
    pub(super) profile: Option<ProfileName>,
    /// Only what was allowed for this running sandbox alone
    #[arg(long, value_name = "SESSION")]
    pub(super) session: Option<String>,
    /// Over what
    #[arg(long, value_enum, default_value_t = AnyProtocol::Any)]
    pub(super) protocol: AnyProtocol,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// List what is allowed beside each profile's default, and for how long
#[derive(Debug, Args)]
pub struct AllowedArguments {
    /// In this network profile alone
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<ProfileName>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Transport protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AnyProtocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// Both
    Any,
}

impl From<AnyProtocol> for Protocol {
    fn from(protocol: AnyProtocol) -> Self {
        match protocol {
            AnyProtocol::Tcp => Self::Tcp,
            AnyProtocol::Udp => Self::Udp,
            AnyProtocol::Any => Self::Any,
        }
    }
}

/// Why a text is no span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a time like 90s, 30m, 2h, 1d or 1h30m")]
pub struct BadTime;

/// Units from the longest to the shortest, each at most once.
fn time(text: &str) -> Result<Duration, BadTime> {
    let (mut rest, mut total) = (text, 0_u64);
    for (length, unit) in [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')] {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Some(after) = rest[digits..].strip_prefix(unit) else { continue };
        let count: u64 = rest[..digits].parse().map_err(|_| BadTime)?;
        total = count.checked_mul(length).and_then(|time| time.checked_add(total)).ok_or(BadTime)?;
        rest = after;
    }
    if rest.is_empty() && total > 0 { Ok(Duration::from_secs(total)) } else { Err(BadTime) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_usual_units() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172_800), ("1d1s", 86_401)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "30",
            "m",
            "30m1h",
            "1h1h",
            "-1m",
            "+1m",
            "1.5h",
            "0s",
            "30M",
            " 30m",
            "30 m",
            "999999999999999999d",
            "99999999999999999999d",
            "٣m",
        ] {
            assert_eq!(time(text), Err(BadTime), "{text:?}");
        }
    }
}
