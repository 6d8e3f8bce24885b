//! Container engines: they give a sandbox an image's files, a cgroup and a life cycle; all that holds the agent is
//! rcc's own, as in the [embedded runtime](super::embedded).
//!
//! The engine makes a container without a network and starts nothing in it yet ([`spec`], [`podman`]). A process of
//! rcc's, the [`attendant`], is root of the engine's user namespace: it lays the view over the image, connects the
//! network under the guarded identity and keeps watching. Then the engine starts what the container was made for:
//! rcc itself, as its PID 1 ([`first`]), which looks at all that from inside, confines itself and runs the agent.

pub mod api;
pub mod attendant;
pub mod contract;
pub mod docker;
pub mod first;
pub mod floors;
pub mod greeting;
pub mod namespace;
pub mod podman;
pub mod service;
pub mod spec;
mod strangers;
