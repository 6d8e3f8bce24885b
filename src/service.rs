//! The service `rcc-firewall`: the rules, the resolver of the sandboxes, and the record of what
//! was denied, each on a thread of its own; and the places where two users' pairs meet.
//!
//! ```text
//! host, /etc/rcc ─ watch ─ rules in force ─┬─ resolver ─ grants ─ the rules' sets
//!                                          │     │ names
//!                                          └─ recorder ─ /run/rcc/denials
//! ```

mod heap;
mod versions;

use crate::config::{self, ADMIN_FILE};
use crate::denials::{Asked, NameDenied, NameReason, Recorder};
use crate::enforcement::{self, EnforcementError};
use crate::firewall::grants::{GrantError, Grants};
use crate::firewall::leases::{LeaseError, Leases};
use crate::firewall::{self, Companion, InForce, WatchError};
use crate::permit::audit::Log;
use crate::policy::{Policy, Surroundings};
use crate::relay::pair;
use crate::resolver::bell::Bell;
use crate::resolver::{Config, Denied, NameDenial, Resolver, ResolverError, Rules, hosts};
use crate::session::RUN;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use versions::Versions;

/// Names that the host knows by itself (hosts(5)).
const HOSTS: &str = "/etc/hosts";

/// Why sandboxes resolve no names.
#[derive(Debug, thiserror::Error)]
enum NamesError {
    #[error("sandboxes resolve no names: {0}")]
    Resolver(#[from] ResolverError),
    #[error("sandboxes resolve no names: {0}")]
    Grants(#[from] GrantError),
    #[error("leases by name may not hold: {0}")]
    Leases(#[from] LeaseError),
    #[error("sandboxes resolve no names: {0}")]
    Alarm(#[source] io::Error),
}

/// Runs until it is told to end ([`firewall::watch`]).
///
/// # Errors
/// What keeps the rules from being loaded. Without a resolver or a record the rules hold, and the
/// log says what is missing.
pub fn run() -> Result<(), WatchError> {
    let bell = Bell::new().map_err(WatchError::Events)?;
    let versions = Versions::new(Log::host(), firewall::loaded_tag());
    let companions = &mut Companions { resolver: Shared::default(), bell, alarm: None, recorder: None, versions };
    firewall::watch(&load, companions)
}

/// A log has one line for it, and no room for every mistake in the file.
fn load() -> Result<Policy, Box<dyn std::error::Error + Send + Sync>> {
    let policy = enforcement::current().map_err(|error| match error {
        EnforcementError::Config(error) => format!("{error}; `rcc config check {ADMIN_FILE}` shows it").into(),
        error => Box::<dyn std::error::Error + Send + Sync>::from(error),
    })?;
    // The rules hold without them.
    for error in config::load_admin(Path::new(ADMIN_FILE), 0).iter().flat_map(|admin| pair::prepare(admin.pairs())) {
        tracing::warn!("{error}");
    }
    Ok(policy)
}

type Shared = Arc<Mutex<Option<Resolver>>>;

struct Companions {
    resolver: Shared,
    /// Rung by the resolver, heard by the recorder.
    bell: Bell,
    /// Readable when the resolver has ended.
    alarm: Option<OwnedFd>,
    recorder: Option<Recorder>,
    versions: Versions,
}

impl Companion for Companions {
    fn follow(&mut self, in_force: InForce<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.versions.follow(firewall::tag(&in_force.version));
        self.record(in_force);
        let resolved = self.resolve(in_force);
        // Loading rules takes many times the memory that keeping them does.
        heap::give_back();
        Ok(resolved?)
    }

    fn ended(&self) -> Option<BorrowedFd<'_>> {
        self.alarm.as_ref().map(AsFd::as_fd)
    }
}

impl Companions {
    /// Denials hold whether they are written down or not, so a failure is told and tried again later.
    fn record(&mut self, in_force: InForce<'_>) {
        match self.recorder.as_ref().filter(|recorder| !recorder.has_ended()) {
            Some(recorder) => recorder.follow(in_force.policy),
            None => match Recorder::start(Path::new(RUN), in_force.policy, Some(asked(&self.resolver, &self.bell))) {
                Ok(started) => self.recorder = Some(started),
                Err(error) => tracing::error!("{error}"),
            },
        }
    }

    fn resolve(&mut self, in_force: InForce<'_>) -> Result<(), NamesError> {
        let mut resolver = lock(&self.resolver);
        if let Some(why) = resolver.as_mut().and_then(Resolver::ended) {
            tracing::error!("{why}; it is started again");
            (*resolver, self.alarm) = (None, None);
        }
        // Bridges came or went. A new one listens once the old one has let go.
        if resolver.as_ref().is_some_and(|running| !running.serves(in_force.ruleset)) {
            (*resolver, self.alarm) = (None, None);
        }
        let resolver = match &mut *resolver {
            Some(running) => {
                running.upstreams(in_force.surroundings.resolvers.clone());
                running.policy(rules(in_force));
                running
            }
            none => {
                let started = start(in_force, self.bell.clone())?;
                self.alarm = Some(started.as_fd().try_clone_to_owned().map_err(NamesError::Alarm)?);
                none.insert(started)
            }
        };
        resolver.hosts(hosts::parse(&std::fs::read_to_string(HOSTS).unwrap_or_default()));
        // Whatever happened to the table may have happened to them.
        resolver.grants_lost();
        let leases = Leases::open()?.list()?;
        resolver.leases(leases.into_iter().map(|left| (left.lease, left.time)).collect());
        Ok(())
    }
}

fn start(in_force: InForce<'_>, bell: Bell) -> Result<Resolver, NamesError> {
    let mut grants = Grants::open()?;
    let upstreams = in_force.surroundings.resolvers.clone();
    let opener = Box::new(move |ruleset: &_, version: &_, wanted: &[_]| grants.add(ruleset, version, wanted));
    Ok(Resolver::start(Config { listen: Config::ADDRESS, rules: rules(in_force), upstreams, opener, bell })?)
}

fn rules(in_force: InForce<'_>) -> Rules {
    let Surroundings { on_link, own, .. } = in_force.surroundings.clone();
    Rules { ruleset: Arc::new(in_force.ruleset.clone()), version: in_force.version, on_link, own }
}

fn lock(resolver: &Shared) -> MutexGuard<'_, Option<Resolver>> {
    resolver.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the recorder asks whichever resolver is running.
fn asked(resolver: &Shared, bell: &Bell) -> Asked {
    let (of_names, of_denials) = (Arc::clone(resolver), Arc::clone(resolver));
    Asked {
        names: Box::new(move |identity, address| {
            lock(&of_names).as_ref().map(|resolver| resolver.names(identity, address)).unwrap_or_default()
        }),
        denied: Box::new(move || {
            let denials = lock(&of_denials).as_ref().map(Resolver::take_denials).unwrap_or_default();
            denials.into_iter().map(denied).collect()
        }),
        bell: bell.clone(),
    }
}

fn denied(denial: NameDenial) -> NameDenied {
    let reason = match denial.denial {
        Denied::Name(_) => NameReason::NameNotAllowed,
        Denied::Addresses => NameReason::NameOfPrivate,
    };
    NameDenied { identity: denial.identity, name: denial.name, reason, count: denial.count, last: denial.last }
}
