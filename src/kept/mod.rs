//! Sandboxes that go on while nobody looks: `rcc run --detach`, `rcc attach`, `rcc logs`.
//!
//! ```text
//! rcc attach ─┐  keys, size ─►
//! rcc attach ─┴─ NAME.sock ── keeper ── master of a terminal ── launcher, an ordinary run ── sandbox
//!                ◄─ screen      └────── NAME.log ◄── rcc logs
//! ```
//!
//! The launcher does not know that it is kept: it has a terminal, as always, and what the agent may do to a terminal
//! it does to that one. When the keeper is gone the terminal is, and with it the run.

pub mod attach;
pub mod frame;
pub mod keeper;
pub mod log;
pub mod place;
pub mod replay;
mod screen;
pub mod starter;
