//! What `rcc init` takes.

use clap::Args;

/// Set up the firewall rules, the users' network identities and the boot service (root)
#[derive(Args, Clone, Debug, Default)]
pub struct InitArgs {
    /// Also give this user network identities; can be repeated
    #[arg(long = "user", value_name = "NAME|UID", conflicts_with = "undo")]
    pub users: Vec<String>,
    /// Remove every trace of it
    #[arg(long)]
    pub undo: bool,
    /// Undo although sandboxes are running, which cuts their network
    #[arg(long, requires = "undo")]
    pub force: bool,
    /// Remove /etc/rcc/config.toml too, although it was edited, and the record in /var/log/rcc
    #[arg(long, requires = "undo")]
    pub purge: bool,
    /// Print the boot service's unit for this program and change nothing (anyone; for packages)
    #[arg(long, conflicts_with_all = ["users", "undo"])]
    pub print_unit: bool,
}
