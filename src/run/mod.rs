//! Carries out a plan: starts the supervisor, lets it begin once everything is in place, and
//! waits for the end.

mod ceilings;
pub mod engine;
mod ground;
pub mod membership;
pub mod pairing;
pub mod plugins;
mod prepare;
mod supervisor;

pub use crate::runtime::embedded::init::Body;
pub use ceilings::explain;
pub use prepare::{PrepareError, Prepared, Room, Task};

use crate::network::slot::{Slot, SlotError};
use crate::output;
use crate::plan::Plan;
use crate::project::handover::{HandoverError, Placeholder};
use crate::project::home::HomeError;
use crate::runtime::choice::Choice;
use crate::runtime::embedded::cgroup::{self, CgroupError, Reclaimer};
use crate::runtime::embedded::idmap::IdMapError;
use crate::runtime::embedded::lockdown::Confinement;
use crate::runtime::embedded::report::{Report, Reports};
use crate::runtime::embedded::seccomp::{self, SeccompError};
use crate::session::{Record, Session, SessionError};
use crate::shown;
use crate::terminal::control::{ControlError, LauncherEnd};
use crate::terminal::relay::{self, RelayError};
use crate::terminal::stdio::{self, AgentStdio, StdioError, UserStdio};
use crate::terminal::{Outcome, Relay, Stdio};
use ceilings::Ceilings;
use ground::Ground;
use miette::Diagnostic;
use rustix::process::Pid;
use std::os::fd::{AsFd, OwnedFd};
use std::time::SystemTime;
use supervisor::{Ends, Supervision, Supervisor};

/// Why a run did not begin, or what rcc could not do about it.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum RunError {
    /// There is no plan.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Prepare(#[from] PrepareError),
    /// What the host would execute could not be protected.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The private home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// What the agent wants to find there.
    #[error("cannot prepare the private home for the agent: {0}")]
    Seed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The directory for locks and sessions.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No identity is free.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The filter.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    /// A limit cannot be enforced.
    #[error("a limit was asked for and cannot be enforced: {0}")]
    Limits(#[from] cgroup::Missing),
    /// The cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The users of the sandbox.
    #[error(transparent)]
    IdMap(#[from] IdMapError),
    /// A container engine.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Engine(#[from] engine::EngineError),
    /// A process or a pipe.
    #[error("cannot {what}: {source}; `rcc setup` says what the machine lacks")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Standard input, output or error.
    #[error(transparent)]
    Stdio(#[from] StdioError),
    /// The launcher's connection to the sandbox.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The sandbox ended before the agent did.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The supervisor, or somebody below it, refused.
    #[error("nothing was started: {why}")]
    Refused {
        /// Why.
        why: String,
    },
}

fn host(what: &'static str) -> impl Fn(std::io::Error) -> RunError {
    move |source| RunError::Host { what, source }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The agent's end.
    pub outcome: Outcome,
    /// The name that the sandbox had.
    pub session: String,
    /// When the sandbox was about to be started.
    pub started: SystemTime,
    /// Placeholders of this run, with absolute paths, which may still be there for another sandbox.
    pub placeholders: Vec<Placeholder>,
    /// Placeholders that could not be removed.
    pub leftovers: Vec<HandoverError>,
}

/// Carries out what was prepared, and returns when the agent has ended. `standing` is called once, when nothing forks
/// any more.
pub fn execute(prepared: &Prepared, body: Body<'_>, standing: &mut dyn FnMut()) -> Result<Ended, RunError> {
    let stdio = match body {
        Body::Command => Stdio::inspect()?,
        Body::Function(_) => Stdio::none(),
    };
    match (&prepared.runtime, body) {
        (Choice::Engine { name, image, .. }, Body::Command) => {
            engine::carry_out(prepared, (*name, image), standing, || stdio.prepare())
        }
        _ => carry_out(prepared, body, Loss::Tell, standing, || stdio.prepare()),
    }
}

/// The same for a function of rcc's own that serves a socket, which is its standard input and nobody else's. Without
/// a network that was there it does not go on.
pub fn serve(prepared: &Prepared, socket: OwnedFd, function: &dyn Fn() -> u8) -> Result<Ended, RunError> {
    carry_out(prepared, Body::Function(function), Loss::End, &mut || (), || Ok(stdio::only_input(socket)))
}

/// What to do when the network was cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Say so, and go on without.
    Tell,
    /// End the sandbox as well.
    End,
}

/// What it means when the supervisor is gone without having told the end of the sandbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vanished {
    /// The sandbox is gone with it, and its PID 1's socket tells the rest.
    Follows,
    /// The sandbox does not end by itself.
    End,
}

fn carry_out(
    prepared: &Prepared,
    body: Body<'_>,
    loss: Loss,
    standing: &mut dyn FnMut(),
    streams: impl FnOnce() -> Result<(UserStdio, AgentStdio), StdioError>,
) -> Result<Ended, RunError> {
    let ground = Ground::lay(prepared)?;
    let plan = ground.plan(prepared)?;
    let (ceilings, cgroup) = ceilings::embedded(&plan)?;
    let slot = ground.slot(&plan)?;
    let Ground { started, runtime_dir, handover, .. } = ground;
    let filter = seccomp::compile()?;
    let (writable, executes) = (plan.view.writable(), prepared.executes());
    let confinement = Confinement { filter, writable, executes, processes: ceilings.counted(plan.user.0) };
    let supervision = Supervision { prepared, plan: &plan, slot: slot.as_ref(), confinement: &confinement, body };
    let (mut supervisor, ends) = Supervisor::start(&supervision, streams()?)?;
    let (ceilings, cgroup) = ceilings::enter(ceilings, cgroup, supervisor.pid, &plan.session)?;
    // Before the agent's first packet: what is denied is attributed by this record.
    let _session = Session::register(&runtime_dir, &record(&plan, slot.as_ref(), supervisor.pid, &ceilings))?;
    supervisor.begin(&supervision)?;
    match ends.reports.next().map_err(|error| host("hear the supervisor")(error.into()))? {
        Some(Report::Ready) => (),
        Some(Report::Refused(why) | Report::Cut(why)) => return Err(RunError::Refused { why }),
        Some(Report::Ended) | None => return Err(RunError::Refused { why: "the supervisor died".to_owned() }),
    }
    let Ends { reports, control, user } = ends;
    let mut reclaimer = None;
    let mut standing = || {
        standing();
        reclaimer = cgroup.as_ref().and_then(|cgroup| Reclaimer::start(cgroup.dir()));
    };
    let relayed = relay(&reports, control, user, loss, Vanished::Follows, &mut standing);
    drop(reclaimer);
    match &relayed {
        // A cgroup can only be removed when the last process is gone.
        Ok((_, ended)) if cgroup.is_none() => supervisor.end(&reports, *ended),
        _ => drop(supervisor),
    }
    // Nothing inside can write any more.
    let placeholders = handover.placeholders();
    let leftovers = handover.finish();
    Ok(Ended { outcome: relayed?.0, session: plan.session.clone(), started, placeholders, leftovers })
}

/// Passes on what the user types and the agent prints, until the agent ends; whether the
/// supervisor has told the end of the whole sandbox by then. A network that is cut is told at
/// once: in the middle of the agent's screen if need be.
fn relay(
    reports: &Reports,
    control: LauncherEnd,
    user: UserStdio,
    loss: Loss,
    vanished: Vanished,
    standing: &mut dyn FnMut(),
) -> Result<(Outcome, bool), RunError> {
    let mut ended = false;
    let mut tell = |_: usize| match reports.next() {
        Ok(Some(Report::Cut(why))) => {
            let why = shown::text(&why);
            output::tell(format_args!("\r\nrcc: the network of this sandbox was cut: {why}\r\n"));
            if loss == Loss::End { relay::Watch::End } else { relay::Watch::Keep }
        }
        Ok(Some(Report::Ended)) => {
            ended = true;
            relay::Watch::Keep
        }
        Ok(Some(_)) => relay::Watch::Keep,
        Ok(None) | Err(_) if vanished == Vanished::End && !ended => relay::Watch::End,
        Ok(None) | Err(_) => relay::Watch::Forget,
    };
    let relay = Relay::new(control, user)?;
    // Signals are held back by now, in threads that begin here as well.
    standing();
    let outcome = relay.run(&[reports.as_fd()], &mut tell)?;
    Ok((outcome, ended))
}

/// As `--runtime` names it, and as the plan shows it.
fn name_of(runtime: &Choice) -> String {
    let shown = serde_json::to_value(runtime).unwrap_or_default();
    shown["name"].as_str().unwrap_or_default().to_owned()
}

fn record(plan: &Plan, slot: Option<&Slot>, supervisor: Pid, ceilings: &Ceilings) -> Record {
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Record {
        id: plan.session.clone(),
        launcher: std::process::id() as i32,
        supervisor: supervisor.as_raw_pid(),
        runtime: name_of(&plan.runtime),
        container: None,
        project: plan.project.to_string_lossy().into_owned(),
        profile: plan.network.profile().to_string(),
        identity: slot.map(|slot| slot.identity),
        command: plan.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        started: started.map_or(0, |since| since.as_secs()),
        ceilings: ceilings.held(),
        by_default: ceilings.by_default(plan),
    }
}
