//! What the commands do on Linux.

mod denials;
mod init;
mod ps;
mod run;
mod service;
mod setup;
mod verify;
mod wiring;

pub(super) use service::watch;
pub(super) use verify::{status, verify};

/// Before anything else in this process.
pub(super) fn start() {
    crate::runtime::embedded::process::notice_children();
}
