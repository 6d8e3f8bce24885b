//! The broker: one process of the user's, without privileges, outside of every sandbox.
//!
//! ```text
//! broker.sock ─ hall (sessions, status) ─┐
//! inotify ───── catalogue ───────────────┼─ desk ─┬─ audit (a thread of its own)
//! TOOL.sock ─── call ────────────────────┘        ├─ vault
//!                                                 └─ room ─ chamber
//! ```

mod audit;
mod call;
mod desk;
mod disabled;
mod forwarder;
mod git_files;
mod hall;
mod recorder;
mod room;
mod sessions;
mod spec;
mod streams;
mod vault;

pub use audit::{Audit, AuditError, Unrecorded};

use crate::moment::Moment;
use crate::plugin::chamber;
use crate::plugin::credential::{HardenError, Taken, harden};
use crate::plugin::event::Event;
use crate::plugin::manifest::catalogue::Catalogue;
use crate::plugin::place::Place;
use crate::shown;
use crate::sockets::{self, SocketError};
use crate::{facts, sd_notify};
use desk::{Desk, Own};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};
use vault::Vault;

/// Between two looks at what is idle or was left behind.
const ROUND: Duration = Duration::from_secs(30);
/// How long sandboxes have to take back what they put into projects, when the broker ends.
const PARTING: Duration = Duration::from_secs(5);
/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// How long a broker that nobody asked for waits for its first session.
const FIRST_SESSION: Duration = Duration::from_secs(60);

/// What the broker needs.
pub struct Start {
    /// Where its files are.
    pub place: Place,
    /// The user's home.
    pub home: PathBuf,
    /// The manifests.
    pub catalogue: Catalogue,
    /// Credentials of the environment, which are not there any more.
    pub taken: Taken,
    /// Whether it ends with the last session, because a launcher started it.
    pub passing: bool,
}

/// Why the broker does not start, or ended.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum BrokerError {
    /// Another one runs.
    #[error("a broker of yours runs already at {}", shown::terminal(path))]
    #[diagnostic(help("`rcc plugin status` shows it, `rcc plugin stop` ends it"))]
    Running {
        /// Its socket.
        path: PathBuf,
    },
    /// The sockets.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The journal.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Its own protection.
    #[error(transparent)]
    Harden(#[from] HardenError),
    /// The process.
    #[error("cannot {attempt}: {source}")]
    Host {
        /// What was attempted.
        attempt: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

fn host(attempt: &'static str) -> impl Fn(io::Error) -> BrokerError {
    move |source| BrokerError::Host { attempt, source }
}

/// Runs the broker until it is told to end: by SIGTERM, SIGINT or a client, or when a passing one has no session any
/// more.
///
/// # Errors
/// Why it did not start.
pub fn run(start: Start) -> Result<(), BrokerError> {
    harden()?;
    serve(start, sd_notify::sockets())
}

fn serve(start: Start, inherited: Vec<OwnedFd>) -> Result<(), BrokerError> {
    let Start { place, home, catalogue, taken, passing } = start;
    for directory in [&place.run, &place.state, &place.sessions()] {
        sockets::directory(directory, 0o700)?;
    }
    let _lock = take_lock(&place)?;
    sockets::raise_descriptor_limit();
    if let Err(error) = recorder::sweep(&place.mirrors()) {
        tracing::warn!("cannot remove what an earlier broker left among the mirrors: {error}");
    }
    let audit = Audit::start(&place.audit())?;
    audit.note(Event::Started { version: env!("CARGO_PKG_VERSION").to_owned() });
    for problem in catalogue.problems() {
        tracing::warn!("{problem}");
    }
    let uid = rustix::process::geteuid().as_raw();
    let user = facts::login_name(uid).unwrap_or_else(|| uid.to_string());
    let home = home.to_string_lossy().into_owned();
    let own = Own { uid, user, home, started: Moment::now(), passing };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(host("start the loop"))?;
    let socket = place.socket();
    let desk = Rc::new(Desk::new(place, own, audit, catalogue, Vault::new(taken)));
    let tasks = LocalSet::new();
    let ended = tasks.block_on(&runtime, async {
        let listener = sockets::take_over_or_listen(&socket, 0o600, inherited)?;
        desk.note_all_in_force();
        attend(&desk, listener).await
    });
    // What the tasks hold of the desk goes with them.
    drop(tasks);
    drop(runtime);
    sd_notify::stopping();
    if let Some(desk) = Rc::into_inner(desk) {
        desk.finish();
    }
    ended
}

/// Says that this broker runs, if need be after one that is about to end.
fn take_lock(place: &Place) -> Result<File, BrokerError> {
    let end = Instant::now() + PARTING + LOOK;
    loop {
        if let Some(lock) = sockets::lock(&place.lock())? {
            return Ok(lock);
        }
        if Instant::now() >= end || UnixStream::connect(place.socket()).is_ok() {
            return Err(BrokerError::Running { path: place.socket() });
        }
        std::thread::sleep(LOOK);
    }
}

async fn attend(desk: &Rc<Desk>, listener: UnixListener) -> Result<(), BrokerError> {
    let (mut terminated, mut interrupted) = (
        signal(SignalKind::terminate()).map_err(host("take SIGTERM"))?,
        signal(SignalKind::interrupt()).map_err(host("take SIGINT"))?,
    );
    spawn_local(hall::accept(desk.clone(), listener));
    spawn_local(follow(desk.clone()));
    spawn_local(rounds(desk.clone()));
    sd_notify::ready();
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
        () = desk.stopped() => {}
    }
    // Who comes now starts another broker.
    let _ = std::fs::remove_file(desk.place.socket());
    desk.close_all();
    let end = Instant::now() + PARTING;
    while chamber::standing() > 0 && Instant::now() < end {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Takes manifests as they come and go.
async fn follow(desk: Rc<Desk>) {
    let watched = desk.catalogue().as_fd().try_clone_to_owned();
    // SAFETY: an OwnedFd is the same open descriptor for as long as it lives.
    let watched = match watched.and_then(|fd| Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)) {
        Ok(watched) => watched,
        Err(error) => return tracing::error!("changed manifests are taken with the next start: {error}"),
    };
    while let Ok(mut guard) = watched.readable().await {
        guard.clear_ready();
        drop(guard);
        desk.refresh();
    }
}

/// Ends what nobody uses, and removes what was left behind.
async fn rounds(desk: Rc<Desk>) {
    if desk.own.passing {
        tokio::time::sleep(FIRST_SESSION).await;
        desk.stop_if_empty();
    }
    loop {
        tokio::time::sleep(ROUND).await;
        desk.end_idle_rooms();
        // By now every launcher has come back that had a session at an earlier broker.
        desk.sweep();
    }
}
