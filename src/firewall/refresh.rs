//! The service `rcc-firewall`: loads the rules and lets them follow the host. It takes no
//! requests; the unit names the few capabilities that it has (`setup::unit`).

use super::apply::{self, ApplyError};
use super::events::Events;
use super::kernel::{Nft, NftError};
use super::leases::{Leases, Sessions};
use super::loaded::Loaded;
use super::nft;
use super::onlink::OnLinkError;
use super::surroundings::{self, RESOLV_CONF};
use crate::policy::ruleset::{Ruleset, Version};
use crate::policy::{Holder, Policy, Surroundings};
use crate::sd_notify;
use rustix::fs::{FlockOperation, flock};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an event may go unnoticed if the kernel's notice of it was lost.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How soon it looks again for what nothing announces: the end of a session that has leases (which
/// its identity's next holder would inherit), or that the resolver can start after all.
const SOON: Duration = Duration::from_secs(1);

/// Why the service ended. The rules that were loaded stay loaded.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The configuration.
    #[error("cannot load the configuration: {0}")]
    Policy(Box<dyn std::error::Error + Send + Sync>),
    /// The first load.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Reading the kernel's rules.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// Reading the host's links.
    #[error(transparent)]
    OnLink(#[from] OnLinkError),
    /// Waiting.
    #[error("cannot watch the host for changes: {0}")]
    Events(#[source] io::Error),
    /// Only one at a time.
    #[error("the service rcc-firewall is running already")]
    Running,
}

type Load<'a> = &'a dyn Fn() -> Result<Policy, Failure>;

/// What is in force, for a [`Companion`].
#[derive(Clone, Copy, Debug)]
pub struct InForce<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Its rules, whose classes [`super::grants`] fill.
    pub ruleset: &'a Ruleset,
    /// Their version.
    pub version: Version,
    /// The host's links and resolvers.
    pub surroundings: &'a Surroundings,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What goes with the rules in the same process: the resolver of the sandboxes, the record of denials.
pub trait Companion {
    /// Hears what is in force from now on, after the kernel: what a new policy takes away is denied
    /// before a name is answered under the new one, and what it adds can be reached by then. What
    /// was opened in the sets may be gone, and there may be other leases. Must not wait for this
    /// process's lock on the rules. If it fails it is called again at the next look.
    ///
    /// # Errors
    /// What of it does not work, for the log.
    fn follow(&mut self, in_force: InForce<'_>) -> Result<(), Failure>;

    /// Readable when it has ended, and [`Companion::follow`] has to start it again.
    fn ended(&self) -> Option<BorrowedFd<'_>>;
}

/// Applies what `load` returns and stays: follows interfaces, routes and resolvers, loads the
/// rules again when they vanish, and reads the configuration again on SIGHUP. Returns on SIGTERM
/// and SIGINT, with the rules left in force. Blocks these signals for the process.
pub fn watch(load: Load<'_>, companion: &mut dyn Companion) -> Result<(), WatchError> {
    watch_in(Path::new(apply::RUN), Path::new(RESOLV_CONF), load, companion)
}

pub(super) fn watch_in(
    run: &Path,
    resolv_conf: &Path,
    load: Load<'_>,
    companion: &mut dyn Companion,
) -> Result<(), WatchError> {
    let events = Events::open(resolv_conf).map_err(WatchError::Events)?;
    let lock = apply::watch_lock(run)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| WatchError::Running)?;
    let mut watched = Watched::load(run, resolv_conf, load)?;
    let mut failed = watched.tell(companion, None);
    sd_notify::ready();
    let mut looked = Instant::now();
    loop {
        let patience = if watched.end_sessions() || failed.is_some() { SOON } else { LOOK_AGAIN };
        let mut woken = events.wait(patience, companion.ended()).map_err(WatchError::Events)?;
        if looked.elapsed() >= LOOK_AGAIN {
            (woken.surroundings, woken.tables, looked) = (true, true, Instant::now());
        }
        if woken.stop {
            return Ok(());
        }
        let mut outcome = Ok(());
        if woken.reload {
            outcome = watched.reload(load);
        } else if woken.tables {
            outcome = watched.restore(load);
        }
        if woken.surroundings {
            // Whatever became of the rest: a mistake in the file is no reason to leave a new network open.
            outcome = outcome.and(watched.follow());
        }
        if woken.any_change() || failed.is_some() {
            failed = watched.tell(companion, failed.as_deref());
        }
        if let Err(error) = outcome {
            // What is loaded stays; running sandboxes verify for themselves and are cut if it
            // is not enough.
            tracing::error!("{error}");
        }
    }
}

/// What this process loaded last.
struct Watched<'a> {
    run: &'a Path,
    resolv_conf: &'a Path,
    policy: Policy,
    ruleset: Ruleset,
    surroundings: Surroundings,
    sessions: Sessions,
}

impl<'a> Watched<'a> {
    fn load(run: &'a Path, resolv_conf: &'a Path, load: Load<'_>) -> Result<Self, WatchError> {
        let policy = load().map_err(WatchError::Policy)?;
        let ruleset = Ruleset::from(&policy);
        let surroundings = surroundings::gather_with(resolv_conf)?;
        apply::apply_in(run, &policy, &surroundings)?;
        Ok(Self { run, resolv_conf, policy, ruleset, surroundings, sessions: Sessions::default() })
    }

    fn reload(&mut self, load: Load<'_>) -> Result<(), WatchError> {
        let loaded = Self::load(self.run, self.resolv_conf, load)?;
        *self = Self { sessions: std::mem::take(&mut self.sessions), ..loaded };
        tracing::info!("the configuration was loaded again");
        Ok(())
    }

    /// Somebody changed some table. If ours is gone or emptied, it is loaded again; if it is of a
    /// newer configuration, that one is followed from now on.
    fn restore(&mut self, load: Load<'_>) -> Result<(), WatchError> {
        let loaded = Nft::find()?.outline()?.map(Loaded::new);
        if loaded.as_ref().is_some_and(|loaded| loaded.is_version(&nft::version(&self.ruleset), &self.ruleset)) {
            return Ok(());
        }
        let Some(loaded) = loaded.filter(Loaded::has_a_version) else {
            tracing::warn!("the rules are gone, loading them again");
            return self.reload(load);
        };
        let policy = load().map_err(WatchError::Policy)?;
        let ruleset = Ruleset::from(&policy);
        if loaded.is_version(&nft::version(&ruleset), &ruleset) {
            self.surroundings = surroundings::gather_with(self.resolv_conf)?;
            (self.policy, self.ruleset) = (policy, ruleset);
            return Ok(apply::update_in(self.run, &self.ruleset, &self.surroundings)?);
        }
        tracing::error!(
            "another version of rcc or of its configuration is loaded: run `systemctl restart rcc-firewall`"
        );
        Ok(())
    }

    fn follow(&mut self) -> Result<(), WatchError> {
        let surroundings = surroundings::gather_with(self.resolv_conf)?;
        if surroundings.on_link != self.surroundings.on_link {
            apply::update_in(self.run, &self.ruleset, &surroundings)?;
        }
        self.surroundings = surroundings;
        Ok(())
    }

    /// Revokes the leases of sessions that have ended. Tells whether there are others left, whose
    /// end nothing announces.
    fn end_sessions(&mut self) -> bool {
        let ended = Leases::open_in(self.run).and_then(|mut leases| {
            if leases.revoke_ended(&self.policy, &mut self.sessions)? {
                tracing::info!("leases of sessions that have ended are revoked");
            }
            leases.list()
        });
        match ended {
            Ok(left) => left.iter().any(|left| matches!(left.lease.holder, Holder::Identity(_))),
            Err(error) => {
                tracing::error!("leases of ended sessions may still hold: {error}");
                true
            }
        }
    }

    /// Returns what of it does not work. That is logged unless it was known: it is tried every second.
    fn tell(&self, companion: &mut dyn Companion, known: Option<&str>) -> Option<String> {
        let (policy, ruleset, surroundings) = (&self.policy, &self.ruleset, &self.surroundings);
        let told = companion.follow(InForce { policy, ruleset, version: nft::version(ruleset), surroundings });
        let failed = told.err().map(|error| error.to_string());
        if let Some(error) = failed.as_deref().filter(|error| Some(*error) != known) {
            tracing::error!("{error}");
        }
        failed
    }
}
