//! The daemon: loads the rules and keeps them true. It takes no requests.

use super::apply::{self, ApplyError, RUN};
use super::conf;
use super::events::Events;
use super::links::LinksError;
use crate::firewall::pf::{self, Anchor};
use crate::firewall::run_directory::{self, RunError};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, Surroundings};
use rustix::fs::{FlockOperation, flock};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long our rules may be gone before it is noticed: pf tells nobody when another program (a
/// VPN's, or `pfctl -f`) replaces the main ruleset. A look costs three short runs of pfctl.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How often /etc/pf.conf is looked at, in looks: every 30 s.
const LOOKS_PER_ROUND: u32 = 6;

/// Why the daemon ended. The rules that were loaded stay loaded.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The configuration.
    #[error("cannot load the configuration: {0}")]
    Policy(Box<dyn std::error::Error + Send + Sync>),
    /// Loading the rules.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The locks.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The host's addresses and routes.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// Waiting.
    #[error("cannot watch the host for changes: {0}")]
    Events(#[from] io::Error),
    /// Only one at a time.
    #[error("the daemon rcc-firewall is running already")]
    Running,
}

type Load<'a> = &'a dyn Fn() -> Result<Policy, Box<dyn std::error::Error + Send + Sync>>;

/// Applies what `load` returns and stays: follows interfaces, routes and resolvers, loads the
/// rules again when they or the reference to them vanish, and reads the configuration again on
/// SIGHUP. Returns on SIGTERM and SIGINT, with the rules left in force.
pub fn watch(load: Load<'_>) -> Result<(), WatchError> {
    let run = Path::new(RUN);
    let events = Events::open()?;
    let lock = run_directory::watch_lock(run)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| WatchError::Running)?;
    let mut watched = Watched::load(load)?;
    apply::apply_in(run, &watched.anchor()?)?;
    refer_at_boot();
    for look in 1_u32.. {
        let woken = events.wait(LOOK_AGAIN)?;
        if woken.stop {
            break;
        }
        let round = look.is_multiple_of(LOOKS_PER_ROUND);
        if let Err(error) = watched.look(run, load, woken.reload) {
            // What is loaded stays.
            tracing::error!("{error}");
        }
        if round {
            refer_at_boot();
        }
    }
    Ok(())
}

/// What this process loaded last.
struct Watched {
    ruleset: Ruleset,
    shared: Surroundings,
}

impl Watched {
    fn load(load: Load<'_>) -> Result<Self, WatchError> {
        let ruleset = Ruleset::from(&load().map_err(WatchError::Policy)?);
        let shared = crate::firewall::gather()?;
        Ok(Self { ruleset, shared })
    }

    fn anchor(&self) -> Result<Anchor, ApplyError> {
        Ok(Anchor::new(&self.ruleset, &apply::around(&self.ruleset, &self.shared)?))
    }

    fn look(&mut self, run: &Path, load: Load<'_>, reload: bool) -> Result<(), WatchError> {
        if reload || self.another_is_loaded()? {
            *self = Self::load(load)?;
            tracing::info!("the configuration was loaded again");
        } else {
            self.shared = crate::firewall::gather()?;
        }
        Ok(apply::apply_in(run, &self.anchor()?)?)
    }

    /// Somebody applied another configuration: that of now, most likely.
    fn another_is_loaded(&self) -> Result<bool, ApplyError> {
        let loaded = apply::inspect()?.loaded;
        Ok(loaded.label().is_some_and(|label| !label.is_version(&pf::version(&self.ruleset))))
    }
}

/// Updates of macOS bring a pf.conf of their own. Without our line in it the rules come later at
/// boot, and behind others; that is less than wanted, and no reason to end.
fn refer_at_boot() {
    match conf::refer() {
        Ok(true) => tracing::info!("/etc/pf.conf refers to the anchor again"),
        Ok(false) => {}
        Err(error) => tracing::debug!("{error}"),
    }
}
