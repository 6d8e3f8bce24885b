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
use crate::project::Project;
use miette::Diagnostic;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// What a new broker needs at most until it listens, with a long journal to go through.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// What appears in the sandbox.
    #[error("cannot find {what} for the plugins: {source}")]
    File {
        /// What.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

/// A session's plugins. Dropping it ends the session at the broker.
#[derive(Debug)]
pub struct Plugins {
    /// What the sandbox sees of them.
    pub kit: Kit,
    /// Those of kind `http` that the session has.
    pub upstreams: BTreeSet<ToolName>,
    _session: Client,
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
    let mut client = match Client::connect(&place) {
        Err(BrokerError::NotRunning { .. }) if !hold_any(&Places::new(facts)) => return Ok(None),
        Err(BrokerError::NotRunning { .. }) => {
            start(&place)?;
            Client::connect(&place)?
        }
        connected => connected?,
    };
    let ask = Ask::Open {
        session: session.to_owned(),
        project: project.root.clone(),
        tools: tools.map(|tools| tools.iter().cloned().collect()),
        directory: None,
    };
    let Opened { directory } = client.ask(&ask)?;
    let real = |what, path: &Path| std::fs::canonicalize(path).map_err(|source| PluginsError::File { what, source });
    let own = std::env::current_exe().map_err(|source| PluginsError::File { what: "rcc's program", source })?;
    let kit = Kit {
        directory: real("the session's directory", &directory)?,
        program: real("rcc's program", &own)?,
        variables: Vec::new(),
    };
    let status: Status = client.ask(&Ask::Status)?;
    let upstreams = status.tools.into_iter().filter(|tool| tool.kind == "http").map(|tool| tool.tool);
    let upstreams = upstreams.filter(|tool| tools.is_none_or(|tools| tools.contains(tool))).collect();
    Ok(Some(Plugins { kit, upstreams, _session: client }))
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
