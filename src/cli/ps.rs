//! What `rcc ps` and `rcc stop` take.

/// Lists the caller's sandboxes.
#[derive(Debug, clap::Args)]
pub struct PsArguments {
    /// Print JSON
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
    /// Seconds that the agent gets to end by itself
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(super) time: u64,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
