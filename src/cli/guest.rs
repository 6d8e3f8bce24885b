//! What `rcc guest` takes: rcc inside of a plugin's sandbox, started by the broker. In the agent's sandbox that is
//! another program, [`command`](crate::guest::command).

/// `rcc guest`.
#[derive(Debug, clap::Subcommand)]
pub enum GuestCommand {
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
}
