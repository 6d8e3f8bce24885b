//! What the commands of plugins take.

use crate::plugin::name::ToolName;
use clap::{Args, Subcommand};

/// `rcc plugin`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List the plugins, and what is wrong with their manifests
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell whether the broker runs, which sessions it serves, and what the plugins did
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the broker; with a plugin's name, let it be used again
    Start(StartArguments),
    /// End the broker; with a plugin's name, only what runs of it, and let it not be used
    Stop {
        /// The plugin
        tool: Option<ToolName>,
    },
    /// Show what was asked of the plugins, what was refused and what became of it
    Logs(LogsArguments),
}

/// `rcc plugin start`.
#[derive(Debug, Args)]
pub struct StartArguments {
    /// The plugin
    #[arg(conflicts_with_all = ["detach", "passing"])]
    pub(super) tool: Option<ToolName>,
    /// Return as soon as the broker listens; what it logs goes to broker.log beside its journal
    #[arg(long)]
    pub(super) detach: bool,
    /// End with the last session
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(super) passing: bool,
}

/// `rcc plugin logs`.
#[derive(Debug, Args)]
pub struct LogsArguments {
    /// Only this plugin
    pub(super) tool: Option<ToolName>,
    /// Go on as it happens
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Only this session: its whole name
    #[arg(long)]
    pub(super) session: Option<String>,
    /// Print the entries as they are written
    #[arg(long)]
    pub(super) json: bool,
    /// Check that nothing was changed or removed
    #[arg(long, conflicts_with_all = ["follow", "session", "json", "tool"])]
    pub(super) verify: bool,
}

/// `rcc plugin-chamber`.
#[derive(Debug, Args)]
pub struct ChamberArguments {
    /// The broker's process
    pub(super) broker: u32,
}
