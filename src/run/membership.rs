//! A run's session at the relay: opened before anything else, so that what runs knows of it, and closed at the
//! end. While the launcher lives, its lock on the lease says so.

use crate::facts::Facts;
use crate::output;
use crate::project::Project;
use crate::relay::client::{self, Client, ClientError};
use crate::relay::name::SessionName;
use crate::relay::place::Place;
use crate::relay::seat::Seat;
use crate::relay::wire::answer::{Nothing, Opened, Worktable};
use crate::relay::wire::{Close, Open, Reason, Request};
use crate::session;
use miette::Diagnostic;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Whether a run joins the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// It does, and without a relay nothing starts.
    Required,
    /// If a relay runs and takes it.
    IfRunning,
    /// It does not.
    No,
}

impl Join {
    /// What was typed, else what the command does without a word.
    pub fn of(typed: Option<bool>, otherwise: Self) -> Self {
        match typed {
            Some(true) => Self::Required,
            Some(false) => Self::No,
            None => otherwise,
        }
    }
}

/// Why a run could not join.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum JoinError {
    /// The relay, or that there is none.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Relay(#[from] ClientError),
    /// What it answered cannot be used.
    #[error("cannot {action} {} for the relay's session: {source}", path.display())]
    #[diagnostic(help("`--no-relay` starts without it"))]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Sandboxes are not nested.
    #[error("a sandbox has the session that it was started with, and cannot open another")]
    #[diagnostic(help("start this one from the host, or with `--no-relay`"))]
    Inside,
}

impl JoinError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// Whether there is simply nothing to join: nobody listens, or not for this user.
    fn is_absence(&self) -> bool {
        match self {
            Self::Inside => true,
            Self::Relay(ClientError::NotRunning { .. } | ClientError::NotPermitted { .. }) => true,
            Self::Relay(error) => error.reason() == Some(Reason::Closing),
            Self::File { .. } => false,
        }
    }
}

/// A session at the relay. Dropping it ends the session.
#[derive(Debug)]
pub struct Membership {
    /// What the sandbox sees of it.
    pub seat: Seat,
    /// Absent where the session was only foreseen.
    _lease: Option<Lease>,
}

/// Opens a session for a run of the project. Where it joins if a relay runs, one that does not take it is told
/// of and does without.
///
/// # Errors
/// If the run must join and cannot.
pub fn join(how: Join, facts: &Facts, project: &Project) -> Result<Option<Membership>, JoinError> {
    attempt(how, || {
        let request = request(facts, project);
        let (mut client, socket) = connect(facts)?;
        let opened = client.ask(&Request::Open(request))?;
        Membership::take(opened, socket)
    })
}

/// The same for a plan that is only shown: nothing is opened, and the names are those that a run would ask for.
///
/// # Errors
/// If the run must join and cannot.
pub fn foresee(how: Join, facts: &Facts, project: &Project) -> Result<Option<Membership>, JoinError> {
    attempt(how, || {
        let session = request(facts, project).session;
        let (_, socket) = connect(facts)?;
        let run = socket.parent().unwrap_or(Path::new("/")).to_owned();
        let directory = Place { state: run.clone(), run }.sessions().join(session.as_str());
        let seat = Seat { session, socket, directory, worktables: Vec::new(), program: program()? };
        Ok(Membership { seat, _lease: None })
    })
}

fn attempt(how: Join, open: impl FnOnce() -> Result<Membership, JoinError>) -> Result<Option<Membership>, JoinError> {
    match how {
        Join::No => Ok(None),
        Join::Required => open().map(Some),
        Join::IfRunning => Ok(open().map_or_else(
            |error| {
                if !error.is_absence() {
                    output::tell_line(format_args!("rcc: this session starts without the relay: {error}"));
                }
                None
            },
            Some,
        )),
    }
}

fn connect(facts: &Facts) -> Result<(Client, PathBuf), JoinError> {
    let candidates = client::find(facts);
    if candidates.inside {
        return Err(JoinError::Inside);
    }
    let (client, socket) = candidates.connect()?;
    Ok((client, socket.to_owned()))
}

fn request(facts: &Facts, project: &Project) -> Open {
    let valid = "letters, digits and '-' make a name";
    Open {
        session: session::new_id(&project.root).parse().expect(valid),
        project: session::project_name(&project.root).parse().expect(valid),
        root: project.root.clone(),
        home: facts.user.home.clone(),
    }
}

fn program() -> Result<PathBuf, JoinError> {
    let own = Path::new("/proc/self/exe");
    std::fs::canonicalize(own).map_err(JoinError::file("find the program at", own))
}

impl Membership {
    fn take(opened: Opened, socket: PathBuf) -> Result<Self, JoinError> {
        let Opened { session, directory, lease, groups } = opened;
        // From here on an error closes the session.
        let lease = Lease::take(&lease, &socket, &session)?;
        let real = |path: &Path| std::fs::canonicalize(path).map_err(JoinError::file("find", path));
        let worktables = groups.into_iter().map(|table| Ok(Worktable { directory: real(&table.directory)?, ..table }));
        let worktables = worktables.collect::<Result<_, JoinError>>()?;
        let seat = Seat { session, socket, directory: real(&directory)?, worktables, program: program()? };
        Ok(Self { seat, _lease: Some(lease) })
    }
}

/// Says that the launcher lives. Dropping it ends the session.
#[derive(Debug)]
struct Lease {
    /// Locked (shared) as long as it is open. The sandbox's supervisor has it too, and ends with the launcher.
    _file: File,
    socket: PathBuf,
    session: SessionName,
}

impl Lease {
    fn take(path: &Path, socket: &Path, session: &SessionName) -> Result<Self, JoinError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let open = || {
            let file = rustix::fs::open(path, flags, Mode::empty())?;
            flock(&file, FlockOperation::NonBlockingLockShared)?;
            Ok(file)
        };
        let taken: Result<_, rustix::io::Errno> = open();
        let lease = |file: File| Self { _file: file, socket: socket.to_owned(), session: session.clone() };
        match taken {
            Ok(file) => Ok(lease(file.into())),
            Err(errno) => {
                close(socket, session);
                Err(JoinError::file("lock", path)(errno.into()))
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        close(&self.socket, &self.session);
    }
}

/// The relay notices by itself that nobody holds the lease, a moment later.
fn close(socket: &Path, session: &SessionName) {
    if let Ok(mut client) = Client::connect(socket) {
        let _ = client.ask::<Nothing>(&Request::Close(Close { session: session.clone() }));
    }
}
