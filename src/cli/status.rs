//! What `rcc status` takes.

/// Shows all there is on one screen.
#[derive(Debug, clap::Args)]
pub struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
