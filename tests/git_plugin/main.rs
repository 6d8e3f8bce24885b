//! The git plugin with real git on all sides: a client as in the agent's sandbox, the program of the plugin's
//! sandbox, and upstreams that are `git http-backend` behind TLS and sshd. What counts is what the upstream has
//! afterwards.

#![cfg(target_os = "linux")]

mod attacks;
mod broker;
mod fetching;
mod hooks;
mod killed;
mod pushing;
mod server;
mod sshd;
mod world;
