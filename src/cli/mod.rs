//! What was typed, and what it means.

#[cfg(test)]
mod commands_page;
pub mod config;
mod denials;
mod destination;
mod engines;
mod errors;
pub mod firewall;
mod guest;
mod image;
mod init;
mod kept;
mod permit;
mod plugin;
mod ps;
mod relay;
mod relay_setup;
mod run;
mod setup;
mod status;
mod table;
mod when;
mod why;

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod host;
#[cfg(target_os = "macos")]
#[path = "macos/mod.rs"]
mod host;

use crate::facts::Facts;
use crate::output;
use crate::project::Project;
use clap::{CommandFactory, Parser, Subcommand};
use miette::{IntoDiagnostic, WrapErr};
use std::io::IsTerminal;
use std::process::ExitCode;

/// rcc itself failed, or refused: what podman, docker and env(1) use too.
pub const EXIT_REFUSED: u8 = 125;

/// Runs coding agents with full permissions in a sandbox that they cannot loosen: one project and
/// the public internet, nothing private.
#[derive(Debug, Parser)]
#[command(name = "rcc", version, infer_subcommands = false, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check everything that rcc needs, and mend what is missing
    Setup(setup::SetupArgs),
    /// Set up the firewall rules, the users' network identities and the boot service (root)
    Init(init::InitArgs),
    /// Run Claude Code on the current project, with full permissions
    Claude(run::ClaudeArguments),
    /// Open a shell in the sandbox of the current project
    Shell(run::ShellArguments),
    /// Run a command in the sandbox of the current project
    Run(run::RunArguments),
    /// Come back to a sandbox that was started with --detach
    Attach(kept::AttachArguments),
    /// Print what a sandbox that was started with --detach has shown
    Logs(kept::LogsArguments),
    /// Show all there is on one screen: the firewall, the relay, the broker of plugins, your sandboxes
    Status(status::StatusArguments),
    /// List your running sandboxes
    Ps(ps::PsArguments),
    /// Show what your sandboxes use: processor, memory, processes, and what the network denied them
    Stats(ps::StatsArguments),
    /// End running sandboxes
    Stop(ps::StopArguments),
    /// List what the network denied to your sandboxes
    Denials(denials::DenialsArguments),
    /// Load, show and verify the rules that hold every sandbox's network
    #[command(subcommand)]
    Firewall(firewall::FirewallCommand),
    /// Explain what a sandbox reaches: exit status 0 if it is allowed, 1 if it is denied
    Why(why::WhyArguments),
    /// Allow a destination, for a while or for good (root)
    Allow(permit::AllowArguments),
    /// Take back what was allowed, at once (root)
    Deny(permit::DenyArguments),
    /// List what is allowed beside each profile's default, and for how long
    Allowed(permit::AllowedArguments),
    /// Let agents in different sandboxes exchange messages
    Relay(relay::RelayArguments),
    /// Let the agent use tools that have credentials, outside of its sandbox
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Build, list, pull and remove images of container engines
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Check configuration files, or show what holds
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// What runs inside of a sandbox
    #[command(subcommand, hide = true)]
    Guest(guest::GuestCommand),
    /// Keep a run that was started with --detach
    #[command(hide = true)]
    Keep(kept::KeepArguments),
    /// Become the sandbox of a plugin's tools; the broker starts it
    #[command(hide = true)]
    PluginChamber(plugin::ChamberArguments),
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

/// Runs the program: parses the arguments, does what they say, explains what went wrong.
pub fn main() -> ExitCode {
    if let Some(code) = host::start() {
        return code;
    }
    start_logging();
    errors::show_plainly();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe (`rcc --help | head -1`) is nobody's error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_REFUSED));
        }
    };
    match dispatch(arguments.command) {
        Ok(code) => code,
        Err(report) => {
            output::tell_line(format_args!("{report:?}"));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

fn dispatch(command: Command) -> miette::Result<ExitCode> {
    match command {
        Command::Setup(arguments) => arguments.run(&gather()?),
        Command::Init(arguments) => arguments.run(&gather()?),
        Command::Claude(arguments) => arguments.run(),
        Command::Shell(arguments) => arguments.run(),
        Command::Run(arguments) => arguments.run(),
        Command::Attach(arguments) => arguments.run(),
        Command::Logs(arguments) => arguments.run(),
        Command::Keep(arguments) => arguments.run(),
        Command::Status(arguments) => arguments.run(),
        Command::Ps(arguments) => arguments.run(),
        Command::Stats(arguments) => arguments.run(),
        Command::Stop(arguments) => arguments.run(),
        Command::Denials(arguments) => arguments.run(),
        Command::Firewall(command) => command.run(),
        Command::Relay(arguments) => arguments.run(),
        Command::Plugin(command) => command.run(),
        Command::Image(command) => command.run(),
        Command::Config(command) => {
            let facts = gather()?;
            // Outside of a project the directory itself stands for one.
            let project = Project::find(&facts).map_or_else(|_| facts.cwd.clone(), |project| project.root);
            command.run(&facts, &project)
        }
        Command::Allow(arguments) => arguments.run(),
        Command::Deny(arguments) => arguments.run(),
        Command::Allowed(arguments) => arguments.run(),
        Command::Why(arguments) => {
            let facts = gather()?;
            let project = Project::find(&facts).ok().map(|project| project.root);
            arguments.run(&facts, project.as_deref())
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "rcc", &mut text);
            output::print(text)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Guest(command) => command.run(),
        Command::PluginChamber(arguments) => arguments.run(),
        Command::Man => manual(),
    }
}

fn gather() -> miette::Result<Facts> {
    Facts::gather().into_diagnostic()
}

fn manual() -> miette::Result<ExitCode> {
    let page = clap_mangen::Man::new(Arguments::command());
    let mut text = Vec::new();
    page.render(&mut text).into_diagnostic().wrap_err("cannot write the manual page")?;
    output::print(text)?;
    Ok(ExitCode::SUCCESS)
}

/// `RCC_LOG=debug` shows what rcc does, on standard error.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RCC_LOG").unwrap_or_else(|_| "warn".into());
    // A journal is no terminal, and NO_COLOR (no-color.org) is somebody's wish.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        // By eprintln!, which panics when the reader of standard error has gone.
        .log_internal_errors(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
