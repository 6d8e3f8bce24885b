//! `rcc firewall`: loads, shows and verifies the rules.

use super::{host, table};
use crate::config;
use crate::enforcement;
use crate::firewall::{self, ProfileCounters, State, nft, pf};
use crate::output;
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, ProfileName, Target};
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
        /// Stay, as the service: keep them true, answer sandboxes' questions for names, record what
        /// is denied; read the configuration again on SIGHUP
        #[arg(long)]
        watch: bool,
    },
    /// Make the running service read the configuration again, and wait for it (root)
    #[command(hide = true)]
    Reload,
    /// Remove the rules (root); nothing with a network starts without them
    Reset,
    /// Tell whether the rules are in force, absent, stale or drifted, and whether names resolve
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

impl FirewallCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// The configuration's, the firewall's.
    pub fn run(self) -> miette::Result<ExitCode> {
        match self {
            Self::Apply { watch: true } => watch(),
            Self::Apply { watch: false } => apply(),
            Self::Reload => reload(),
            Self::Reset => host::recorded("reset", None, firewall::reset).into_diagnostic().map(|()| ExitCode::SUCCESS),
            Self::Status { json } => status(json),
            Self::Verify(arguments) => host::verify(&arguments),
            Self::Render { backend, file } => render(backend, file.as_deref()),
        }
    }
}

fn watch() -> miette::Result<ExitCode> {
    host::watch()?;
    Ok(ExitCode::SUCCESS)
}

fn reload() -> miette::Result<ExitCode> {
    let policy = enforcement::current()?;
    host::recorded("reload", Some(&policy), || firewall::reload(&policy)).into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}

fn apply() -> miette::Result<ExitCode> {
    let admin = config::load_admin(Path::new(config::ADMIN_FILE), 0)?;
    let policy = enforcement::policy(&admin).into_diagnostic()?;
    host::recorded("apply", Some(&policy), || apply_policy(&policy))?;
    for warning in admin.warnings {
        output::tell_line(format_args!("{:?}", miette::Report::new(warning)));
    }
    warn_of_host(&policy)?;
    Ok(ExitCode::SUCCESS)
}

/// The file's reader warns of addresses that are every machine's own; this machine's others are
/// known here.
fn warn_of_host(policy: &Policy) -> miette::Result<()> {
    let (own, _) = host::links()?;
    for (profile, exception) in policy.profiles.iter().flat_map(|it| it.exceptions.iter().map(move |e| (&it.name, e))) {
        if let Target::Address(net) = exception.target
            && net.prefix_len() == net.max_prefix_len()
            && !net.addr().is_loopback()
            && own.contains(&net.addr())
        {
            output::tell_line(format_args!(
                "rcc: '{profile}' opens {}, which is this machine itself, and whatever listens there",
                net.addr()
            ));
        }
    }
    Ok(())
}

/// Loads a policy's rules.
///
/// # Errors
/// The firewall's.
pub fn apply_policy(policy: &Policy) -> miette::Result<()> {
    firewall::apply(policy, &firewall::gather().into_diagnostic()?).into_diagnostic()
}

const ANSWERS: &str = "the resolver answers\n";
const NO_ANSWER: &str = "the resolver does not answer, and no sandbox with a network starts without it: run `sudo \
                         systemctl restart rcc-firewall`, or without systemd `sudo rcc firewall apply --watch`\n";

/// Exit status 0 only if the rules are in force, whether names resolve or not.
fn status(json: bool) -> miette::Result<ExitCode> {
    let policy = enforcement::current()?;
    let status = host::status(&policy)?;
    if json {
        output::print_json(&status)?;
    } else {
        let mut text = format!("{}\nversion {}\n", explain(status.state), status.version);
        text += status.resolver.map_or("", |answers| if answers { ANSWERS } else { NO_ANSWER });
        if !status.counters.is_empty() {
            text.push('\n');
            text += &table::render(&["PROFILE", "VERDICT", "REASON", "PACKETS", "BYTES"], &rows(&status.counters));
        }
        output::print(text)?;
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

/// Needs no privilege. The dynamic sets are those of this moment, without names.
fn render(backend: Backend, file: Option<&Path>) -> miette::Result<ExitCode> {
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
        Backend::Pf => pf_text(&ruleset)?.into_bytes(),
    };
    output::print(text)?;
    Ok(ExitCode::SUCCESS)
}

/// What would be loaded with one network for each profile.
fn pf_text(ruleset: &Ruleset) -> miette::Result<String> {
    let shared = firewall::gather().into_diagnostic()?;
    let surroundings = pf::Surroundings { shared, ..pf::Surroundings::example(ruleset) };
    let text = pf::Anchor::new(ruleset, &surroundings).text();
    Ok(format!("# As for one network of sandboxes for each profile, at example addresses.\n{text}"))
}

fn owner(file: &Path) -> miette::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).into_diagnostic();
    Ok(metadata.wrap_err_with(|| format!("cannot read {}", config::printable(&file.to_string_lossy())))?.uid())
}
