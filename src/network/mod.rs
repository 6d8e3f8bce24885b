//! How a sandbox reaches the internet: pasta under a network identity.

pub mod identity;
pub mod inside;
mod netlink;
pub mod owner;
pub mod pasta;
pub mod proc_routes;
pub mod slot;
