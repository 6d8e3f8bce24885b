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

pub mod cli;
pub mod facts;
pub mod policy;
pub mod settings;
pub mod setup;
