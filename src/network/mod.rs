//! How a sandbox reaches the internet: on Linux, pasta under a network identity.

pub mod identity;
pub mod owner;
pub mod packet;
pub mod routes;
pub mod unreachable;

#[cfg(target_os = "linux")]
pub mod dead_end;
#[cfg(target_os = "linux")]
pub mod inside;
#[cfg(target_os = "linux")]
pub mod netlink;
#[cfg(target_os = "linux")]
pub mod pasta;
#[cfg(target_os = "linux")]
pub mod proc_routes;
#[cfg(target_os = "linux")]
pub mod slot;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(target_os = "linux")]
pub mod way;
