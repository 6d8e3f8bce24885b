//! What `rcc attach` and `rcc logs` take.

use std::ffi::OsString;

/// Connects this terminal with a sandbox that was started with `--detach`. Ctrl-P Ctrl-Q leaves it running.
#[derive(Debug, clap::Args)]
pub struct AttachArguments {
    /// The sandbox's name, as `rcc ps` shows it [default: the only one]
    #[arg(value_name = "SESSION")]
    pub(super) session: Option<String>,
    /// Look and type nothing; Ctrl-C leaves it running
    #[arg(long)]
    pub(super) watch: bool,
}

/// Prints what the terminal of a sandbox that was started with `--detach` has shown.
#[derive(Debug, clap::Args)]
pub struct LogsArguments {
    /// The sandbox's name; that of one that has ended, too, for a week
    #[arg(value_name = "SESSION")]
    pub(super) session: String,
    /// Go on until it ends
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Only the last so many lines
    #[arg(long, value_name = "LINES")]
    pub(super) tail: Option<usize>,
}

/// Keeps a run: what `--detach` starts.
#[derive(Debug, clap::Args)]
pub struct KeepArguments {
    /// The sandbox's name
    pub(super) session: String,
    /// Rows of its terminal
    pub(super) rows: u16,
    /// Columns of its terminal
    pub(super) columns: u16,
    /// The command line of the run, without the program
    #[arg(required = true, last = true)]
    pub(super) words: Vec<OsString>,
}
