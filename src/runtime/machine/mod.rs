//! Engines whose containers run in a virtual machine, as all do on macOS.
//!
//! ```text
//! host ── Found ── choose (pure) ── Choice ─┬─ apple: the tool `container`; the host's pf sees the packets
//!                                           └─ a Docker API in a Linux machine, which judge looks at first
//! Rules ── guard (the calls) ── engine ── the same nft rules inside of that machine
//! ```
//!
//! Everything here but [`engine`] is pure, and all is compiled and tested on every system.

pub mod choice;
pub mod context;
pub mod engine;
pub mod found;
pub mod guard;
pub mod judge;
pub mod network;
