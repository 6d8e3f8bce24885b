//! What `rcc relay install` and `rcc relay uninstall` take.

use clap::{Args, ValueEnum};

/// Have systemd run the relay: your own, or with --system the system's (root)
#[derive(Args, Clone, Debug, Default)]
pub struct InstallArguments {
    /// Let this user use the system's relay; can be repeated [default: the users of /etc/rcc/config.toml, or whom sudo
    /// acts for]
    #[arg(long = "member", value_name = "NAME", conflicts_with = "print")]
    pub members: Vec<String>,
    /// Print the units for this program and change nothing (anyone; for packages)
    #[arg(long, value_enum, value_name = "UNIT", num_args = 0..=1, require_equals = true, default_missing_value = "both")]
    pub print: Option<Printed>,
}

/// Units to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Printed {
    /// The socket and the service, each behind its name
    Both,
    /// The socket
    Socket,
    /// The service
    Service,
    /// The service that carries messages to other hosts and from them
    Bridge,
}

/// Have the relay read its configuration again: what systemd calls for `systemctl reload rcc-relay`
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ReloadArguments {}

/// Take back what `rcc relay install` did
#[derive(Args, Clone, Debug, Default)]
pub struct UninstallArguments {
    /// Remove the messages and the audit too, and of the system's relay the account and the group
    #[arg(long)]
    pub purge: bool,
}
