//! What `rcc denials` takes.

/// Lists what the network denied to the caller's sandboxes, those that have ended included.
#[derive(Debug, clap::Args)]
pub struct DenialsArguments {
    /// Only this sandbox's, by the name that `rcc ps` shows or showed
    #[arg(long, value_name = "SESSION")]
    pub(super) session: Option<String>,
    /// Go on and print what is denied from now on, as it happens
    #[arg(long)]
    pub(super) follow: bool,
    /// Print JSON, an object to a line; times are milliseconds since the epoch
    #[arg(long)]
    pub(super) json: bool,
}
