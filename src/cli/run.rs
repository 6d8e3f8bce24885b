//! What `rcc run`, `rcc shell` and `rcc claude` take.

use crate::policy::ProfileName;
use crate::relay::name::SessionName;
use crate::runtime::{Image, Runtime};
use std::ffi::OsString;
use std::path::PathBuf;

/// What all three take.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The network profile: `public`, `offline`, or one of /etc/rcc/config.toml
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<ProfileName>,
    /// What makes the sandbox: `auto`, `embedded`, `podman`, `docker`, `orbstack` or `apple`
    #[arg(long, value_name = "RUNTIME")]
    pub(super) runtime: Option<Runtime>,
    /// The image that a container engine takes the system's files from
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<Image>,
    /// Let an engine be used whose virtual machine gives root to whoever gets in: the network rules may not hold there
    #[arg(long)]
    pub(super) i_know: bool,
    /// Go on without this terminal, and print the sandbox's name: `rcc attach`, `rcc logs` and `rcc stop` take it
    #[arg(long)]
    pub(super) detach: bool,
    /// The sandbox's name [default: the project's name and four digits]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) name: Option<SessionName>,
    /// Print the plan as JSON and start nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Exchange messages with other sandboxes' agents through the relay, and start nothing without one
    #[arg(long, overrides_with = "no_relay")]
    pub(super) relay: bool,
    /// Do not, although a relay runs (`rcc claude` joins it by itself)
    #[arg(long, overrides_with = "relay")]
    pub(super) no_relay: bool,
    /// Start without the plugins, and so without anything that has credentials
    #[arg(long)]
    pub(super) no_plugins: bool,
}

/// `rcc run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub(super) options: Options,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

/// `rcc shell`.
#[derive(Debug, clap::Args)]
pub struct ShellArguments {
    #[command(flatten)]
    pub(super) options: Options,
}

/// `rcc claude`.
#[derive(Debug, clap::Args)]
pub struct ClaudeArguments {
    #[command(flatten)]
    pub(super) options: Options,
    /// First do what `rcc setup --agent claude` does, asking before anything is changed
    #[arg(long)]
    pub(super) setup: bool,
    /// Do not ask: with `--setup`, what `rcc setup --yes` does
    #[arg(long, requires = "setup")]
    pub(super) yes: bool,
    /// Claude Code's program, where several are installed [default: the first that is found]
    #[arg(long, value_name = "FILE")]
    pub(super) program: Option<PathBuf>,
    /// Claude Code's own arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(super) arguments: Vec<OsString>,
}

/// The longest name that is given by hand: it is a part of paths and of the names of sockets.
const NAME_MAX: usize = 48;

/// A name by which a sandbox is found among files and in lists.
fn name(text: &str) -> Result<SessionName, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let named = || text.bytes().all(plain).then(|| text.parse().ok()).flatten();
    let refused = || format!("a name has 1 to {NAME_MAX} characters out of a-z, 0-9 and '-', a letter or digit first");
    named().filter(|_| text.len() <= NAME_MAX).ok_or_else(refused)
}
