//! A run's session at the user's broker for plugins: opened before the sandbox, and ended with the connection, so
//! with the launcher however it ends.

use crate::detached::{Detached, NotStarted};
use crate::facts::Facts;
use crate::output;
use crate::plugin::client::{self, BrokerError, Client};
use crate::plugin::control::{Ask, Opened, Status};
use crate::plugin::kit::Kit;
use crate::plugin::manifest::places::Places;
use crate::plugin::name::ToolName;
use crate::plugin::place::Place;
use crate::plugin::port;
use crate::project::Project;
use crate::shown;
use miette::Diagnostic;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a new broker needs at most until it listens, with a long journal to go through.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often another broker is tried for in a row when one was killed, and what lies between.
const ATTEMPTS: u32 = 10;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Why a run has no plugins.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum PluginsError {
    /// The broker.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Broker(#[from] BrokerError),
    /// There is none, and none could be started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NotStarted(#[from] NotStarted),
    /// The session's directory, which appears in the sandbox.
    #[error("cannot find the session's directory for the plugins: {source}")]
    Directory {
        /// Why not.
        source: io::Error,
    },
    /// Another directory than the one that the sandbox has.
    #[error("the broker serves this session at {}, where its sandbox does not look", shown::terminal(path))]
    Elsewhere {
        /// Which.
        path: PathBuf,
    },
}

/// A session's plugins. Dropping it ends the session at the broker.
#[derive(Debug)]
pub struct Plugins {
    /// What the sandbox sees of them.
    pub kit: Kit,
    place: Place,
    session: Session,
    client: Client,
}

impl Plugins {
    /// Holds the session in a thread of its own, and opens it again at another broker if this one is killed. To be
    /// called when the sandbox stands, so that nothing forks beside the thread.
    ///
    /// # Errors
    /// If there is no thread.
    pub fn hold(self) -> io::Result<Held> {
        let (left, stop) = io::pipe()?;
        std::thread::Builder::new().name("plugins".into()).spawn(move || self.attend(&left))?;
        Ok(Held { _stop: stop })
    }

    fn attend(mut self, left: &PipeReader) {
        while !is_over(left, Some(&self.client), None) {
            match self.come_back(left) {
                Ok(true) => tracing::info!("the session is at another broker for plugins"),
                Ok(false) => return,
                Err(error) => {
                    let why = shown::text(&error.to_string());
                    let what = "the broker for plugins has ended, and with it this session's plugins";
                    return output::tell(format_args!("\r\nrcc: {what}: {why}\r\n"));
                }
            }
        }
    }

    /// Whether there is a broker again that has the session: not where the last one was told to end.
    fn come_back(&mut self, left: &PipeReader) -> Result<bool, PluginsError> {
        let mut attempt = 1;
        loop {
            // A broker that is told to end removes its socket, and the sessions' directories.
            if is_over(left, None, Some(BETWEEN_ATTEMPTS)) || !self.place.socket().exists() {
                return Ok(false);
            }
            match self.open_again() {
                Ok(()) => return Ok(true),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(error) => tracing::warn!("no broker for plugins yet: {error}"),
            }
            attempt += 1;
        }
    }

    fn open_again(&mut self) -> Result<(), PluginsError> {
        let mut client = connect(&self.place)?;
        let before = self.kit.directory.clone();
        let opened = self.session.open(&mut client, Some(before))?.directory;
        self.client = client;
        // The sandbox has this one mounted, and no other.
        if opened == self.kit.directory { Ok(()) } else { Err(PluginsError::Elsewhere { path: opened }) }
    }
}

/// A session, as it is asked for.
#[derive(Debug)]
struct Session {
    name: String,
    project: PathBuf,
    tools: Option<Vec<ToolName>>,
}

impl Session {
    fn open(&self, client: &mut Client, before: Option<PathBuf>) -> Result<Opened, PluginsError> {
        let ask = Ask::Open {
            session: self.name.clone(),
            project: self.project.clone(),
            tools: self.tools.clone(),
            directory: before,
        };
        Ok(client.ask(&ask)?)
    }
}

/// A session that a thread holds. Dropping it ends the session.
#[derive(Debug)]
pub struct Held {
    _stop: PipeWriter,
}

/// Waits until the launcher leaves, which is told; or the broker has gone, or so much time.
fn is_over(left: &PipeReader, broker: Option<&Client>, limit: Option<Duration>) -> bool {
    let limit = limit.map(|limit| Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() });
    let mut watched = vec![PollFd::new(left, PollFlags::IN)];
    watched.extend(broker.map(|broker| PollFd::new(broker, PollFlags::IN)));
    while rustix::event::poll(&mut watched, limit.as_ref()) == Err(Errno::INTR) {}
    !watched[0].revents().is_empty()
}

/// Opens a session, where there are plugins. A broker that does not run is started, and ends with the last session.
/// A run that gets none is told of it, and does without: then there are no credentials. `tools` are those that it may
/// have, by the user's and the project's configuration.
pub fn open(facts: &Facts, project: &Project, session: &str, tools: Option<&BTreeSet<ToolName>>) -> Option<Plugins> {
    if tools.is_some_and(BTreeSet::is_empty) {
        return None;
    }
    match attempt(facts, project, session, tools) {
        Ok(plugins) => plugins,
        Err(error) => {
            output::tell_line(format_args!("rcc: this session starts without plugins: {error}"));
            None
        }
    }
}

fn attempt(
    facts: &Facts,
    project: &Project,
    session: &str,
    tools: Option<&BTreeSet<ToolName>>,
) -> Result<Option<Plugins>, PluginsError> {
    let place = client::place(facts)?;
    if !hold_any(&Places::new(facts)) && matches!(Client::connect(&place), Err(BrokerError::NotRunning { .. })) {
        return Ok(None);
    }
    let mut client = connect(&place)?;
    let session = Session {
        name: session.to_owned(),
        project: project.root.clone(),
        tools: tools.map(|tools| tools.iter().cloned().collect()),
    };
    let Opened { directory, ports } = session.open(&mut client, None)?;
    let (ports, taken) = port::settle(ports);
    for without in taken {
        output::tell_line(format_args!("rcc: {without}"));
    }
    let directory = std::fs::canonicalize(&directory).map_err(|source| PluginsError::Directory { source })?;
    let kit = Kit { directory, ports };
    Ok(Some(Plugins { kit, place, session, client }))
}

/// The broker, which is started if there is none.
fn connect(place: &Place) -> Result<Client, PluginsError> {
    match Client::connect(place) {
        Err(BrokerError::NotRunning { .. }) => {
            start(place)?;
            Ok(Client::connect(place)?)
        }
        connected => Ok(connected?),
    }
}

/// Whether there is a file of a manifest, good or not: the broker tells what is wrong with it.
fn hold_any(places: &Places) -> bool {
    let is_manifest = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "toml");
    let holds = |directory| std::fs::read_dir(directory).is_ok_and(|entries| entries.flatten().any(is_manifest));
    [&places.admin, &places.user].into_iter().any(holds)
}

fn start(place: &Place) -> Result<(), PluginsError> {
    let words = ["plugin", "start", "--passing"];
    let broker = Detached::launch("the broker for plugins", Path::new("/proc/self/exe"), &words, &place.log())?;
    // Another launcher's may have been faster: that one does as well.
    let ready = || Client::connect(place).and_then(|mut client| client.ask::<Status>(&Ask::Status)).is_ok();
    match broker.await_it(PATIENCE, &ready) {
        Err(NotStarted::Ended { .. }) if ready() => Ok(()),
        started => Ok(started?),
    }
}
