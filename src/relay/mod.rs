//! The relay: agents in different sandboxes exchange messages through one daemon of the host's.
//!
//! ```text
//! socket ─ line ─ Request ─ hub (who, may they, how much) ─ Event ─ writer ─┬─ journal (the audit, fsynced)
//!    ↑                                                                       └─ store (SQLite: journal, folded)
//!    └──── Reply, Pushed ────────────────────────────────── outcome ─────────┘
//! ```
//!
//! The journal is the truth: an event is acknowledged when it is in the journal on disk, and the store is
//! what comes of reading the journal from its first entry on. *Which socket* a request came from is who
//! sent it; nothing that a client writes changes that.

#[cfg(target_os = "linux")]
pub mod bridge;
#[cfg(target_os = "linux")]
pub mod client;
#[cfg(target_os = "linux")]
pub mod commit;
#[cfg(target_os = "linux")]
pub mod daemon;
pub mod event;
pub mod exercise;
#[cfg(target_os = "linux")]
pub mod hub;
pub mod name;
#[cfg(target_os = "linux")]
pub mod pair;
#[cfg(target_os = "linux")]
pub mod place;
pub mod policy;
#[cfg(target_os = "linux")]
pub mod seat;
#[cfg(target_os = "linux")]
pub mod store;
pub mod text;
pub mod timing;
pub mod wire;
#[cfg(target_os = "linux")]
pub mod worktable;
#[cfg(target_os = "linux")]
pub mod writer;
