//! The daemon: one thread for the sockets, one for the disk.

mod cache;
mod client;
mod core;
pub(super) mod credentials;
mod sockets;
mod store;
#[cfg(test)]
mod tests;
mod worktables;

use self::core::{Core, Done};
use super::hub::{Hub, Now, Own};
use super::place::Place;
use super::policy::Policy;
use super::writer::{Gone, Writer, WriterConfig, WriterError};
use crate::moment::Moment;
use crate::sd_notify;
use crate::shown;
use crate::sockets::SocketError;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use worktables::Worktables;

/// How long clients have, when the relay ends, to take what is on its way to them.
const FAREWELL: Duration = Duration::from_millis(500);

/// Reads the policy again.
pub type Load = Box<dyn Fn() -> Result<Policy, Box<dyn std::error::Error + Send + Sync>>>;

/// What the daemon needs.
pub struct Start {
    /// Where its files are.
    pub place: Place,
    /// Whether it is the system's relay: other users may connect.
    pub system: bool,
    /// The policy; read again on SIGHUP.
    pub load: Load,
}

/// Why the relay does not start.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DaemonError {
    /// It would run as root.
    #[error("the relay never runs as root")]
    #[diagnostic(help(
        "start it as the user whose agents talk to each other; for several users, or for root's agents, `rcc relay \
         install --system` sets up the system's relay, which has a user of its own"
    ))]
    Root,
    /// Another one runs.
    #[error("a relay runs already at {}", shown::terminal(path))]
    #[diagnostic(help("`rcc relay status` shows it, `rcc relay stop` ends it"))]
    Running {
        /// Its socket.
        path: std::path::PathBuf,
    },
    /// The sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The policy.
    #[error("the relay's policy cannot be read: {0}")]
    #[diagnostic(help("`rcc config check` on that file tells what is wrong, and where"))]
    Policy(Box<dyn std::error::Error + Send + Sync>),
    /// The journal or the store.
    #[error(transparent)]
    Writer(#[from] WriterError),
    /// The writer has ended before the relay did.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The process.
    #[error("cannot {attempt}: {source}")]
    Host {
        /// What was attempted.
        attempt: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

fn host(attempt: &'static str) -> impl Fn(io::Error) -> DaemonError {
    move |source| DaemonError::Host { attempt, source }
}

/// Runs the relay until it is told to end: by SIGTERM, SIGINT or a client that may. Never as root.
///
/// # Errors
/// Why it did not start.
pub fn run(start: Start) -> Result<(), DaemonError> {
    if rustix::process::geteuid().is_root() {
        return Err(DaemonError::Root);
    }
    serve(start, sd_notify::sockets())
}

fn serve(start: Start, inherited: Vec<OwnedFd>) -> Result<(), DaemonError> {
    let Start { place, system, load } = start;
    let directories = sockets::Directories::prepare(&place, system)?;
    let lock = directories.lock()?.ok_or_else(|| DaemonError::Running { path: place.socket() })?;
    let policy = load().map_err(DaemonError::Policy)?;
    crate::sockets::raise_descriptor_limit();
    let (outcomes, done) = mpsc::unbounded_channel();
    let to_loop = outcomes.clone();
    let config = WriterConfig::at(&place.store(), &place.audit(), policy.audit_retention);
    // A channel that nobody reads any more is the end of the loop: nothing to tell then.
    let (writer, mut remains) = Writer::start(config, Box::new(move |batch| drop(to_loop.send(Done::Batch(batch)))))?;
    let mended = std::mem::take(&mut remains.mended);
    for what in &mended {
        tracing::warn!("{what}");
    }
    let own = Own {
        uid: rustix::process::geteuid().as_raw(),
        system,
        started: Moment::now(),
        audit: place.audit(),
        worktables: !system,
        mended,
    };
    let clock = Clock::new();
    let hub = Hub::new(own, policy, remains, clock.now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(host("start the loop"))?;
    let worktables = Worktables::new(place.worktables());
    let core = Rc::new(Core::new(hub, writer, outcomes, (directories, worktables), clock));
    let listening = async {
        core.act();
        // Sandboxes go on; then others may come.
        let sandboxes = core.hub().sandboxes();
        sandboxes.iter().for_each(|session| core.listen(session));
        let listener = sockets::shared(&place, system, inherited)?;
        relay(&core, load, listener, done).await
    };
    let result = LocalSet::new().block_on(&runtime, listening);
    let finished = core.finish();
    drop(lock);
    result?;
    Ok(finished?)
}

async fn relay(
    core: &Rc<Core>,
    load: Load,
    listener: UnixListener,
    done: mpsc::UnboundedReceiver<Done>,
) -> Result<(), DaemonError> {
    for end in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut heard = signal(end).map_err(host("hear signals"))?;
        let core = core.clone();
        spawn_local(async move {
            heard.recv().await;
            core.stop();
        });
    }
    let reload = signal(SignalKind::hangup()).map_err(host("hear signals"))?;
    spawn_local(follow(core.clone(), load, reload));
    spawn_local(core::outcomes(core.clone(), done));
    spawn_local(core::ticks(core.clone()));
    spawn_local(cache::keep(core.clone()));
    spawn_local(client::accept_shared(core.clone(), listener));
    sd_notify::ready();
    core.stopped().await;
    sd_notify::stopping();
    core.farewell();
    tokio::time::sleep(FAREWELL).await;
    Ok(())
}

/// Reads the policy again whenever it is asked to.
async fn follow(core: Rc<Core>, load: Load, mut asked: Signal) {
    while asked.recv().await.is_some() {
        match load() {
            Ok(policy) => {
                core.follow(policy);
                tracing::info!("the relay's policy was read again");
            }
            Err(error) => tracing::error!("the relay's policy stays as it was: {error}"),
        }
    }
}

/// Both clocks of the hub.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn now(self) -> Now {
        Now { moment: Moment::now(), ticks: self.0.elapsed().as_millis() as u64 }
    }
}
