//! `rcc relay start`.

use super::Ground;
use super::state;
use crate::config::{self, ConfigError, LoadedPolicy};
use crate::detached::Detached;
use crate::facts;
use crate::output;
use crate::relay::client::{self, Client};
use crate::relay::daemon::{self, Load, Start};
use crate::relay::place::{Place, SYSTEM_USER};
use crate::relay::policy::Policy;
use miette::Diagnostic;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// What the relay needs at most until it listens, with a long audit to go through.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why it does not run.
#[derive(Debug, thiserror::Error, Diagnostic)]
enum NotStarted {
    #[error("the relay is never run by root")]
    #[diagnostic(help(
        "run it as yourself; the system's relay is a service, which runs as {SYSTEM_USER}: `rcc relay install --system` \
         sets it up, `systemctl start rcc-relay` starts it"
    ))]
    Root,
    #[error("the system's relay runs as {SYSTEM_USER}, and you are {0}")]
    #[diagnostic(help(
        "`sudo systemctl start rcc-relay` starts it, where `sudo rcc relay install --system` set it up; without \
         --system it is your own"
    ))]
    Stranger(String),
}

pub(super) fn run(ground: &Ground, detach: bool) -> miette::Result<ExitCode> {
    if rustix::process::geteuid().is_root() {
        return Err(NotStarted::Root.into());
    }
    if matches!(ground, Ground::System) {
        let uid = rustix::process::geteuid().as_raw();
        let user = facts::login_name(uid).unwrap_or_else(|| uid.to_string());
        if user != SYSTEM_USER {
            return Err(NotStarted::Stranger(user).into());
        }
    }
    let (place, system) = match ground {
        Ground::System => (Place::system(), true),
        Ground::Caller(facts) => (client::own_place(facts), false),
    };
    if !detach {
        daemon::run(Start { place, system, load: policy(ground) })?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(pid) = listening(&place) {
        output::print(format!("the relay runs already, as process {pid}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = place.state.join("relay.log");
    let mut words = vec!["relay", "start"];
    words.extend(system.then_some("--system"));
    let relay = Detached::launch("the relay", Path::new("/proc/self/exe"), &words, &log)?;
    let pid = relay.pid();
    relay.await_it(PATIENCE, &|| listening(&place) == Some(pid))?;
    output::print(format!("the relay runs as process {pid}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What holds: root's file for the system's relay, the user's for the user's own.
pub(super) fn policy(ground: &Ground) -> Load {
    match ground {
        Ground::System => Box::new(|| loaded(config::load_relay_admin(Path::new(config::ADMIN_FILE), 0))),
        Ground::Caller(facts) => {
            let (directory, home, uid) = (facts.config_dir.clone(), facts.user.home.clone(), facts.user.uid);
            Box::new(move || loaded(config::load_relay_user(&directory, &home, uid)))
        }
    }
}

/// A log has a line for each warning, and no room for every mistake in the file.
fn loaded(policy: Result<LoadedPolicy, ConfigError>) -> Result<Policy, Box<dyn std::error::Error + Send + Sync>> {
    let LoadedPolicy { policy, warnings } = policy?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(policy)
}

/// The process that listens there.
fn listening(place: &Place) -> Option<u32> {
    Client::connect(&place.socket()).and_then(|mut client| state::ask(&mut client)).ok().map(|status| status.pid)
}
