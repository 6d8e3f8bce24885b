//! Engines whose containers run in a virtual machine, as all do on macOS.
//!
//! ```text
//! host ── Found ── choose (pure) ── Choice ─┬─ apple: the tool `container`; the host's pf sees the packets
//!                                           └─ a Docker API in a Linux machine, which judge looks at first
//! ```
//!
//! Everything here is pure, and compiled and tested on every system.

pub mod choice;
pub mod context;
pub mod found;
pub mod judge;
