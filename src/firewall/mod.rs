//! The host's own packet filter as the guard of every sandbox's network.
//!
//! Rendering ([`nft`], [`pf`]) is pure. Applying and inspecting needs root; only [`probe`] runs
//! without privilege, under each running sandbox's identity.

#[cfg(target_os = "linux")]
mod apply;
#[cfg(target_os = "linux")]
pub mod battery;
#[cfg(target_os = "linux")]
mod carry;
#[cfg(target_os = "linux")]
mod events;
#[cfg(test)]
mod golden;
#[cfg(target_os = "linux")]
pub mod grants;
#[cfg(target_os = "linux")]
mod held;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
pub mod leases;
#[cfg(target_os = "linux")]
mod loaded;
#[cfg(target_os = "linux")]
mod netfilter;
pub mod nft;
#[cfg(target_os = "linux")]
pub mod onlink;
pub mod pf;
#[cfg(target_os = "linux")]
pub mod probe;
#[cfg(target_os = "linux")]
mod refresh;
#[cfg(target_os = "linux")]
mod status;
#[cfg(target_os = "linux")]
mod surroundings;

#[cfg(target_os = "linux")]
pub use apply::{ApplyError, apply, reset};
#[cfg(target_os = "linux")]
pub use kernel::NftError;
#[cfg(target_os = "linux")]
pub use loaded::{Counter, ProfileCounters};
#[cfg(target_os = "linux")]
pub use refresh::{InForce, Tell, WatchError, watch};
#[cfg(target_os = "linux")]
pub use status::{State, Status, StatusError, status};
#[cfg(target_os = "linux")]
pub use surroundings::gather;

#[cfg(all(test, target_os = "linux"))]
mod tests;
