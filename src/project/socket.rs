//! Sockets in a project: an editor, a database or a process supervisor may listen there, and does
//! what it is told by whoever can connect.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
pub(super) use linux::has_listener;
#[cfg(target_os = "macos")]
pub(super) use macos::has_listener;
