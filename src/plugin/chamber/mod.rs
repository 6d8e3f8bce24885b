//! The sandbox that a plugin's tools run in: one for each session and tool, started with the first call and
//! ended when none came for a while.
//!
//! ```text
//! broker: Chamber ══ socket pair ══════════════════════════════════ executor ── tool, tool, …
//!    └── chamber process (`rcc plugin-chamber`) ── supervisor ── PID 1 ──┘
//!        what `rcc run` is: launcher            verifier, pasta   of the sandbox
//! ```
//!
//! The broker has several things to wait for and must not fork, so it starts this program once more, which is
//! the launcher of an ordinary sandbox: same masks, same guards, same confinement. In the place of an agent
//! runs the executor, rcc's own code. Standard streams of a call, pipes or a terminal, come as descriptors
//! from the broker; nothing of a tool's output passes through this program.

#[cfg(target_os = "linux")]
mod carry;
#[cfg(target_os = "linux")]
mod executor;
#[cfg(target_os = "linux")]
mod frame;
#[cfg(target_os = "linux")]
mod handle;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod process;
mod spec;

#[cfg(target_os = "linux")]
pub use handle::{Chamber, ChamberError, Command, Delivery, Ended, Running, Signals, standing};
#[cfg(target_os = "linux")]
pub use launch::{LaunchError, run};
pub use spec::{Bind, BindAccess, CREDENTIALS, GeneratedFile, Spec};
