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
mod screen;

/// What undoes a program's changes of a terminal that it does not end itself: colours, the cursor, the other screen,
/// its scrolling region, application keys, pasting in brackets, reports of the mouse and of focus (xterm's control
/// sequences).
pub const RESTORE: &[u8] =
    b"\x1b[0m\x1b[?25h\x1b[?1049l\x1b[r\x1b[?1l\x1b>\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l";
