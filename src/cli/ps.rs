//! What `rcc ps` and `rcc stop` take.

/// Lists the caller's sandboxes.
#[derive(Debug, clap::Args)]
pub struct PsArguments {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Shows what the caller's sandboxes use.
#[derive(Debug, clap::Args)]
pub struct StatsArguments {
    /// Only these, as `rcc ps` shows them
    #[arg(value_name = "SESSION")]
    pub(super) sessions: Vec<String>,
    /// Look once; without --json always where the output is no terminal
    #[arg(long)]
    pub(super) once: bool,
    /// Print JSON: a line for each look, again and again unless --once is given
    #[arg(long)]
    pub(super) json: bool,
}

/// Ends sandboxes.
#[derive(Debug, clap::Args)]
pub struct StopArguments {
    /// The sandboxes' names, as `rcc ps` shows them
    #[arg(required_unless_present = "all", value_name = "SESSION")]
    pub(super) sessions: Vec<String>,
    /// Every sandbox of yours
    #[arg(long, conflicts_with = "sessions")]
    pub(super) all: bool,
    /// Seconds that the agent gets to end by itself [default: 5, or `timeouts.stop` of your configuration]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(super) time: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
