//! Preparing a host: what it lacks (`doctor`), the privileged step (`init` and `undo`, on macOS
//! [`launchd`]) and the agent's own program ([`agent`]).

pub mod account;
pub mod agent;
pub mod durable;
pub mod gc_root;
pub mod install;
pub mod launchd;
pub mod layout;
pub mod packages;
pub mod pf_doctor;
pub mod privilege;
pub mod program;
pub mod report;
pub mod requirement;
pub mod unit;
pub mod version;

#[cfg(target_os = "linux")]
pub mod cgroup;
#[cfg(target_os = "linux")]
pub mod doctor;
#[cfg(target_os = "linux")]
pub mod identities;
#[cfg(target_os = "linux")]
pub mod init;
#[cfg(all(test, target_os = "linux"))]
mod init_tests;
#[cfg(target_os = "linux")]
pub mod kernel;
#[cfg(target_os = "linux")]
pub mod mend;
#[cfg(target_os = "linux")]
pub mod observe;
#[cfg(target_os = "linux")]
pub mod other_user;
#[cfg(target_os = "linux")]
pub mod plugin_unit;
#[cfg(target_os = "linux")]
pub mod relay;
#[cfg(target_os = "linux")]
pub mod relay_unit;
#[cfg(target_os = "linux")]
pub mod sandboxes;
#[cfg(target_os = "linux")]
mod shadow_lock;
#[cfg(target_os = "linux")]
pub mod subid;
#[cfg(target_os = "linux")]
pub mod undo;
#[cfg(target_os = "linux")]
pub mod userns;

/// What another part of rcc, or a program of the host, reports as the cause of a failure.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why no sandbox with a network starts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unguarded {
    /// What is wrong with the rules.
    #[error("{0}")]
    Rules(String),
    /// The rules are in force; why there is no resolver.
    #[error("{0}")]
    Resolver(String),
}

/// What `setup` and `init` need of the firewall and of root's configuration.
#[derive(Clone, Copy)]
pub struct Wiring<'a> {
    /// Loads the ruleset of root's configuration, for every user who has identities, and creates
    /// `/run/rcc` and each user's directory in it.
    pub apply: &'a dyn Fn() -> Result<(), Failure>,
    /// Removes the ruleset; fine where there is none.
    pub reset: &'a dyn Fn() -> Result<(), Failure>,
    /// Whether a sandbox of this user would find the rules in force and a resolver.
    pub probe: &'a dyn Fn(&crate::facts::User) -> Result<(), Unguarded>,
    /// Users whom root's configuration names; none where it is absent.
    pub users: &'a dyn Fn() -> Result<Vec<u32>, Failure>,
}
