//! What the commands do on Linux.

mod allowed;
mod denials;
mod init;
mod look;
mod permit;
mod ps;
mod run;
mod service;
mod setup;
mod verify;
mod wiring;

pub(super) use look::{interface_to, leases, links};
pub(super) use service::watch;
pub(super) use verify::{status, verify};

/// Before anything else in this process.
pub(super) fn start() {
    crate::runtime::embedded::process::notice_children();
}
