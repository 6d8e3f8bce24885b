//! What `rcc setup` takes.

use clap::{Args, ValueEnum};

/// Check everything that rcc needs, and mend what is missing
#[derive(Args, Clone, Debug, Default)]
pub struct SetupArgs {
    /// Mend without asking: install packages, set up the firewall, through sudo where needed
    #[arg(long, short)]
    pub yes: bool,
    /// Also make this agent available to sandboxes
    #[arg(long, value_enum)]
    pub agent: Option<AgentName>,
    /// Print the requirements as JSON
    #[arg(long)]
    pub json: bool,
    /// Do root's part alone, for the run of `setup` that called sudo
    #[arg(long, hide = true)]
    pub root_part: bool,
}

/// The agents that rcc can install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AgentName {
    /// Claude Code
    Claude,
}
