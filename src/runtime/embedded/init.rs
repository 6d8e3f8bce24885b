//! The sandbox's PID 1: makes the sandbox around itself, gives everything up, starts the agent.

use super::idmap::{self, IdMapError};
use super::lockdown::{self, Confinement, LockdownError};
use super::loopback::{self, LoopbackError};
use super::report::{Report, Reporter};
use super::root::{self, RootError};
use super::supervisor::Link;
use super::watch::Watch;
use super::{agent, process};
use crate::network::inside::{self, InsideError};
use crate::plan::{HOSTNAME, Network, Plan};
use crate::plugin::port::Port;
use crate::terminal::control::InitEnd;
use crate::terminal::init::Alarm;
use crate::terminal::stdio::AgentStdio;
use crate::terminal::{self, Outcome};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Why the sandbox was not made.
#[derive(Debug, thiserror::Error)]
pub(in crate::runtime) enum InitError {
    #[error("cannot tie the sandbox to its supervisor: {0}")]
    Tie(Errno),
    #[error(transparent)]
    IdMap(#[from] IdMapError),
    #[error(transparent)]
    Inside(#[from] InsideError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error("cannot name the sandbox: {0}")]
    Hostname(Errno),
    #[error(transparent)]
    Lockdown(#[from] LockdownError),
    #[error("cannot enter {0} inside the sandbox: {1}")]
    Directory(String, Errno),
    #[error("cannot watch the sandbox's mounts: {0}")]
    Watch(std::io::Error),
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
    #[error(transparent)]
    Terminal(#[from] terminal::init::InitError),
    /// The supervisor has reported why by itself.
    #[error("")]
    Supervisor,
}

/// What runs in the sandbox.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// The plan's command.
    Command,
    /// A function of rcc's own, which gets no standard input and output; its result is the exit
    /// status.
    Function(&'a dyn Fn() -> u8),
}

/// The agent, as PID 1 starts it.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct Agent<'a> {
    /// The command and its arguments.
    pub command: &'a [OsString],
    /// Its environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// What to run.
    pub body: Body<'a>,
    /// What it is held by.
    pub confinement: &'a Confinement,
    /// Ports of its loopback that lead to plugins.
    pub ports: &'a [Port],
}

/// What PID 1 gets from the launcher.
pub struct Start<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What the agent is held by.
    pub confinement: &'a Confinement,
    /// What to run.
    pub body: Body<'a>,
    /// Where to say that all is well, or what is not.
    pub reporter: &'a Reporter,
}

/// Makes the sandbox, confines this process, and runs the agent in it to its end; the exit status.
pub fn run(start: &Start<'_>, link: Option<&Link>, control: InitEnd, stdio: AgentStdio) -> u8 {
    let plan = start.plan;
    let (command, environment) = (plan.command.as_slice(), &plan.environment);
    let (body, confinement, ports) = (start.body, start.confinement, plan.ports.as_slice());
    let agent = Agent { command, environment, body, confinement, ports };
    let made = make(start, link);
    match made.and_then(|()| start_agent(&agent, lockdown::drop_privileges, start.reporter, control, stdio)) {
        Ok(outcome) => outcome.status(),
        Err(error) => {
            let why = error.to_string();
            // An empty text: the supervisor has told already.
            if !why.is_empty() {
                start.reporter.tell(&Report::Refused(why));
            }
            Outcome::FAILED
        }
    }
}

/// The order matters: the network namespace goes to pasta first, which takes longest; the routes
/// need the interface that pasta makes, and /proc of the host, which goes with its root.
fn make(start: &Start<'_>, link: Option<&Link>) -> Result<(), InitError> {
    let plan = start.plan;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(InitError::Tie)?;
    // The supervisor's namespace has the user as 0.
    idmap::map_self(plan.user, (0, 0))?;
    inside::prepare(plan.user.1)?;
    if let Some(link) = link {
        link.offer_network().map_err(|_| InitError::Supervisor)?;
        link.offer_dead_end(inside::make_dead_end()?.as_fd()).map_err(|_| InitError::Supervisor)?;
    }
    let root = root::build(&plan.view)?;
    match (&plan.network, link) {
        (Network::Guarded(guarded), Some(link)) => {
            link.await_network().map_err(|_| InitError::Supervisor)?;
            inside::add_routes(&guarded.routes)?;
            inside::verify_routes(&guarded.routes)?;
        }
        _ => inside::verify_offline()?,
    }
    rustix::system::sethostname(HOSTNAME.as_bytes()).map_err(InitError::Hostname)?;
    root::enter(root)?;
    let directory = |error| InitError::Directory(plan.directory.display().to_string(), error);
    rustix::process::chdir(&plan.directory).map_err(directory)
}

/// Confines this process, a PID 1 in a sandbox that is ready, and runs the agent to its end.
pub(in crate::runtime) fn start_agent(
    agent: &Agent<'_>,
    unprivileged: impl FnOnce() -> Result<(), LockdownError>,
    reporter: &Reporter,
    control: InitEnd,
    stdio: AgentStdio,
) -> Result<Outcome, InitError> {
    let mut mounts = Watch::start().map_err(InitError::Watch)?;
    let terminal = terminal::init::Init::prepare(control, stdio)?;
    unprivileged()?;
    let landlock = lockdown::confine(agent.confinement)?;
    tracing::debug!("{landlock:?}");
    loopback::serve(agent.ports)?;
    let bell = mounts.as_fd().try_clone_to_owned().map_err(InitError::Watch)?;
    reporter.tell(&Report::Ready);
    // SAFETY: from here on failures go to the terminal's control socket, and this process ends by
    // _exit, so nothing uses or drops the reporter.
    unsafe { reporter.close_copy() };
    let child = process::fork(|| match terminal::agent::attach(&terminal) {
        Ok(()) => match agent.body {
            Body::Command => agent::execute(agent.command, agent.environment),
            Body::Function(function) => function(),
        },
        Err(error) => {
            terminal.fail(&error);
            Outcome::FAILED
        }
    });
    let child = match child {
        Ok(child) => child,
        Err(error) => {
            terminal.fail(&format_args!("cannot create the agent's process: {error}"));
            return Ok(Outcome::Lost);
        }
    };
    let mut reason = || unprotected(mounts.lost());
    let ended = terminal.supervise(child, Some(Alarm { bell: bell.as_fd(), reason: &mut reason }));
    // The launcher sees the control socket end without a report.
    Ok(ended.unwrap_or(Outcome::Lost))
}

/// A mount that is gone was a protection: of a secret, or of what the host would execute.
fn unprotected(lost: std::io::Result<Vec<PathBuf>>) -> Option<String> {
    match lost {
        Ok(lost) => lost.first().map(|path| {
            format!(
                "{} was replaced from outside while the agent ran, and its protection went with it: \
                 the sandbox was ended; start it again",
                crate::shown::terminal(path)
            )
        }),
        Err(error) => Some(format!("cannot watch the sandbox's mounts: {error}")),
    }
}
