//! What the commands do on Linux.

mod allowed;
mod clock;
mod denials;
mod deny;
mod engines;
mod guest;
mod image;
mod init;
mod journal;
mod kept;
mod look;
mod permit;
mod plugin;
mod ps;
mod record;
mod relay;
pub mod relay_setup;
mod run;
mod sandboxes;
mod setup;
mod stats;
mod status;
mod verify;
mod wiring;

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

/// Before anything else in this process. Under the name of the git plugin's hook it is that, and nothing else.
pub(super) fn start() -> Option<ExitCode> {
    if serve::is_hook(std::env::args_os().next().as_ref()) {
        return Some(serve::run_hook());
    }
    crate::runtime::embedded::process::notice_children();
    None
}
