//! What `rcc allow`, `rcc deny` and `rcc allowed` take.

use super::destination::Destination;
use crate::policy::{ProfileName, Protocol};
use crate::timespan;
use clap::{Args, ValueEnum};
use std::time::Duration;

/// Allow a destination, for a while or for good (root)
#[derive(Debug, Args)]
pub struct AllowArguments {
    /// An address, a prefix, a name, or `*.` and a name; and a port, or ports like 8000-8100
    #[arg(value_name = "HOST:PORT")]
    pub(super) destination: Destination,
    /// For how long, like 30m or 2h [default: for good, in /etc/rcc/config.toml]
    #[arg(long = "for", value_name = "TIME", value_parser = timespan::parse)]
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
