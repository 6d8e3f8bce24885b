//! What `rcc guest` takes: rcc inside of a sandbox, started by the agent's program.

/// `rcc guest`.
#[derive(Debug, clap::Subcommand)]
pub enum GuestCommand {
    /// Serve the relay's tools over MCP, and bring messages into the session
    Mcp {
        /// Leave bringing messages to the hooks
        #[arg(long)]
        hooks: bool,
    },
    /// Act on one of Claude Code's hooks
    Hook {
        /// Bring messages although there is a messaging socket
        #[arg(long)]
        hooks: bool,
        /// Wait for a message and wake the session
        #[arg(long)]
        wait: bool,
    },
    /// Serve one connection of the git plugin
    GitServe {
        /// The broker's task, as JSON
        task: String,
    },
    /// Serve one client of a plugin of kind http
    HttpForward {
        /// The broker's task, as JSON
        task: String,
    },
    /// Be the first process of a container, and run the agent in it
    Container,
    /// Tell of the git plugin's rules, as a hook of git's
    GitHook {
        /// Which
        name: String,
        /// The hook's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}
