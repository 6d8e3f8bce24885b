//! What the commands of plugins take.

mod manifests;

use crate::facts::Facts;
use crate::plugin::name::ToolName;
use clap::{Args, Subcommand};
use miette::IntoDiagnostic;
use std::process::ExitCode;

/// `rcc plugin`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Check manifests, or tell whether a tool may be called so; exit status 1 if there are mistakes, or it may not
    Check {
        /// A manifest's file, or the tool that has one in force [default: all that are in place]
        #[arg(value_name = "FILE|TOOL")]
        manifest: Option<String>,
        /// Check a file that is not in place yet as one of yours, not as root's
        #[arg(long, requires = "manifest")]
        user: bool,
        /// The file is for another machine: do not ask for the programs and files that it names
        #[arg(long, requires = "manifest")]
        elsewhere: bool,
        /// The arguments of a call that is not made
        #[arg(last = true, requires = "manifest", allow_hyphen_values = true)]
        arguments: Option<Vec<String>>,
    },
    /// Write a manifest that comes with rcc: as root for everybody, otherwise for yourself
    Add {
        /// The tool: git, gh, npm, cargo, anthropic; npm-registry and example are to start from
        tool: String,
        /// Replace one that is there
        #[arg(long)]
        force: bool,
    },
    /// What the broker has to do with
    #[command(flatten)]
    Broker(BrokerCommand),
}

/// What the broker has to do with.
#[derive(Debug, Subcommand)]
pub enum BrokerCommand {
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
    /// Print the systemd unit for brokers whose credentials only root can read
    Unit,
}

impl PluginCommand {
    /// Runs the command.
    pub(super) fn run(self) -> miette::Result<ExitCode> {
        self.run_as(&Facts::gather().into_diagnostic()?)
    }

    fn run_as(self, facts: &Facts) -> miette::Result<ExitCode> {
        match self {
            Self::Check { manifest, user, elsewhere, arguments } => {
                manifests::check_named(facts, manifest.as_deref(), (user, elsewhere), arguments.as_deref())
            }
            Self::Add { tool, force } => manifests::add_shipped(facts, &tool, force),
            Self::Broker(command) => command.run(facts),
        }
    }
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
