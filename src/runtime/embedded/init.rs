//! The sandbox's PID 1: makes the sandbox around itself, gives everything up, starts the agent.

use super::idmap::{self, IdMapError};
use super::lockdown::{self, Confinement, LockdownError};
use super::report::{Report, Reporter};
use super::root::{self, RootError};
use super::supervisor::Link;
use crate::network::inside::{self, InsideError};
use crate::plan::{HOSTNAME, Network, Plan};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

/// Why the sandbox was not made.
#[derive(Debug, thiserror::Error)]
enum InitError {
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
    /// The supervisor has reported why by itself.
    #[error("")]
    Supervisor,
}

/// What PID 1 gets from the launcher.
pub struct Start<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What the agent is held by.
    pub confinement: &'a Confinement,
    /// Where to say that all is well, or what is not.
    pub reporter: &'a Reporter,
}

/// Makes the sandbox, confines this process, and runs `agent` in it; returns what `agent` does.
/// `open_terminal` is called when the new root is in place and before anything is given up.
pub fn run<Terminal>(
    start: &Start<'_>,
    link: Option<&Link>,
    open_terminal: impl FnOnce() -> Result<Terminal, String>,
    agent: impl FnOnce(Terminal) -> u8,
) -> u8 {
    let terminal = make(start, link)
        .map_err(|error| error.to_string())
        .and_then(|()| open_terminal())
        .and_then(|terminal| confine(start).map_err(|error| error.to_string()).map(|()| terminal));
    match terminal {
        Ok(terminal) => {
            start.reporter.tell(&Report::Ready);
            agent(terminal)
        }
        Err(why) => {
            // An empty text: the supervisor has told already.
            if !why.is_empty() {
                start.reporter.tell(&Report::Refused(why));
            }
            1
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
    inside::prepare()?;
    if let Some(link) = link {
        link.offer_network().map_err(|_| InitError::Supervisor)?;
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

fn confine(start: &Start<'_>) -> Result<(), InitError> {
    lockdown::drop_privileges()?;
    let landlock = lockdown::confine(start.confinement)?;
    tracing::debug!("{landlock:?}");
    Ok(())
}
