//! From facts and configuration to a plan. Reads the host; changes nothing.

use crate::config::Loaded;
use crate::enforcement::{self, EnforcementError};
use crate::environment;
use crate::facts::{self, Facts};
use crate::network::pasta;
use crate::network::routes::Routes;
use crate::plan::{self, Guarded, Network, Plan};
use crate::policy::Policy;
use crate::project::handover::{self, Guard, HandoverError};
use crate::project::scan::{self, Scan, ScanError};
use crate::project::{Project, home};
use crate::relay::seat::{Direct, Seat};
use crate::session;
use crate::settings::{Environment, Settings};
use crate::statement;
use crate::view::{self, Mount, ViewError, ViewRequest, host};
use miette::Diagnostic;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What to run, and what that program needs.
#[derive(Clone, Debug)]
pub struct Task {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// Host paths that must be visible for it, read-only.
    pub programs: Vec<PathBuf>,
    /// Generated files below `/run/rcc` that it reads.
    pub files: Vec<Mount>,
    /// What its environment needs.
    pub environment: Environment,
    /// Puts into the private home what the program wants to find there.
    pub seed: Seed,
}

impl Task {
    /// A command that needs nothing.
    pub fn plain(command: Vec<OsString>) -> Self {
        Self {
            command,
            programs: Vec::new(),
            files: Vec::new(),
            environment: Environment::default(),
            seed: |_, _, _| Ok(()),
        }
    }
}

/// Gets the private home, the project's root and the facts.
pub type Seed = fn(&Path, &Path, &Facts) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Why there is no plan. Nothing was started or changed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum PrepareError {
    /// The project's secrets could not be found.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// What the host would execute could not be protected.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// A mount that is not to be.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The network.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Enforcement(#[from] EnforcementError),
    /// A program of the host is missing.
    #[error("pasta is not installed")]
    #[diagnostic(help("`rcc setup` installs it; `--profile offline` works without"))]
    NoPasta,
}

/// Everything that a run is planned from.
#[derive(Debug)]
pub struct Prepared {
    /// The caller.
    pub facts: Facts,
    /// The project.
    pub project: Project,
    /// The merged configuration.
    pub settings: Settings,
    /// The network policy, where there is a network.
    pub policy: Option<Policy>,
    /// What to run.
    pub task: Task,
    /// What was found in the project.
    pub scan: Scan,
    host: host::Host,
    session: String,
    network: Network,
    seat: Option<Seat>,
    direct: Option<Direct>,
}

impl Prepared {
    /// Reads what is needed, and checks that nothing is missing.
    pub fn new(facts: Facts, project: Project, loaded: Loaded, task: Task) -> Result<Self, PrepareError> {
        let (policy, network) = network(&loaded, facts.user.uid)?.unzip();
        Ok(Self {
            scan: scan::read(&project, &loaded.settings.exclude)?,
            host: host::Host::read(),
            session: session::new_id(&project.root),
            network: network.map_or(Network::Offline, Network::Guarded),
            settings: loaded.settings,
            seat: None,
            direct: None,
            facts,
            project,
            policy,
            task,
        })
    }

    /// The same with nothing between the sandbox and the firewall: to try the firewall itself.
    pub fn without_second_layer(mut self) -> Self {
        if let Network::Guarded(guarded) = &mut self.network {
            guarded.routes = Routes::default();
        }
        self
    }

    /// The same at a relay, under the name that the session has there.
    pub fn with_seat(mut self, seat: Option<Seat>) -> Self {
        if let Some(seat) = &seat {
            self.session = seat.session.to_string();
        }
        self.seat = seat;
        self
    }

    /// The same at the ends of its pairs, under the name that the session has there.
    pub fn with_direct(mut self, direct: Option<Direct>) -> Self {
        if let Some(direct) = &direct {
            self.session = direct.session.to_string();
        }
        self.direct = direct;
        self
    }

    /// The guards that a run would have.
    pub fn guards(&self) -> Result<Vec<Guard>, PrepareError> {
        Ok(handover::plan(&self.project, &self.scan, &self.settings.writable)?)
    }

    /// Where the private home is.
    pub fn home(&self) -> PathBuf {
        home::path(&self.project, &self.facts.data_dir)
    }

    /// The plan, given the guards. Pure but for resolving the user's extra mounts.
    pub fn plan(&self, guards: &[Guard], home: &Path) -> Result<Plan, PrepareError> {
        let profile = self.policy.as_ref().and_then(|policy| policy.profile(&self.settings.profile));
        let statement = statement::document(profile.map(|(_, profile)| profile));
        let direct = self.direct.iter().flat_map(|direct| direct.mounts(self.seat.as_ref()));
        let own = self.seat.iter().flat_map(Seat::mounts).chain(direct);
        let own: Vec<Mount> = own.chain(self.task.files.iter().cloned()).collect();
        let view = view::plan(ViewRequest {
            facts: &self.facts,
            host: &self.host,
            project: &self.project,
            guards,
            masks: &self.scan.masks,
            mounts: &self.settings.mounts,
            programs: &self.task.programs,
            home,
            nameserver: self.policy.as_ref().map(|_| IpAddr::V4(pasta::DNS)),
            own: &own,
            statement: &statement,
            hostname: plan::HOSTNAME,
        })?;
        let user = &self.facts.user;
        let mut environment =
            environment::inside(&self.facts, &self.session, &self.task.environment, &self.settings.environment);
        environment.extend(self.seat.iter().flat_map(Seat::environment));
        Ok(Plan {
            session: self.session.clone(),
            project: self.project.root.clone(),
            directory: self.project.cwd.clone(),
            command: self.task.command.clone(),
            environment,
            user: (user.uid, user.gid),
            view,
            network: self.network.clone(),
            limits: self.settings.limits,
            relay: self.seat.as_ref().map(|seat| seat.socket.clone()),
            pairs: self.direct.iter().flat_map(|direct| direct.pairs.clone()).collect(),
        })
    }
}

fn network(loaded: &Loaded, uid: u32) -> Result<Option<(Policy, Guarded)>, PrepareError> {
    let name = &loaded.settings.profile;
    if name.is_offline() {
        return Ok(None);
    }
    let policy = enforcement::policy(&loaded.admin).map_err(EnforcementError::from)?;
    let identities = enforcement::identities(&policy, name, uid)?;
    let (_, profile) = policy.profile(name).ok_or_else(|| EnforcementError::NoProfile { profile: name.clone() })?;
    let guarded = Guarded {
        profile: name.clone(),
        identities,
        routes: plan::routes(&policy, profile, IpAddr::V4(pasta::DNS)),
        pasta: facts::program("pasta").ok_or(PrepareError::NoPasta)?,
    };
    Ok(Some((policy, guarded)))
}
