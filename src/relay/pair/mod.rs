//! Two sandboxes that root paired, while their relay is down.
//!
//! ```text
//! sandbox A ─ its own socket ─ ends of A ── B's end, mode 0600 or 0660 ── ends of B ─ its own socket ─ sandbox B
//!             /run/rcc/pairs     │ audit     (outside of every sandbox)     │ audit
//! ```
//!
//! Each launcher starts a process that holds its sandbox's ends. Neither sandbox sees the directory in which the ends
//! meet, nor the other's socket: there is nothing that an agent could replace, fill or listen at. The framing is the
//! relay's, and so are the limits; what a text goes through happens at both ends, since the other one may be another
//! user's. What is sent is on its way to a process, not to a disk: it is acknowledged when the other end has taken it,
//! and lost if that ends before it was read.

#[cfg(test)]
mod attack;
mod audit;
mod core;
mod ends;
mod hold;
mod inbox;
mod link;
mod plan;
mod serve;
mod shared;
#[cfg(test)]
mod tests;

pub use hold::{Held, HoldError, LeftOut, run};
pub use plan::{INSIDE, INSIDE_SOCKET, Limits, Paired, Plan, SHARED, own_end, shared_end};
pub use shared::{SharedError, prepare};
