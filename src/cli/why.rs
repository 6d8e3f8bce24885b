//! `rcc why`: what a sandbox would reach, by which rule, and what would change it.

use super::destination::Destination;
use super::host;
use crate::config::{self, Loaded, Sources};
use crate::enforcement;
use crate::explained::{Context, Explained};
use crate::facts::Facts;
use crate::output;
use crate::policy::explain::{Outcome, Place, Question, To};
use crate::policy::ruleset::Transport;
use crate::policy::{DomainName, Lease, NamePattern, Policy, ProfileName, Target};
use crate::shown;
use clap::{Args, ValueEnum};
use miette::{IntoDiagnostic, WrapErr};
use serde::Serialize;
use std::fmt::Write;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::process::ExitCode;

/// The port if none is typed: HTTPS.
const PORT: u16 = 443;

/// Explain what a sandbox reaches: exit status 0 if it is allowed, 1 if it is denied
#[derive(Debug, Args)]
pub struct WhyArguments {
    /// A name or an address, and a port [default port: 443]
    #[arg(value_name = "HOST[:PORT]")]
    destination: Destination,
    /// The network profile [default: the one that a sandbox here would have]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileName>,
    /// Over what
    #[arg(long, value_enum, default_value_t = OneProtocol::Tcp)]
    protocol: OneProtocol,
    /// Ask this machine's resolver for the name, and explain each address of the answer
    #[arg(long)]
    resolve: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OneProtocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl From<OneProtocol> for Transport {
    fn from(protocol: OneProtocol) -> Self {
        match protocol {
            OneProtocol::Tcp => Self::Tcp,
            OneProtocol::Udp => Self::Udp,
        }
    }
}

/// `why` is about one place.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot explain {what} at once")]
#[diagnostic(help("ask about one address or name, and one port"))]
struct NotOne {
    what: String,
}

/// The whole answer.
#[derive(Debug, Serialize)]
struct Verdict {
    destination: String,
    protocol: Transport,
    profile: ProfileName,
    allowed: bool,
    answers: Vec<Answered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// What becomes of one address, or of all addresses of a kind.
#[derive(Debug, Serialize)]
struct Answered {
    to: String,
    #[serde(flatten)]
    explained: Explained,
}

/// What a name is explained for if it is not resolved.
const PUBLIC: &str = "a public address";
const PRIVATE: &str = "a private address";

impl WhyArguments {
    /// Runs the command for the project at `project`, or outside of any.
    ///
    /// # Errors
    /// The configuration's; for a prefix, a pattern of names, or several ports.
    pub fn run(self, facts: &Facts, project: Option<&Path>) -> miette::Result<ExitCode> {
        let sources = Sources::new(facts, project.unwrap_or(&facts.cwd), self.profile.clone());
        let (admin, chosen) = match project {
            Some(_) => {
                let Loaded { admin, settings, .. } = config::load(&sources)?;
                (admin, settings.profile)
            }
            None => config::load_outside(&sources)?,
        };
        let port = self.port()?;
        let destination = shown::destination(&self.destination.target, port);
        let transport = Transport::from(self.protocol);
        let Some(profile) = admin.profiles.iter().position(|profile| profile.name == chosen) else {
            return offline(&destination, self.json);
        };
        let policy = enforcement::policy(&admin).into_diagnostic()?;
        let leases = host::leases()?;
        let (readable, leases) = (leases.is_some(), leases.unwrap_or_default());
        let plain: Vec<Lease> = leases.iter().map(|(lease, _)| lease.clone()).collect();
        let question =
            Question { policy: &policy, profile: &policy.profiles[profile], leases: &plain, transport, port };
        let context = Context {
            admin: &admin,
            file: &sources.admin,
            profile,
            leases: &leases,
            target: &self.destination.target,
            port,
            transport,
        };
        let (allowed, answers) = match &self.destination.target {
            Target::Address(net) if net.prefix_len() == net.max_prefix_len() => {
                let address = net.addr();
                let outcome = question.outcome(None, To::Address(address, &place(address, &policy)?));
                (outcome.is_allowed(), vec![answered(address, &context, outcome)])
            }
            Target::Domain(NamePattern::Exact(name)) => {
                let resolved = if self.resolve { Some(resolve(name)?) } else { None };
                of_name(name, resolved.as_deref(), &question, &context)?
            }
            several => return Err(NotOne { what: shown::target(several) }.into()),
        };
        let denied = answers.iter().any(|answer| !answer.explained.allowed);
        let note = (!readable && denied).then_some("leases were not looked at: only root can read them");
        let verdict = Verdict { destination, protocol: transport, profile: chosen, allowed, answers, note };
        if self.json {
            output::print_json(&verdict)?
        } else {
            output::print(text(&verdict))?
        }
        Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn port(&self) -> Result<u16, NotOne> {
        match self.destination.ports {
            None => Ok(PORT),
            Some(ports) if ports.first() == ports.last() => Ok(ports.first()),
            Some(ports) => Err(NotOne { what: format!("the ports {ports}") }),
        }
    }
}

fn offline(destination: &str, json: bool) -> miette::Result<ExitCode> {
    if json {
        output::print_json(&serde_json::json!({
            "destination": destination, "profile": ProfileName::offline(), "allowed": false, "answers": [],
        }))?;
    } else {
        output::print(format!("denied   {destination} in the profile offline, which has no network at all\n"))?;
    }
    Ok(ExitCode::FAILURE)
}

fn answered(to: impl ToString, context: &Context<'_>, outcome: Outcome) -> Answered {
    Answered { to: to.to_string(), explained: context.explain(outcome) }
}

/// Whether the name leads anywhere, and what its addresses meet: those it has, or both kinds.
fn of_name(
    name: &DomainName,
    addresses: Option<&[IpAddr]>,
    question: &Question<'_>,
    context: &Context<'_>,
) -> miette::Result<(bool, Vec<Answered>)> {
    if let Some(outcome) = question.of_name(name) {
        return Ok((false, vec![answered(name, context, outcome)]));
    }
    let Some(addresses) = addresses else {
        let [public, private] = [(PUBLIC, To::Public), (PRIVATE, To::Private)]
            .map(|(to, kind)| answered(to, context, question.outcome(Some(name), kind)));
        let allowed = if name.is_private() { private.explained.allowed } else { public.explained.allowed };
        return Ok((allowed, vec![public, private]));
    };
    let mut answers = Vec::with_capacity(addresses.len());
    for address in addresses {
        let place = place(*address, question.policy)?;
        answers.push(answered(address, context, question.outcome(Some(name), To::Address(*address, &place))));
    }
    // A program inside sees what is left of the answer.
    Ok((answers.iter().any(|answer| answer.explained.allowed), answers))
}

/// As this machine's programs resolve it; its addresses, each once.
fn resolve(name: &DomainName) -> miette::Result<Vec<IpAddr>> {
    let found = (name.as_str(), PORT).to_socket_addrs().into_diagnostic();
    let found = found.wrap_err_with(|| format!("cannot resolve {name} on this machine"))?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// What the host knows of an address; IPv4 behind NAT64 is the host's as much as IPv4 is.
pub(super) fn place(address: IpAddr, policy: &Policy) -> miette::Result<Place> {
    let (own, on_link) = host::links()?;
    let forms = |own: &IpAddr| crate::policy::ranges::with_nat64([(*own).into()]);
    Ok(Place {
        host: own.iter().any(|own| forms(own).iter().any(|form| form.contains(&address))),
        on_link: on_link.into_iter().find(|net| net.contains(&address)),
        interface: if policy.vpn_interfaces.is_empty() { None } else { host::interface_to(address)? },
    })
}

fn text(verdict: &Verdict) -> String {
    let Verdict { destination, protocol, profile, allowed, answers, note } = verdict;
    let word = |allowed: bool| if allowed { "allowed" } else { "denied" };
    let mut text = format!("{:<8} {destination} over {} in the profile {profile}\n", word(*allowed), protocol.as_str());
    for Answered { to, explained } in answers {
        let Explained { allowed, because, decided, change, .. } = explained;
        let _ = match to.as_str() {
            PUBLIC | PRIVATE => write!(text, "\nif the answer is {to}: {}\n", word(*allowed)),
            _ if answers.len() > 1 => write!(text, "\n{to}: {}\n", word(*allowed)),
            _ => writeln!(text),
        };
        let _ = writeln!(text, "  because    {because}");
        for (label, value) in [("decided by", decided.as_ref().map(ToString::to_string)), ("to change", change.clone())]
        {
            if let Some(value) = value {
                let _ = writeln!(text, "  {label:<10} {}", config::printable(&value));
            }
        }
    }
    if let Some(note) = note {
        let _ = writeln!(text, "\n{note}");
    }
    text
}
