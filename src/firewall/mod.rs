//! The host's own packet filter as the guard of every sandbox's network.
//!
//! Rendering ([`nft`], [`pf`]) is pure. Applying and inspecting needs root; only `probe` runs
//! without privilege, under each running sandbox's identity.

#[cfg(test)]
mod golden;
pub mod loaded;
pub mod machine;
pub mod nft;
pub mod pf;
mod run_directory;
mod state;
mod surroundings;

#[cfg(target_os = "linux")]
mod apply;
#[cfg(target_os = "linux")]
pub mod battery;
#[cfg(target_os = "linux")]
pub mod bridge_probe;
#[cfg(target_os = "linux")]
pub mod bridges;
#[cfg(target_os = "linux")]
mod carry;
#[cfg(target_os = "linux")]
mod events;
#[cfg(target_os = "linux")]
pub mod grants;
#[cfg(target_os = "linux")]
mod held;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
pub mod leases;
#[cfg(target_os = "linux")]
mod netfilter;
#[cfg(target_os = "linux")]
pub mod onlink;
#[cfg(target_os = "linux")]
pub mod probe;
#[cfg(target_os = "linux")]
mod refresh;
#[cfg(target_os = "linux")]
mod reload;
#[cfg(target_os = "linux")]
mod status;

#[cfg(target_os = "macos")]
pub mod macos;

pub use run_directory::RunError;
pub use state::{Counter, ProfileCounters, State, Status};
pub use surroundings::gather;

#[cfg(target_os = "macos")]
use macos::onlink;
#[cfg(target_os = "macos")]
pub use macos::{ApplyError, WatchError, apply, reload, reset, status, watch};
#[cfg(target_os = "linux")]
pub use {
    apply::{ApplyError, apply, reset},
    kernel::NftError,
    refresh::{Companion, InForce, WatchError, watch},
    reload::{ReloadError, is_watched, reload},
    status::{StatusError, loaded_tag, status, tag},
};

#[cfg(all(test, target_os = "linux"))]
mod tests;
