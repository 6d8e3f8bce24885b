//! What the commands do on macOS, where no sandbox can be started yet: the firewall, its set-up, and the engines.

mod engines;
mod init;
mod launchctl;
mod run;
mod setup;

use super::denials::DenialsArguments;
use super::firewall::VerifyArguments;
use super::guest::GuestCommand;
use super::image::ImageCommand;
use super::kept::{AttachArguments, KeepArguments, LogsArguments};
use super::permit::{AllowArguments, AllowedArguments, DenyArguments};
use super::plugin::{BrokerCommand, ChamberArguments};
use super::ps::{PsArguments, StatsArguments, StopArguments};
use super::relay::RelayArguments;
use super::status::StatusArguments;
use crate::enforcement;
use crate::facts::Facts;
use crate::firewall::{self, Status};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Lease, Policy};
use ipnet::IpNet;
use miette::IntoDiagnostic;
use std::net::IpAddr;
use std::process::ExitCode;

/// There is no record of changes here, as no command makes any.
pub(super) fn recorded<T, E>(_: &'static str, _: Option<&Policy>, act: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    act()
}

/// Nothing can be run here, so nothing is.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("this version of rcc cannot start sandboxes on macOS, so there are none")]
#[diagnostic(help("`rcc firewall`, `rcc config`, `rcc setup` and `rcc init` work; sandboxes run on Linux"))]
struct NoRuntime;

/// The policy is changed in its file alone.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("this version of rcc cannot change the policy by a command on macOS")]
#[diagnostic(help("write it into /etc/rcc/config.toml, then run `sudo rcc firewall apply`"))]
struct NoLeases;

/// Before anything else in this process.
pub(super) fn start() -> Option<ExitCode> {
    None
}

pub(super) fn verify(_: &VerifyArguments) -> miette::Result<ExitCode> {
    Err(NoRuntime.into())
}

/// The service has nothing to do beside loading rules.
pub(super) fn watch() -> miette::Result<()> {
    let load = || enforcement::current().map_err(Into::into);
    firewall::watch(&load).into_diagnostic()
}

/// pf is not asked for what it denied.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("this version of rcc has no record of denials on macOS")]
#[diagnostic(help("`sudo rcc firewall status` counts them"))]
struct NoRecord;

impl DenialsArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRecord.into())
    }
}

/// The rules are for root's eyes alone (`/dev/pf`).
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("only root can read pf's rules: run this with sudo")]
struct NotRoot;

pub(super) fn status(policy: &Policy) -> miette::Result<Status> {
    if !rustix::process::geteuid().is_root() {
        return Err(NotRoot.into());
    }
    firewall::status(&Ruleset::from(policy)).into_diagnostic()
}

/// Leases are the Linux kernel's.
pub(super) fn leases() -> miette::Result<Option<Vec<(Lease, String)>>> {
    Ok(Some(Vec::new()))
}

/// The host's own addresses, which this version cannot tell, and the prefixes next to it.
pub(super) fn links() -> miette::Result<(Vec<IpAddr>, Vec<IpNet>)> {
    Ok((Vec::new(), firewall::gather().into_diagnostic()?.on_link))
}

/// This version cannot tell.
pub(super) fn interface_to(_: IpAddr) -> miette::Result<Option<String>> {
    Ok(None)
}

impl GuestCommand {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl ImageCommand {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl ChamberArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl AttachArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl LogsArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl KeepArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl PsArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl StatusArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl StatsArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl StopArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}

impl AllowArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoLeases.into())
    }
}

impl DenyArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoLeases.into())
    }
}

impl AllowedArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoLeases.into())
    }
}

/// It serves sandboxes, and there are none here.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("this version of rcc has no relay on macOS")]
#[diagnostic(help("the relay runs on Linux, where the sandboxes run"))]
struct NoRelay;

#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("this version of rcc runs no plugins on macOS")]
#[diagnostic(help("they run on Linux, where the sandboxes run; `rcc plugin check` checks their manifests here too"))]
struct NoPlugins;

impl BrokerCommand {
    pub(super) fn run(self, _facts: &Facts) -> miette::Result<ExitCode> {
        Err(NoPlugins.into())
    }
}

impl RelayArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        Err(NoRelay.into())
    }
}
