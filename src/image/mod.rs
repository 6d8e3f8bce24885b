//! Images of container engines: the one that rcc builds, and which of them are rcc's own.
//!
//! An engine is spoken to by the API of Docker, which Podman has as well ([`engine`]). An image is made from the packages
//! of the host's own distribution ([`debian`]), which need no registry, or by the engine from a [`containerfile`]. What
//! registries, engines and images say is shown escaped.

pub mod built;
pub mod containerfile;
pub mod contents;
pub mod debian;
pub mod engine;
pub mod interrupt;
mod libpod;
pub mod listed;
#[cfg(target_os = "linux")]
pub mod maker;
pub mod name;
pub mod package;
pub mod progress;
pub mod prune;
