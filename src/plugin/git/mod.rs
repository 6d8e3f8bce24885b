//! Remotes of git: fetched from and pushed to with credentials that the agent never has, under rules for what
//! is pushed, whatever the command was.
//!
//! ```text
//! the agent's sandbox                    the plugin's sandbox (no project, so no config or hook of the agent's)
//! git ─ git-remote-rcc ─ socket ─ broker ─┬─ fetch: git remote-https, or ssh ───────────────────── the upstream
//!                                         └─ push: mirror ─ git receive-pack ─ proc-receive hook ─┘
//!                                                                              └ rules: refused, or git push
//! ```
//!
//! What the agent asks for is a URL and a service ([`remote`], [`task`]); what it pushes is judged in a bare
//! mirror of the upstream, as updates of refs and the commits that are new there ([`rules`]). The program in
//! the plugin's sandbox is [`serve`]. In the agent's sandbox are a configuration that leads git to the broker
//! and hooks that tell of the same rules earlier ([`inside`]); neither is needed for the rules to hold.

pub mod inside;
pub mod pattern;
pub mod pktline;
pub mod remote;
pub mod rules;
#[cfg(target_os = "linux")]
pub mod serve;
pub mod task;
