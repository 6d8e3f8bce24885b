//! Everything between the user's terminal and the agent's.
//!
//! ```text
//! user's tty, pipes, files ── launcher: Relay ══ control socket ══ PID 1: Init ── agent
//!                                    └──── master of the sandbox's own pty ────────┘
//! ```
//!
//! The launcher keeps what is the user's. The agent gets a terminal of the sandbox's devpts and
//! pipes, and nothing through which it could reach more; see [`stdio`] and [`filter`].

pub mod filter;
mod utf8;
mod verdict;

#[cfg(target_os = "linux")]
pub mod agent;
#[cfg(target_os = "linux")]
pub mod control;
#[cfg(target_os = "linux")]
pub mod handed;
#[cfg(target_os = "linux")]
pub mod init;
#[cfg(target_os = "linux")]
pub(crate) mod pump;
#[cfg(target_os = "linux")]
pub mod relay;
#[cfg(target_os = "linux")]
pub(crate) mod signals;
#[cfg(target_os = "linux")]
pub mod stdio;
#[cfg(target_os = "linux")]
pub(crate) mod tty;

#[cfg(target_os = "linux")]
pub use {relay::Relay, stdio::Stdio};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The agent's main process ended with this status.
    Exited(u8),
    /// A signal ended it.
    Killed(i32),
    /// The sandbox ended, or had to be ended, before the agent did.
    Lost,
}

impl Outcome {
    /// Exit status of a run that failed itself, not the agent in it: that of env(1) and of container engines.
    pub const FAILED: u8 = 125;

    /// The exit status to pass on, in the manner of shells: 128 and the signal for a killed agent.
    pub fn status(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            Self::Lost => Self::FAILED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn a_killed_agent_has_the_status_that_a_shell_gives() {
        assert_eq!(Outcome::Killed(2).status(), 130);
        assert_eq!(Outcome::Killed(15).status(), 143);
        assert_eq!(Outcome::Exited(7).status(), 7);
    }
}
