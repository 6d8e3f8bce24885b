//! What of rcc runs inside of a sandbox, as the agent's user and with no more rights than the agent: the MCP
//! server and the hooks that bring the relay's messages into a running Claude Code, the wrappers of tools that run
//! outside ([`tool`]), what git runs to reach its remotes there ([`git`]), and what leads ports of the sandbox's own
//! loopback to plugins ([`ports`]).
//!
//! ```text
//! relay's socket ─ post ─┬─ mcp (tools) ──────────────────────────────── the agent
//!                        ├─ bridge ─ Claude Code's messaging socket ─────┤   idle or busy
//!                        └─ hook (where there is no such socket) ────────┘
//! ```
//!
//! A message is acknowledged when the agent has it, not before: where it went into the messaging socket, when
//! the hook `UserPromptSubmit` shows it. Until then the relay sends it again to whoever asks, and what was
//! handed over is known by its id ([`ledger`]). Everything here can be disturbed by the agent, which then
//! deceives itself and nobody else.

pub mod bridge;
pub mod command;
pub mod git;
pub mod hook;
pub mod inbox;
pub mod ledger;
pub mod mcp;
pub mod ports;
pub mod post;
pub mod present;
pub mod program;
#[cfg(test)]
mod tests;
pub mod tool;
mod tools;

pub use crate::relay::seat::INSIDE_PROGRAM as PROGRAM;

/// The option that says [`Delivery::Hooks`].
pub const BY_HOOKS: &str = "--hooks";
/// The option of the hook that waits.
pub const WAIT: &str = "--wait";

/// How messages come into the running session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// By Claude Code's messaging socket where it has one ([`bridge::messaging_socket`]), else by the hooks.
    Socket,
    /// By the hooks.
    Hooks,
}
