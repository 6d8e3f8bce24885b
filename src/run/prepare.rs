//! From facts and configuration to a plan. Reads the host; changes nothing.

use crate::config::Loaded;
use crate::enforcement::{self, EnforcementError};
use crate::environment;
use crate::facts::{self, Facts};
use crate::guest::program::{self, GuestError};
use crate::network::pasta;
use crate::network::routes::Routes;
use crate::plan::{self, Guarded, Network, Plan};
use crate::plugin::kit::Kit;
use crate::policy::Policy;
use crate::project::handover::{self, Guard, Handover, HandoverError};
use crate::project::scan::{self, Scan, ScanError};
use crate::project::{Project, home};
use crate::relay::name::SessionName;
use crate::relay::seat::{Direct, INSIDE_PROGRAM, Seat};
use crate::runtime::Runtime;
use crate::runtime::choice::{self, Choice, ChoiceError};
use crate::session;
use crate::settings::{Environment, Settings};
use crate::statement;
use crate::view::{self, Access, Mount, ViewError, ViewRequest, What, host};
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

/// What differs where a plugin's tools run in the place of an agent.
#[derive(Clone, Debug)]
pub struct Room {
    /// The name of the sandbox, as [`session::new_id`] would make it.
    pub name: String,
    /// What may be done with the project; `None` where it does not appear.
    pub project: Option<Access>,
    /// What appears as the home.
    pub home: PathBuf,
    /// What lies over all else.
    pub mounts: Vec<Mount>,
    /// The only programs that can be executed; any, if `None`.
    pub executes: Option<Vec<PathBuf>>,
}

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
    /// What of rcc runs in the sandbox.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Guest(#[from] GuestError),
    /// The runtime.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Runtime(#[from] ChoiceError),
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
    /// What makes the sandbox.
    pub runtime: Choice,
    host: host::Host,
    session: String,
    network: Network,
    seat: Option<Seat>,
    kit: Option<Kit>,
    direct: Option<Direct>,
    room: Option<Room>,
}

impl Prepared {
    /// Reads what is needed, and checks that nothing is missing.
    pub fn new(facts: Facts, project: Project, loaded: Loaded, task: Task) -> Result<Self, PrepareError> {
        let scan = scan::read(&project, &loaded.settings.exclude)?;
        Self::with_scan(facts, project, loaded, task, scan)
    }

    /// The same for a plugin's tools. Nothing of the user's own is there: neither mounts nor a seat.
    pub fn for_plugin(
        facts: Facts,
        project: Project,
        mut loaded: Loaded,
        task: Task,
        room: Room,
    ) -> Result<Self, PrepareError> {
        loaded.settings.mounts.clear();
        loaded.settings.runtime = Runtime::Embedded;
        let scan = match room.project {
            Some(_) => scan::read(&project, &loaded.settings.exclude)?,
            None => Scan::default(),
        };
        let prepared = Self::with_scan(facts, project, loaded, task, scan)?;
        Ok(Self { session: room.name.clone(), room: Some(room), ..prepared })
    }

    fn with_scan(facts: Facts, project: Project, loaded: Loaded, task: Task, scan: Scan) -> Result<Self, PrepareError> {
        let settings = &loaded.settings;
        let runtime = choice::choose(settings.runtime, settings.image.as_ref(), facts.user.uid)?;
        let host = match runtime {
            Choice::Embedded { .. } => host::Host::read(),
            // The system's files are the image's.
            Choice::Engine { .. } => host::Host::default(),
        };
        let (policy, network) = network(&loaded, facts.user.uid)?.unzip();
        Ok(Self {
            scan,
            runtime,
            host,
            session: session::new_id(&project.root),
            network: network.map_or(Network::Offline, Network::Guarded),
            settings: loaded.settings,
            seat: None,
            kit: None,
            direct: None,
            room: None,
            facts,
            project,
            policy,
            task,
        })
    }

    /// The same under this name.
    pub fn named(self, session: &SessionName) -> Self {
        Self { session: session.to_string(), ..self }
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

    /// The same with plugins.
    pub fn with_kit(self, kit: Option<Kit>) -> Self {
        Self { kit, ..self }
    }

    /// The same at the ends of its pairs, under the name that the session has there.
    pub fn with_direct(mut self, direct: Option<Direct>) -> Self {
        if let Some(direct) = &direct {
            self.session = direct.session.to_string();
        }
        self.direct = direct;
        self
    }

    /// The session's name.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The guards that a run would have.
    pub fn guards(&self) -> Result<Vec<Guard>, PrepareError> {
        Ok(handover::plan(&self.project, &self.scan, &self.settings.writable)?)
    }

    /// The guards in force, with their placeholders; see [`handover::prepare`].
    pub fn hand_over(&self, locks: &Path) -> Result<Handover, HandoverError> {
        match self.access() {
            Some(_) => handover::prepare(&self.project, &self.scan, &self.settings.writable, locks),
            None => Ok(Handover::default()),
        }
    }

    /// Where the private home is.
    pub fn home(&self) -> PathBuf {
        match &self.room {
            Some(room) => room.home.clone(),
            None => home::path(&self.project, &self.facts.data_dir),
        }
    }

    /// The only programs that can be executed; any, if `None`.
    pub fn executes(&self) -> Option<Vec<PathBuf>> {
        self.room.as_ref().and_then(|room| room.executes.clone())
    }

    fn access(&self) -> Option<Access> {
        self.room.as_ref().map_or(Some(Access::Writable), |room| room.project)
    }

    /// The plan, given the guards. Pure but for resolving the user's extra mounts, and rcc's own program inside.
    pub fn plan(&self, guards: &[Guard], home: &Path) -> Result<Plan, PrepareError> {
        let profile = self.policy.as_ref().and_then(|policy| policy.profile(&self.settings.profile));
        let statement = statement::document(profile.map(|(_, profile)| profile));
        let direct = self.direct.iter().flat_map(Direct::mounts);
        let mut own: Vec<Mount> = self.seat.iter().flat_map(Seat::mounts).chain(direct).collect();
        own.extend(self.kit.iter().flat_map(Kit::mounts));
        // Each of them is used by it.
        if !own.is_empty() {
            let what = What::Bind { source: program::find()?, access: Access::ReadOnly };
            own.push(Mount { target: INSIDE_PROGRAM.into(), what });
        }
        own.extend(self.task.files.iter().cloned());
        let mut view = view::plan(ViewRequest {
            facts: &self.facts,
            host: &self.host,
            project: &self.project,
            guards,
            noexec: self.executes().is_some(),
            access: self.access().unwrap_or(Access::Inert),
            masks: &self.scan.masks,
            mounts: &self.settings.mounts,
            programs: &self.task.programs,
            home,
            nameserver: self.policy.as_ref().map(|_| IpAddr::V4(pasta::DNS)),
            own: &own,
            statement: &statement,
            hostname: plan::HOSTNAME,
        })?;
        view.mounts.extend(self.room.iter().flat_map(|room| room.mounts.iter().cloned()));
        let user = &self.facts.user;
        let mut environment =
            environment::inside(&self.facts, &self.session, &self.task.environment, &self.settings.environment);
        if matches!(self.runtime, Choice::Engine { .. }) && !self.settings.environment.set.contains_key("SHELL") {
            environment.insert("SHELL".into(), environment::IMAGES_SHELL.into());
        }
        environment.extend(self.seat.iter().flat_map(Seat::environment));
        self.kit.iter().for_each(|kit| kit.enter(&mut environment));
        Ok(Plan {
            session: self.session.clone(),
            runtime: self.runtime.clone(),
            project: self.project.root.clone(),
            directory: self.access().map_or(&user.home, |_| &self.project.cwd).clone(),
            command: self.task.command.clone(),
            environment,
            user: (user.uid, user.gid),
            view,
            network: self.network.clone(),
            limits: self.settings.limits,
            default_limits: self.settings.default_limits.clone(),
            enforced: None,
            relay: self.seat.as_ref().map(|seat| seat.socket.clone()),
            pairs: self.direct.iter().flat_map(|direct| direct.pairs.clone()).collect(),
            ports: self.kit.iter().flat_map(|kit| kit.ports.clone()).collect(),
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
