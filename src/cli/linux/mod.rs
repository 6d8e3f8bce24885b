//! What the commands do on Linux.

mod allowed;
mod clock;
mod denials;
mod deny;
mod detached;
mod guest;
mod init;
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

use miette::IntoDiagnostic;

pub(super) use look::{interface_to, leases, links};
pub(super) use record::recorded;
pub(super) use verify::{status, verify};

/// Runs the service until it is told to end.
pub(super) fn watch() -> miette::Result<()> {
    crate::service::run().into_diagnostic()
}

/// Before anything else in this process.
pub(super) fn start() {
    crate::runtime::embedded::process::notice_children();
}
