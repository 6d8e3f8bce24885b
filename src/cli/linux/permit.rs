//! `rcc allow`, and what `rcc deny` shares with it.

use crate::cli::permit::AllowArguments;
use crate::cli::why;
use crate::config::amend::Change;
use crate::config::{self, Admin};
use crate::enforcement;
use crate::firewall::leases::{self, Leases};
use crate::firewall::{self, ReloadError};
use crate::output;
use crate::permit::audit::{Entry, Log, State, Who};
use crate::permit::sessions::{self, Running};
use crate::permit::{FileChange, RootFile, moment, span};
use crate::policy::explain::{Outcome, Question, To};
use crate::policy::ruleset::{Ruleset, Transport};
use crate::policy::{
    DomainName, Exception, Holder, Lease, LeaseTarget, Listed, NamePattern, Policy, PortRange, Ports, ProfileName,
    Protocol, Reach, Target,
};
use crate::session::RUN;
use crate::setup::Failure;
use crate::shown;
use miette::{IntoDiagnostic, miette};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Only root may.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the network policy belongs to root")]
#[diagnostic(help("run the same with sudo"))]
pub(super) struct NotRoot;

/// Nothing names the port.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("which port of {host} is to be allowed?")]
#[diagnostic(help("write HOST:PORT, or a range of ports, like {example}; an IPv6 address goes into brackets"))]
struct NoPort {
    host: String,
    example: String,
}

/// A lease is an entry of a set of addresses.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("a lease is for one address or name, not for the prefix {0}")]
#[diagnostic(help("leave out --for: root's file takes prefixes"))]
struct Prefix(String);

/// A profile in which nothing is and nothing can be allowed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("nothing can be allowed in '{profile}': it is {}", if profile.is_offline() { "without any network" } else { "no profile" })]
#[diagnostic(help("there are: {known}"))]
pub(super) struct NoProfile {
    profile: ProfileName,
    known: String,
}

/// Refuses a profile that has no rules.
pub(super) fn check_profile(admin: &Admin, profile: &ProfileName) -> Result<(), NoProfile> {
    if admin.profile(profile).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = admin.profiles.iter().map(|profile| profile.name.as_str()).collect();
    Err(NoProfile { profile: profile.clone(), known: known.join(", ") })
}

/// Refuses everybody else.
pub(super) fn require_root() -> Result<(), NotRoot> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(NotRoot) }
}

/// What the host's files ask for.
pub(super) fn files() -> miette::Result<(Admin, Policy)> {
    let admin = config::load_admin(Path::new(config::ADMIN_FILE), 0)?;
    let policy = enforcement::policy(&admin).into_diagnostic()?;
    Ok((admin, policy))
}

/// What holds now, and for whom something is to be changed.
pub(super) struct Now {
    admin: Admin,
    pub(super) policy: Policy,
    pub(super) profile: ProfileName,
    pub(super) session: Option<Running>,
}

impl Now {
    pub(super) fn look(profile: Option<&ProfileName>, session: Option<&str>) -> miette::Result<Self> {
        require_root()?;
        Self::of(files()?, profile, session)
    }

    pub(super) fn of(
        (admin, policy): (Admin, Policy),
        profile: Option<&ProfileName>,
        session: Option<&str>,
    ) -> miette::Result<Self> {
        let preferred = Who::calling().sudo_uid;
        let session = session.map(|id| sessions::find(Path::new(RUN), &policy, id, preferred)).transpose()?;
        let profile = match (&session, profile) {
            (Some(running), _) => policy.profiles[running.profile].name.clone(),
            (None, profile) => profile.cloned().unwrap_or_else(ProfileName::public),
        };
        check_profile(&admin, &profile)?;
        Ok(Self { admin, policy, profile, session })
    }

    fn holder(&self) -> Holder {
        match &self.session {
            Some(running) => Holder::Identity(running.identity),
            None => Holder::Profile(self.profile.clone()),
        }
    }

    /// For whom, in words.
    pub(super) fn beneficiary(&self) -> String {
        match &self.session {
            Some(running) => format!("for the sandbox {}", running.id),
            None => format!("in the profile {}", self.profile),
        }
    }

    pub(super) fn entry(
        &self,
        action: &'static str,
        destination: &str,
        protocol: &'static str,
        until: Option<String>,
    ) -> Entry {
        Entry {
            action,
            destination: destination.to_owned(),
            protocol,
            profile: self.profile.to_string(),
            session: self.session.as_ref().map(|running| running.id.clone()),
            until,
        }
    }

    /// What becomes of one port of the target, by the rules and the leases of the profile.
    pub(super) fn outcome(
        &self,
        target: &Target,
        transport: Transport,
        port: u16,
        leases: &[Lease],
    ) -> miette::Result<Outcome> {
        let profile = self.policy.profile(&self.profile).map(|(_, profile)| profile);
        let profile = profile.ok_or_else(|| miette!("the profile {} does not exist any more", self.profile))?;
        let question = Question { policy: &self.policy, profile, leases, transport, port };
        Ok(match target {
            Target::Address(net) => {
                let place = why::place(net.addr(), &self.policy)?;
                question.outcome(None, To::Address(net.addr(), &place))
            }
            Target::Domain(pattern) => {
                let name = match pattern {
                    NamePattern::Exact(name) => name.clone(),
                    // Any of them stands for all.
                    NamePattern::Below(name) => {
                        DomainName::new(&format!("any.{name}")).unwrap_or_else(|_| name.clone())
                    }
                };
                let to = if name.is_private() { To::Private } else { To::Public };
                question.of_name(&name).unwrap_or_else(|| question.outcome(Some(&name), to))
            }
        })
    }
}

impl AllowArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let now = Now::look(self.profile.as_ref(), self.session.as_deref())?;
        let target = &self.destination.target;
        let no_port = || NoPort { host: shown::target(target), example: shown::typed(target, "8000-8100") };
        let ports = self.destination.ports.ok_or_else(no_port)?;
        let typed = shown::destination(target, ports);
        if self.is_public_anyway(&now, ports)? {
            let told = format!("{typed} is public, and {} reaches it already: nothing to change", now.profile);
            return self.tell(told, &now, None);
        }
        warn_of_breadth(target);
        warn_of_host(target, &now.policy)?;
        match self.time {
            Some(time) => self.lease(&now, ports, time, &typed),
            None => self.write(&now, ports, &typed),
        }
    }

    /// Whether the profile reaches the very address without any rule.
    fn is_public_anyway(&self, now: &Now, ports: PortRange) -> miette::Result<bool> {
        let Target::Address(net) = &self.destination.target else { return Ok(false) };
        let single = net.prefix_len() == net.max_prefix_len();
        let outcome = now.outcome(&self.destination.target, Transport::Tcp, ports.first(), &[])?;
        Ok(single && outcome == Outcome::Public)
    }

    fn lease(&self, now: &Now, ports: PortRange, time: Duration, typed: &str) -> miette::Result<ExitCode> {
        let target = match &self.destination.target {
            Target::Address(net) if net.prefix_len() < net.max_prefix_len() => {
                return Err(Prefix(net.to_string()).into());
            }
            Target::Address(net) => LeaseTarget::Address(net.addr()),
            Target::Domain(pattern) => LeaseTarget::Name(pattern.clone()),
        };
        // Before it is on record, and before it is added to the time of day, which has an end.
        leases::check_time(time).into_diagnostic()?;
        let transports = transports(self.protocol.into());
        let wanted = transports.iter().map(|transport| Lease::new(target.clone(), *transport, ports, now.holder()));
        let wanted: Vec<Lease> = wanted.collect::<Result<_, _>>().into_diagnostic()?;
        let until = moment(SystemTime::now() + time);
        let entry = now.entry("allow", typed, Protocol::from(self.protocol).as_str(), Some(until.clone()));
        let (log, who, ruleset) = (Log::host(), Who::calling(), Ruleset::from(&now.policy));
        // On record before it holds.
        log.add(&who, &entry, State::Requested)?;
        let given =
            Leases::open().and_then(|mut kernel| wanted.iter().try_for_each(|lease| kernel.add(&ruleset, lease, time)));
        record_end(&log, &who, &entry, &given);
        given.into_diagnostic()?;
        let told = format!("{typed} is allowed {} for {}, until {until}", now.beneficiary(), span(time));
        self.tell(told, now, Some(until))
    }

    fn write(&self, now: &Now, ports: PortRange, typed: &str) -> miette::Result<ExitCode> {
        let (target, protocol) = (self.destination.target.clone(), Protocol::from(self.protocol));
        let set = Ports::new(vec![ports]).into_diagnostic()?;
        let lists = matches!(now.admin.profile(&now.profile).map(|profile| &profile.reach), Some(Reach::Listed(_)));
        let change = match target {
            Target::Domain(pattern) if lists && !self.private && !pattern.is_private() => {
                Change::List(Listed { pattern, ports: set, protocol })
            }
            target => Change::Except(Exception { target, ports: set, protocol }),
        };
        let may_be_private = matches!(&change, Change::Except(Exception { target: Target::Domain(_), .. }));
        let entry = now.entry("allow", typed, Protocol::from(self.protocol).as_str(), None);
        let told = match make(now, change, entry)? {
            Made::Already => {
                format!("{} says so already: {typed} is allowed {}", config::ADMIN_FILE, now.beneficiary())
            }
            Made::Done => {
                let private = if may_be_private { ", in private networks too" } else { "" };
                format!("{typed} is allowed {}{private}, for good, in {}", now.beneficiary(), config::ADMIN_FILE)
            }
        };
        self.tell(told, now, None)
    }

    fn tell(&self, told: String, now: &Now, until: Option<String>) -> miette::Result<ExitCode> {
        if self.json {
            let session = now.session.as_ref().map(|running| &running.id);
            output::print_json(&serde_json::json!({
                "allowed": true, "profile": now.profile, "session": session, "until": until, "message": told,
            }))?;
        } else {
            output::print(format!("{told}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Whoever registers a name there decides where it leads.
fn warn_of_breadth(target: &Target) {
    if let Target::Domain(pattern) = target
        && pattern.is_broad()
        && !pattern.is_private()
    {
        output::tell_line(format_args!("rcc: {pattern} is every name there, also those that anybody may register"));
    }
}

/// What listens on this machine was not made for an agent.
fn warn_of_host(target: &Target, policy: &Policy) -> miette::Result<()> {
    if let Target::Address(net) = target
        && net.prefix_len() == net.max_prefix_len()
        && why::place(net.addr(), policy)?.host
    {
        output::tell_line(format_args!("rcc: {} is this machine itself, and whatever listens there", net.addr()));
    }
    Ok(())
}

pub(super) enum Made {
    Done,
    Already,
}

/// Changes root's file and puts it into force.
pub(super) fn make(now: &Now, change: Change, entry: Entry) -> miette::Result<Made> {
    let file = RootFile { path: config::ADMIN_FILE.into(), owner: 0, log: Log::host(), enforce: &enforce };
    let wanted = FileChange { profile: now.profile.clone(), change, entry, who: Who::calling() };
    let Some(warnings) = file.make(&wanted)? else { return Ok(Made::Already) };
    for warning in warnings {
        output::tell_line(format_args!("{:?}", miette::Report::new(warning)));
    }
    Ok(Made::Done)
}

/// Through the service, which would otherwise load what it knows again; without one, once.
fn enforce(admin: &Admin) -> Result<(), Failure> {
    let policy = enforcement::policy(admin)?;
    match firewall::reload(&policy) {
        Err(ReloadError::NotRunning) => Ok(firewall::apply(&policy, &firewall::gather()?)?),
        reloaded => Ok(reloaded?),
    }
}

pub(super) fn record_end<E: std::fmt::Display>(log: &Log, who: &Who, entry: &Entry, done: &Result<(), E>) {
    let reason = done.as_ref().err().map(ToString::to_string);
    let state = reason.as_deref().map_or(State::Done, State::Failed);
    if let Err(error) = log.add(who, entry, state) {
        output::tell_line(format_args!("rcc: {error}"));
    }
}

pub(super) fn transports(protocol: Protocol) -> &'static [Transport] {
    match protocol {
        Protocol::Tcp => &[Transport::Tcp],
        Protocol::Udp => &[Transport::Udp],
        Protocol::Any => &[Transport::Tcp, Transport::Udp],
    }
}
