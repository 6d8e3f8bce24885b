//! Carries out a plan by Podman.

mod container;
pub mod left;

use super::ceilings::{self, Ceilings};
use super::{Ended, Loss, PrepareError, Prepared, RunError, Vanished, host, record, relay};
use crate::enforcement::Watch;
use crate::network::slot::Slot;
use crate::plan::{Network, Plan};
use crate::project::handover::Guard as Protected;
use crate::project::home;
use crate::relay::seat::INSIDE_PROGRAM;
use crate::runtime::Image;
use crate::runtime::embedded::cgroup::{self, Reclaimer};
use crate::runtime::embedded::process;
use crate::runtime::embedded::report::{self, Report, Reports};
use crate::runtime::engine::api::{Api, ApiError};
use crate::runtime::engine::attendant::{self, Network as Attended};
use crate::runtime::engine::floors::{self, FloorError};
use crate::runtime::engine::greeting::{self, Greeting};
use crate::runtime::engine::namespace::NamespaceError;
use crate::runtime::engine::podman::{Ours, Podman};
use crate::runtime::engine::service::{Service, ServiceError};
use crate::runtime::engine::spec::Spec;
use crate::session::{self, Record, Session};
use crate::terminal::control;
use crate::terminal::stdio::{AgentStdio, StdioError, UserStdio};
use crate::view::{Access, Mount, What};
use container::Container;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::ffi::OsString;
use std::io::{self, PipeWriter, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Why a container did not come about.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum EngineError {
    /// Podman's API.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Service(#[from] ServiceError),
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
    /// Podman is root's.
    #[error("the Podman that answers is root's; only one without root can be used")]
    Rootful,
    /// The container ended before rcc was heard in it.
    #[error("the image cannot run rcc, which must be the first process of its container: {said}")]
    #[diagnostic(help(
        "rcc needs the dynamic loader, libc and libgcc_s of a glibc that is not older than the one that it was built \
         with; images of Debian, Ubuntu and Fedora have them, those of Alpine do not"
    ))]
    Mute {
        /// What it wrote.
        said: String,
    },
}

/// Where the files of runs are, in the user's runtime directory.
const DIRECTORY: &str = "engine";

/// The files of one run, in the user's runtime directory: gone when it ends.
struct Files(PathBuf);

impl Files {
    fn make(runtime_dir: &Path, session: &str) -> Result<Self, RunError> {
        let dir = runtime_dir.join(DIRECTORY).join(session);
        let made = std::fs::DirBuilder::new().recursive(true).create(&dir);
        made.map_err(host("make a directory for the container"))?;
        Ok(Self(dir))
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn socket(&self) -> PathBuf {
        self.0.join("launcher")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
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
    image: &Image,
    standing: &mut dyn FnMut(),
    streams: impl FnOnce() -> Result<(UserStdio, AgentStdio), StdioError>,
) -> Result<Ended, RunError> {
    let (facts, started) = (&prepared.facts, SystemTime::now());
    process::keep_descriptors().map_err(|error| host("keep the caller's open files from pasta")(error.into()))?;
    let xdg = facts.variable("XDG_RUNTIME_DIR").map(Path::new);
    let runtime_dir = session::runtime_dir(facts.user.uid, xdg, &facts.data_dir)?;
    let handover = prepared.hand_over(&runtime_dir)?;
    let home = home::prepare(&prepared.home())?;
    (prepared.task.seed)(&home, &prepared.project.root, facts).map_err(RunError::Seed)?;
    let files = Files::make(&runtime_dir, prepared.session())?;
    let listener = listen_at(&files.socket()).map_err(|error| host("make the launcher's socket")(error.into()))?;
    let plan = plan(prepared, &handover.guards, &home, &files)?;
    let slot = match &plan.network {
        Network::Offline => None,
        Network::Guarded(guarded) => Some(Slot::acquire(&runtime_dir, guarded.identities.clone())?),
    };
    // Before anything that might start a thread.
    let (mut attendant, reports, listener) = attendant(prepared, &plan, slot.as_ref(), listener)?;
    let first = record(&plan, slot.as_ref(), attendant.pid, &Ceilings::default());
    let mut session = Session::register(&runtime_dir, &first)?;
    let timeouts = prepared.settings.timeouts;
    let service = Service::find(facts, &files.0, timeouts.start).map_err(EngineError::from)?;
    let podman =
        Podman::new(Api::new(service.socket.clone(), timeouts.engine).map_err(host("start a client of the engine"))?);
    let (limits, path) = look(&podman, image, &plan, slot.as_ref())?;
    sweep(&podman, &runtime_dir)?;
    let program = crate::guest::program::find_static().map_err(PrepareError::from)?;
    let log = files.log();
    let spec =
        Spec { plan: &plan, image, program: &program, log: &log, limits: limits.of_cgroup, runtime_dir: &runtime_dir };
    let placeholders = handover.placeholders();
    let mut container = Container::make(&podman, &spec, handover, timeouts.death)?;
    let pid = begin(&mut container, &mut attendant)?;
    let limits = ceilings::verify(limits, pid)?;
    let known = Record { container: Some(pid.as_raw_pid()), ..record(&plan, slot.as_ref(), attendant.pid, &limits) };
    session.amend(&known)?;
    ready(&reports)?;
    podman.start(&container.id).map_err(EngineError::from)?;
    container.started = true;
    let (user, agent) = streams()?;
    let first = hear(&listener, &container, pid, &log, timeouts.start)?;
    drop(listener);
    let (first, control) = greet(&first, &plan, limits.processes, path, agent)?;
    ready(&first)?;
    drop(service);
    let mut reclaimer = None;
    let mut standing = || {
        standing();
        reclaimer = cgroup::of_sandbox(pid.as_raw_pid().unsigned_abs()).and_then(|dir| Reclaimer::start(&dir));
    };
    let relayed = relay(&reports, control, user, Loss::Tell, Vanished::End, &mut standing);
    drop(reclaimer);
    let leftovers = container.end();
    drop(attendant);
    Ok(Ended { outcome: relayed?.0, session: plan.session.clone(), started, placeholders, leftovers })
}

/// The plan, with the launcher's socket inside.
fn plan(prepared: &Prepared, guards: &[Protected], home: &Path, files: &Files) -> Result<Plan, PrepareError> {
    let mut plan = prepared.plan(guards, home)?;
    let what = What::Bind { source: files.socket(), access: Access::Inert };
    plan.view.mounts.push(Mount { target: greeting::SOCKET.into(), what });
    // Some distributions have Podman show the host's subscriptions there.
    plan.view.mounts.push(Mount { target: "/run/secrets".into(), what: What::Tmpfs { mode: 0o700, noexec: true } });
    Ok(plan)
}

fn listen_at(path: &Path) -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, 1)?;
    Ok(socket)
}

/// Makes the attendant's process, which does not keep the launcher's listening socket.
fn attendant(
    prepared: &Prepared,
    plan: &Plan,
    slot: Option<&Slot>,
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
                Some(Attended { check: move || watch.look(), pasta, identity: slot.identity, routes })
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

/// Whether this Podman will do, how it holds the limits, and where the image has its programs.
fn look(podman: &Podman, image: &Image, plan: &Plan, slot: Option<&Slot>) -> Result<(Ceilings, OsString), RunError> {
    let info = podman.info().map_err(EngineError::from)?;
    if !info.rootless {
        return Err(EngineError::Rootful.into());
    }
    if let Some(slot) = slot.filter(|slot| !info.knows(slot.identity)) {
        return Err(EngineError::from(NamespaceError::NotMapped { identity: slot.identity }).into());
    }
    floors::check(&info.runtime, &info.runtime_version).map_err(EngineError::from)?;
    let path = podman.path_of(image.as_str()).map_err(EngineError::from)?;
    let path = path.ok_or_else(|| EngineError::NoImage { name: image.as_str().to_owned() })?;
    Ok((ceilings::of_engine(plan, &info.controllers)?, path.into()))
}

/// A directory without a session is given up when it is older than this: a younger one may be about to have one.
const ABANDONED: Duration = Duration::from_secs(120);

/// Removes the containers and directories of launchers that are gone, of those that keep their sessions here: what
/// others have in another runtime directory may live.
fn sweep(podman: &Podman, runtime_dir: &Path) -> Result<(), RunError> {
    let ours = podman.ours().map_err(EngineError::from)?;
    let running = session::list(runtime_dir)?;
    let lives = |session: &str| running.iter().any(|record| record.id == session);
    let here = |ours: &&Ours| Path::new(&ours.runtime_dir) == runtime_dir;
    for orphan in ours.iter().filter(here).filter(|ours| !lives(&ours.session)) {
        if let Err(error) = podman.remove(&orphan.id) {
            tracing::warn!("a container of a sandbox that is gone, {}, cannot be removed: {error}", orphan.session);
        }
    }
    for entry in std::fs::read_dir(runtime_dir.join(DIRECTORY)).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default());
        if age.is_ok_and(|age| age > ABANDONED) && !entry.file_name().to_str().is_some_and(lives) {
            // The next start tries again.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Makes the container's namespaces, and has the attendant complete them.
fn begin(container: &mut Container<'_>, attendant: &mut Attendant) -> Result<Pid, RunError> {
    container.podman.init(&container.id).map_err(EngineError::from)?;
    let pid = container.podman.process(&container.id).map_err(EngineError::from)?;
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

/// Waits for rcc inside, and makes sure that it is the container's first process.
fn hear(
    listener: &OwnedFd,
    container: &Container<'_>,
    pid: Pid,
    log: &Path,
    patience: Duration,
) -> Result<OwnedFd, RunError> {
    let patience = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    let fail = |what| move |error: Errno| host(what)(error.into());
    let ended = container.process.as_ref().map(|process| PollFd::new(process, PollFlags::IN));
    let mut fds = Vec::from([PollFd::new(listener, PollFlags::IN)]);
    fds.extend(ended);
    while let Err(error) = poll(&mut fds, Some(&patience)) {
        if error != Errno::INTR {
            return Err(fail("wait for the container")(error));
        }
    }
    if fds[0].revents().is_empty() {
        return Err(EngineError::Mute { said: said(log) }.into());
    }
    let first = accept_with(listener, SocketFlags::CLOEXEC).map_err(fail("hear the container"))?;
    if socket_peercred(&first).map_err(fail("look who speaks from the container"))?.pid != pid {
        return Err(RunError::Refused { why: "somebody else than the container's first process spoke".into() });
    }
    Ok(first)
}

/// Tells rcc inside what to do.
fn greet(
    first: &OwnedFd,
    plan: &Plan,
    processes: Option<u64>,
    path: OsString,
    agent: AgentStdio,
) -> Result<(Reports, control::LauncherEnd), RunError> {
    let (reports, reporter) = report::channel().map_err(|error| host("make a socket pair")(error.into()))?;
    let (launcher, init) = control::pair()?;
    let routes = match &plan.network {
        Network::Offline => None,
        Network::Guarded(guarded) => Some(guarded.routes.clone()),
    };
    let own = |what: &What| !matches!(what, What::Devices { .. } | What::Processes { .. });
    let program = Mount { target: INSIDE_PROGRAM.into(), what: What::Directory };
    let mounted = plan.view.mounts.iter().filter(|mount| own(&mount.what)).chain([&program]);
    let greeting = Greeting {
        command: plan.command.clone(),
        environment: plan.environment.clone().into_iter().collect(),
        path,
        directory: plan.directory.clone().into(),
        writable: plan.view.writable().into_iter().map(PathBuf::into_os_string).collect(),
        mounts: mounted.map(|mount| mount.target.clone().into()).collect(),
        processes,
        routes,
        ports: plan.ports.clone(),
        stdio: agent.hand_over().0,
    };
    greeting::send(first, &greeting, &reporter, &init, &agent).map_err(host("tell the container what to run"))?;
    Ok((reports, launcher))
}

/// The last line that the container's first process wrote, of the k8s-file format: time, stream, tag, text.
fn said(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let last = text.lines().last().and_then(|line| line.splitn(4, ' ').nth(3));
    crate::shown::text(last.unwrap_or("it ended without a word, as where the dynamic loader is missing"))
}
