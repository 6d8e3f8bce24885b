//! Apple's `container`: each sandbox is a Linux container in a virtual machine of its own, on a network of its own.
//!
//! ```text
//! View ── laid ─┬─ mounts that the tool makes ─ arguments ─ `container create`
//!               └─ what is left over: nothing is started as long as nobody inside lays it
//! `container network list` ── answers ── networks ── the anchor of the host's packet filter
//! ```
//!
//! What the tool takes was read from its source (`ContainerAPIService/Client/{Flags,Parser}.swift`, 1.0.0 to 1.2.2).
//! Everything here is pure, and compiled and tested on every system.

pub mod answers;
pub mod arguments;
pub mod laid;
pub mod networks;

/// On every container and network of rcc's: the session's name.
pub const LABEL: &str = "rcc.session";
/// Likewise: the runtime directory of the launcher, which alone can tell whether the session lives.
pub const PLACE: &str = "rcc.runtime-dir";
/// On every network of rcc's: the profile whose rules its packets meet.
pub const PROFILE: &str = "rcc.profile";

/// What the container and the network of a session are called: the tool takes 63 characters.
pub fn name(session: &str) -> String {
    format!("rcc-{session}")
}

#[cfg(test)]
mod tests;
