//! Plugins: tools that run outside of the agent's sandbox, where the credentials and the rules are.
//!
//! ```text
//! in the agent's sandbox          on the host                       in the plugin's own sandbox
//! wrapper `gh` ─── socket ──── broker ─┬─ manifest: may it? ┐
//! git-remote-rcc ─ socket ───────┘     ├─ credential        ├─── chamber ─── executor ─ the tool
//!                                      └─ journal (audit)   ┘
//!              ◄── stdout, stderr: credentials taken out ◄── pipes ──────────┘
//! ```
//!
//! One broker for each user, a process without privileges. Each session has a directory of sockets, one for
//! each tool; *which socket* a request came from tells the session and the tool. What a tool may do is decided
//! from its manifest ([`manifest`]), outside of the reach of the agent, before anything runs. What runs is in a
//! sandbox of its own ([`chamber`]) with the project at most, and nothing of the user's.

#[cfg(target_os = "linux")]
pub mod broker;
pub mod chamber;
#[cfg(target_os = "linux")]
pub mod client;
pub mod control;
pub mod credential;
#[cfg(target_os = "linux")]
pub mod event;
pub mod git;
pub mod http;
#[cfg(target_os = "linux")]
pub mod kit;
pub mod manifest;
pub mod name;
pub mod place;
pub mod port;
pub mod wire;
