//! What the commands do on Linux.

mod init;
mod ps;
mod run;
mod setup;
mod verify;
mod wiring;

pub(super) use verify::{status, verify};

/// Before anything else in this process.
pub(super) fn start() {
    crate::runtime::embedded::process::notice_children();
}
