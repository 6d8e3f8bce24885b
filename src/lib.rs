//! `rcc` runs a coding agent with full permissions inside a sandbox that sees one project and
//! the public internet, nothing private, and that it cannot loosen.
//!
//! Data flows one way:
//!
//! ```text
//! argv, files ─ cli, config ┐
//! host ──────── facts ──────┴─ plan (pure) ─ run ─┬─ runtime   ─ namespaces
//!                                                 ├─ network   ─ pasta under a network identity
//!                                                 └─ terminal  ─ the user's tty
//! /etc/rcc ── policy (pure) ─ ruleset ─ firewall ─ nft | pf
//! ```

// They panic when the reader has gone: see `output`.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod config;
pub mod denials;
#[cfg(target_os = "linux")]
pub mod detached;
pub mod enforcement;
pub mod environment;
pub mod explained;
pub mod facts;
pub mod firewall;
#[cfg(test)]
mod golden;
#[cfg(target_os = "linux")]
pub mod guest;
pub mod image;
#[cfg(target_os = "linux")]
pub mod journal;
#[cfg(target_os = "linux")]
pub mod kept;
pub mod machine;
pub mod moment;
pub mod network;
pub mod output;
#[cfg(target_os = "linux")]
pub mod peer;
#[cfg(target_os = "linux")]
pub mod permit;
pub mod plan;
pub mod plugin;
pub mod policy;
pub mod project;
pub mod rate;
pub mod relay;
#[cfg(target_os = "linux")]
pub mod resolver;
#[cfg(target_os = "linux")]
pub mod run;
pub mod runtime;
#[cfg(target_os = "linux")]
pub mod sd_notify;
#[cfg(target_os = "linux")]
pub mod service;
#[cfg(target_os = "linux")]
pub mod session;
pub mod settings;
pub mod setup;
pub mod shown;
#[cfg(target_os = "linux")]
pub mod sockets;
pub mod statement;
pub mod terminal;
pub mod timespan;
pub mod view;
