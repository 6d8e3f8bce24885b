//! What sandboxes were denied, by whom, when, and how often.
//!
//! ```text
//! nft ─ log group ─ nflog ─┬─ message (pure) ─ pending (pure) ─ ring ─ /run/rcc/denials
//! resolver ─ denied names ─┘        sessions: which sandbox?
//!                                                               list ─ rcc denials
//! ```
//!
//! The left half is a thread of the service `rcc-firewall`; the right half reads as the user.

pub mod message;
pub mod pending;
pub mod record;
pub mod summary;

#[cfg(target_os = "linux")]
mod list;
#[cfg(target_os = "linux")]
mod nflog;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod sessions;

pub use record::{Denial, Extent, NameReason, Reason};
#[cfg(target_os = "linux")]
pub use {
    list::{Follow, ListError, Listed, extent, read},
    service::{Asked, DenialsError, NameDenied, Recorder},
};
