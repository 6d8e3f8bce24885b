//! `rcc firewall`: loads, shows and verifies the rules.

use super::table;
use crate::config;
use crate::enforcement;
use crate::firewall::battery::Table;
use crate::firewall::{self, ProfileCounters, State, Status, nft, pf};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, ProfileName};
use clap::{Subcommand, ValueEnum};
use miette::{IntoDiagnostic, WrapErr};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The host's firewall, which holds every sandbox with a network.
#[derive(Debug, Subcommand)]
pub enum FirewallCommand {
    /// Load the rules that the configuration asks for (root)
    Apply {
        /// Stay and keep them true: follow interfaces, routes and resolvers, restore what
        /// vanishes, read the configuration again on SIGHUP
        #[arg(long)]
        watch: bool,
    },
    /// Remove the rules (root); nothing with a network starts without them
    Reset,
    /// Tell whether the rules are in force, absent, stale or drifted
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try every known way around the rules from a throwaway sandbox
    Verify(VerifyArguments),
    /// Print the rules without loading them
    Render {
        /// For which packet filter
        #[arg(long, value_enum, default_value_t = Backend::Nft)]
        backend: Backend,
        /// A configuration like /etc/rcc/config.toml [default: that one]
        file: Option<PathBuf>,
    },
}

/// What `verify` may be asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// A public place to try as well, to be reached, or denied where the profile lists names;
    /// nothing outside this machine is contacted otherwise
    #[arg(long, value_name = "ADDR:PORT")]
    pub public: Option<SocketAddr>,
    /// The network profile to try
    #[arg(long, value_name = "NAME", default_value = "public")]
    pub profile: ProfileName,
}

/// Packet filters that rules can be rendered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// nftables, as JSON for `nft -j -f`
    Nft,
    /// pf, as text for an anchor
    Pf,
}

/// What the commands need of sandboxes.
#[derive(Clone, Copy)]
pub struct Sandboxes {
    /// Makes the attempts in a throwaway sandbox.
    pub verify: fn(&VerifyArguments) -> miette::Result<Table>,
    /// Tells without privilege whether the rules of a policy are in force.
    pub status: fn(&Policy) -> miette::Result<Status>,
}

impl FirewallCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// The configuration's, the firewall's.
    pub fn run(self, sandboxes: Sandboxes) -> miette::Result<ExitCode> {
        match self {
            Self::Apply { watch: true } => watch(),
            Self::Apply { watch: false } => apply(),
            Self::Reset => firewall::reset().into_diagnostic().map(|()| ExitCode::SUCCESS),
            Self::Status { json } => status(json, sandboxes.status),
            Self::Verify(arguments) => {
                let table = (sandboxes.verify)(&arguments)?;
                show_table(&table, arguments.json)
            }
            Self::Render { backend, file } => render(backend, file.as_deref()),
        }
    }
}

fn watch() -> miette::Result<ExitCode> {
    let load = || enforcement::current().map_err(Into::into);
    firewall::watch(&load, &mut |_| Ok(())).into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}

fn apply() -> miette::Result<ExitCode> {
    apply_policy(&enforcement::current()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Loads a policy's rules.
///
/// # Errors
/// The firewall's.
pub fn apply_policy(policy: &Policy) -> miette::Result<()> {
    firewall::apply(policy, &firewall::gather().into_diagnostic()?).into_diagnostic()
}

/// Exit status 0 only if the rules are in force.
fn status(json: bool, unprivileged: fn(&Policy) -> miette::Result<Status>) -> miette::Result<ExitCode> {
    let policy = enforcement::current()?;
    let root = rustix::process::geteuid().is_root();
    let status =
        if root { firewall::status(&Ruleset::from(&policy)).into_diagnostic()? } else { unprivileged(&policy)? };
    if json {
        println!("{}", serde_json::to_string_pretty(&status).into_diagnostic()?);
    } else {
        println!("{}", explain(status.state));
        println!("version {}", status.version);
        if !status.counters.is_empty() {
            print!(
                "\n{}",
                table::render(&["PROFILE", "VERDICT", "REASON", "PACKETS", "BYTES"], &rows(&status.counters))
            );
        }
    }
    Ok(if status.state == State::InForce { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explain(state: State) -> &'static str {
    match state {
        State::InForce => "in force",
        State::Absent => "absent: run `sudo rcc firewall apply`",
        State::Stale => {
            "stale, of another configuration: run `sudo rcc firewall apply`; or of another rcc: run this one's `setup`"
        }
        State::Drifted => "drifted, somebody changed the loaded rules: run `sudo rcc firewall apply`",
    }
}

fn rows(counters: &[ProfileCounters]) -> Vec<Vec<String>> {
    let row = |profile: &ProfileCounters, verdict: &str, reason: String, counter: firewall::Counter| {
        let numbers = [counter.packets, counter.bytes].map(|number| number.to_string());
        [[profile.profile.to_string(), verdict.to_owned(), reason].as_slice(), &numbers].concat()
    };
    let of = |profile: &ProfileCounters| {
        let denied = profile.denied.iter().map(|(class, counter)| row(profile, "denied", class.to_string(), *counter));
        let allowed =
            profile.allowed.iter().map(|(what, counter)| row(profile, "allowed", (*what).to_owned(), *counter));
        denied.chain(allowed).collect::<Vec<_>>()
    };
    counters.iter().flat_map(of).collect()
}

/// Exit status 0 only if everything holds.
fn show_table(result: &Table, json: bool) -> miette::Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string_pretty(result).into_diagnostic()?);
    } else {
        let rows = result.rows.iter().map(|row| {
            let seen = row.seen.as_deref().unwrap_or("not attempted");
            let seen = if row.arrived { format!("{seen}; arrived") } else { seen.to_owned() };
            let verdict = if row.holds { "holds" } else { "FAILS" };
            vec![row.attempt.description.clone(), row.attempt.expected.to_string(), verdict.to_owned(), seen]
        });
        print!("{}", table::render(&["ATTEMPT", "EXPECTED", "VERDICT", "SEEN"], &rows.collect::<Vec<_>>()));
        let failed = result.rows.iter().filter(|row| !row.holds).count();
        println!("\n{} attempts, {failed} failed", result.rows.len());
    }
    Ok(if result.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Needs no privilege. The dynamic sets are those of this moment, without names.
fn render(backend: Backend, file: Option<&Path>) -> miette::Result<ExitCode> {
    use std::io::Write;
    let policy = match file {
        None => enforcement::current()?,
        // Only printed, so whose file it is does not matter.
        Some(file) => enforcement::policy(&config::load_admin(file, owner(file)?)?).into_diagnostic()?,
    };
    let ruleset = Ruleset::from(&policy);
    let text = match backend {
        Backend::Nft => {
            let surroundings = firewall::gather().into_diagnostic()?;
            nft::json(&nft::replace(&ruleset, &nft::version(&ruleset), &surroundings))
        }
        Backend::Pf => pf::render(&ruleset).into_bytes(),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(&text).and_then(|()| out.flush()).into_diagnostic().wrap_err("cannot print the rules")?;
    Ok(ExitCode::SUCCESS)
}

fn owner(file: &Path) -> miette::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).into_diagnostic();
    Ok(metadata.wrap_err_with(|| format!("cannot read {}", config::printable(&file.to_string_lossy())))?.uid())
}
