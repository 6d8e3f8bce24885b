//! The broker's beginning and end.

use crate::detached::Detached;
use crate::facts::Facts;
use crate::output;
use crate::plugin::broker::{self, Start};
use crate::plugin::client::{self, BrokerError, Client};
use crate::plugin::control::{Ask, Done, Status};
use crate::plugin::credential::take_environment;
use crate::plugin::manifest::Source;
use crate::plugin::manifest::catalogue::Catalogue;
use crate::plugin::manifest::places::Places;
use crate::plugin::place::Place;
use miette::{IntoDiagnostic, WrapErr};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What it needs at most until it listens, with a long journal to go through.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it needs at most to end what runs.
const FAREWELL: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// It was asked to end, and is still there.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the broker was told to end, and has not after {} seconds", FAREWELL.as_secs())]
#[diagnostic(help("its log tells what it waits for; it can be killed, and what runs in its sandboxes ends with it"))]
struct Lingers;

pub(super) fn start(facts: &Facts, detach: bool, passing: bool) -> miette::Result<ExitCode> {
    let place = client::place(facts)?;
    if detach {
        return start_detached(&place);
    }
    let catalogue =
        Catalogue::open(Places::new(facts)).into_diagnostic().wrap_err("cannot watch the directories of manifests")?;
    let credentials = catalogue.tools().values().flat_map(|manifest| &manifest.credentials);
    let variables = credentials.filter_map(|credential| match &credential.source {
        Source::Environment(name) => Some(name.clone()),
        _ => None,
    });
    // While there is one thread.
    let taken = take_environment(&variables.collect::<BTreeSet<_>>()).into_diagnostic()?;
    let home = facts.user.home.clone();
    broker::run(Start { place, home, catalogue, taken, passing })?;
    Ok(ExitCode::SUCCESS)
}

fn start_detached(place: &Place) -> miette::Result<ExitCode> {
    if let Some(pid) = listening(place) {
        output::print(format!("the broker runs already, as process {pid}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let broker = Detached::launch("the broker", Path::new("/proc/self/exe"), &["plugin", "start"], &place.log())?;
    let pid = broker.pid();
    broker.await_it(PATIENCE, &|| listening(place) == Some(pid))?;
    output::print(format!("the broker runs as process {pid}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The process that listens there.
fn listening(place: &Place) -> Option<u32> {
    Client::connect(place).and_then(|mut client| client.ask::<Status>(&Ask::Status)).ok().map(|status| status.pid)
}

pub(super) fn stop(facts: &Facts) -> miette::Result<ExitCode> {
    let place = client::place(facts)?;
    let mut client = match Client::connect(&place) {
        Err(BrokerError::NotRunning { .. }) => {
            output::tell_line("rcc: no broker is running: nothing to stop");
            return Ok(ExitCode::SUCCESS);
        }
        connected => connected?,
    };
    let _: Done = client.ask(&Ask::Stop)?;
    let deadline = Instant::now() + FAREWELL;
    // The lock goes with the process.
    while !matches!(crate::sockets::lock(&place.lock()), Ok(Some(_))) {
        if Instant::now() > deadline {
            return Err(Lingers.into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(ExitCode::SUCCESS)
}
