//! What the commands do on Linux.

mod allowed;
mod clock;
mod denials;
mod deny;
mod guest;
mod init;
mod journal;
mod look;
mod permit;
mod plugin;
mod ps;
mod record;
mod relay;
pub mod relay_setup;
mod run;
mod setup;
mod verify;
mod wiring;

use crate::guest::{git, tool};
use crate::plugin::git::inside::REMOTE_HELPER;
use crate::plugin::git::serve;
use miette::IntoDiagnostic;
use std::process::ExitCode;

pub(super) use look::{interface_to, leases, links};
pub(super) use record::recorded;
pub(super) use verify::{status, verify};

/// Runs the service until it is told to end.
pub(super) fn watch() -> miette::Result<()> {
    crate::service::run().into_diagnostic()
}

/// Before anything else in this process. Under the name of a tool it is that tool's wrapper, under those of git's
/// remote helper and of the git plugin's hook these, and nothing else.
pub(super) fn start() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    if serve::is_hook(name.as_ref()) {
        return Some(serve::run_hook());
    }
    if let Some(tool) = tool::called(name.as_ref()) {
        return Some(if tool.as_str() == REMOTE_HELPER {
            git::remote::run(arguments)
        } else {
            tool::run(tool, arguments)
        });
    }
    crate::runtime::embedded::process::notice_children();
    None
}
