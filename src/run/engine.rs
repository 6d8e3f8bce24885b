//! Carries out a plan by a container engine.

mod container;
mod files;
mod hear;
pub mod left;
mod look;

use super::ceilings::{self, Ceilings};
use super::ground::Ground;
use super::{Ended, Loss, PrepareError, Prepared, RunError, Vanished, host, record, relay};
use crate::enforcement::Watch;
use crate::facts::Facts;
use crate::network::slot::Slot;
use crate::plan::{Network, Plan};
use crate::runtime::Image;
use crate::runtime::choice::EngineName;
use crate::runtime::embedded::cgroup::{self, Reclaimer};
use crate::runtime::embedded::process;
use crate::runtime::embedded::report::{self, Report, Reports};
use crate::runtime::engine::api::{Api, ApiError};
use crate::runtime::engine::attendant::{self, Network as Attended};
use crate::runtime::engine::contract::Engine;
use crate::runtime::engine::docker::{self, Docker, SocketError};
use crate::runtime::engine::floors::FloorError;
use crate::runtime::engine::greeting;
use crate::runtime::engine::namespace::{self, NamespaceError};
use crate::runtime::engine::podman::Podman;
use crate::runtime::engine::service::{Service, ServiceError};
use crate::runtime::engine::spec::Spec;
use crate::session::{Record, Session};
use crate::settings::Timeouts;
use crate::terminal::stdio::{AgentStdio, StdioError, UserStdio};
use crate::view::{Access, Mount, What};
use container::Container;
use files::{Files, sweep};
use hear::{greet, hear, listen_at};
use look::look;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::{self, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Why a container did not come about.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    /// An engine's API.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Service(#[from] ServiceError),
    /// Docker's socket.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Socket(#[from] SocketError),
    /// A call of it.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Its users.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A version with a known way out.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Floor(#[from] FloorError),
    /// The image is not there.
    #[error("there is no image '{name}' here")]
    #[diagnostic(help(
        "`rcc image pull {name}` fetches it, `rcc image build` makes rcc's own, `rcc image list` lists what is there"
    ))]
    NoImage {
        /// Its name.
        name: String,
    },
    /// The image asks for storage that the engine would add by itself.
    #[error("the image '{name}' declares a volume, {volume}, and Docker mounts one in each of its containers")]
    #[diagnostic(help(
        "rcc takes no mounts but its own: make an image without VOLUME from it (`docker export` and `docker import` of \
         one of its containers), or use Podman, which leaves them out"
    ))]
    Volume {
        /// Its name.
        name: String,
        /// Where.
        volume: String,
    },
    /// The engine is root's.
    #[error("the {engine} that answers is root's; only one without root can be used")]
    Rootful {
        /// Which.
        engine: &'static str,
    },
    /// The container ended before rcc was heard in it.
    #[error("the image cannot run rcc, which must be the first process of its container: {said}")]
    #[diagnostic(help("is the image of this machine's architecture? rcc brings all else that its program needs"))]
    Mute {
        /// What it wrote.
        said: String,
    },
}

/// The attendant's process. Dropping it ends the network.
struct Attendant {
    pid: Pid,
    order: PipeWriter,
}

impl Drop for Attendant {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = process::wait(self.pid);
    }
}

/// As [`super::carry_out`].
pub(super) fn carry_out(
    prepared: &Prepared,
    (name, image): (EngineName, &Image),
    standing: &mut dyn FnMut(),
    streams: impl FnOnce() -> Result<(UserStdio, AgentStdio), StdioError>,
) -> Result<Ended, RunError> {
    let ground = Ground::lay(prepared)?;
    let files = Files::make(&ground.runtime_dir, prepared.session(), name)?;
    let listener = listen_at(&files.socket()).map_err(|error| host("make the launcher's socket")(error.into()))?;
    let plan = plan(prepared, &ground, &files)?;
    let slot = ground.slot(&plan)?;
    // Before anything that might start a thread.
    let renewal = namespace::renewal(name);
    let (mut attendant, reports, listener) = attendant(prepared, &plan, slot.as_ref(), renewal, listener)?;
    let Ground { started, runtime_dir, handover, .. } = ground;
    let unheld = record(&plan, slot.as_ref(), attendant.pid, &Ceilings::default());
    let mut session = Session::register(&runtime_dir, &unheld)?;
    let timeouts = prepared.settings.timeouts;
    let (engine, service) = find(name, &prepared.facts, files.directory(), timeouts)?;
    let engine = &*engine;
    let (limits, has) = look(engine, image, &plan, slot.as_ref())?;
    sweep(engine, &runtime_dir)?;
    let program = crate::guest::program::find_static().map_err(PrepareError::from)?;
    let log = files.log();
    let spec = Spec {
        plan: &plan,
        image,
        has: &has,
        program: &program,
        log: &log,
        limits: limits.of_cgroup,
        runtime_dir: &runtime_dir,
    };
    let placeholders = handover.placeholders();
    let mut container = Container::make(engine, &spec, handover, timeouts.death)?;
    let pid = begin(&mut container, &mut attendant)?;
    let limits = ceilings::verify(limits, pid)?;
    let known = Record { container: Some(pid.as_raw_pid()), ..record(&plan, slot.as_ref(), attendant.pid, &limits) };
    session.amend(&known)?;
    ready(&reports)?;
    engine.let_go(&container.id).map_err(EngineError::from)?;
    container.started = true;
    let (terminal, agent) = streams()?;
    let first = hear(&listener, &container, pid, &log, timeouts.start)?;
    drop(listener);
    let user = Some(plan.user).filter(|_| !engine.keeps_id());
    let (first, control) = greet(&first, &plan, user, limits.processes, has.path().into(), agent)?;
    ready(&first)?;
    drop(service);
    let mut reclaimer = None;
    let mut standing = || {
        standing();
        reclaimer = cgroup::of_sandbox(pid.as_raw_pid().unsigned_abs()).and_then(|dir| Reclaimer::start(&dir));
    };
    let relayed = relay(&reports, control, terminal, Loss::Tell, Vanished::End, &mut standing);
    drop(reclaimer);
    let leftovers = container.end();
    drop(attendant);
    Ok(Ended { outcome: relayed?.0, session: plan.session.clone(), started, placeholders, leftovers })
}

/// Who answers for this engine, and what must live until the agent runs.
fn find(
    name: EngineName,
    facts: &Facts,
    directory: &Path,
    timeouts: Timeouts,
) -> Result<(Box<dyn Engine>, Option<Service>), RunError> {
    let client = host("start a client of the engine");
    match name {
        EngineName::Podman => {
            let service = Service::find(facts, directory, timeouts.start).map_err(EngineError::from)?;
            let api = Api::new(service.socket.clone(), timeouts.engine).map_err(client)?;
            Ok((Box::new(Podman::new(api)), Some(service)))
        }
        EngineName::Docker => {
            let socket = docker::socket(facts).map_err(EngineError::from)?;
            Ok((Box::new(Docker::new(socket, timeouts.engine).map_err(EngineError::from)?), None))
        }
    }
}

/// The plan, with the launcher's socket inside.
fn plan(prepared: &Prepared, ground: &Ground, files: &Files) -> Result<Plan, RunError> {
    let mut plan = ground.plan(prepared)?;
    let what = What::Bind { source: files.socket(), access: Access::Inert };
    plan.view.mounts.push(Mount { target: greeting::SOCKET.into(), what });
    // Some distributions have Podman show the host's subscriptions there.
    plan.view.mounts.push(Mount { target: "/run/secrets".into(), what: What::Tmpfs { mode: 0o700, noexec: true } });
    Ok(plan)
}

/// Makes the attendant's process, which does not keep the launcher's listening socket.
fn attendant(
    prepared: &Prepared,
    plan: &Plan,
    slot: Option<&Slot>,
    renewal: &'static str,
    listener: OwnedFd,
) -> Result<(Attendant, Reports, OwnedFd), RunError> {
    let (reports, reporter) = report::channel().map_err(|error| host("make a socket pair")(error.into()))?;
    let (wait, order) = io::pipe().map_err(host("make a pipe"))?;
    // Each process closes what is the other's.
    let mut ours = Some((order, reports, listener));
    let pid = process::fork(|| {
        drop(ours.take());
        let watched = prepared.policy.as_ref().zip(slot);
        let network = match (&plan.network, watched) {
            (Network::Guarded(guarded), Some((policy, slot))) => {
                let mut watch = Watch::new(policy, &guarded.profile, plan.user.0, slot.identity);
                let (pasta, routes) = (guarded.pasta.as_path(), &guarded.routes);
                Some(Attended { check: move || watch.look(), pasta, identity: slot.identity, renewal, routes })
            }
            _ => None,
        };
        attendant::attend(wait, &reporter, &plan.view, network)
    });
    let pid = pid.map_err(|error| host("make a process")(error.into()))?;
    let (order, reports, listener) =
        ours.ok_or_else(|| host("keep the launcher's side")(io::ErrorKind::Other.into()))?;
    Ok((Attendant { pid, order }, reports, listener))
}

/// Makes the container's namespaces, and has the attendant complete them.
fn begin(container: &mut Container<'_>, attendant: &mut Attendant) -> Result<Pid, RunError> {
    container.engine.ready(&container.id).map_err(EngineError::from)?;
    let pid = container.engine.process(&container.id).map_err(EngineError::from)?;
    let pid = pid.ok_or_else(|| RunError::Refused { why: "the container's process ended at once".into() })?;
    let process = pidfd_open(pid, PidfdFlags::empty());
    container.process = Some(process.map_err(|error| host("find the container's process")(error.into()))?);
    attendant.order.write_all(&pid.as_raw_pid().to_ne_bytes()).map_err(host("order the attendant"))?;
    Ok(pid)
}

fn ready(reports: &Reports) -> Result<(), RunError> {
    match reports.next().map_err(|error| host("hear the container's guard")(error.into()))? {
        Some(Report::Ready) => Ok(()),
        Some(Report::Refused(why) | Report::Cut(why)) => Err(RunError::Refused { why }),
        Some(Report::Ended) | None => Err(RunError::Refused { why: "the container or its guard died".to_owned() }),
    }
}
