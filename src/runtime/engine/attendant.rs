//! The process that completes a container and guards its network: the counterpart of the embedded runtime's
//! supervisor.
//!
//! It is made before the launcher does anything that might start a thread, and waits for the container's process. It
//! becomes root of the engine's user namespace, which may do to the container whatever must be done. Its child leads a
//! pid namespace: when the launcher, the attendant or that child ends, the verifier, pasta and all others end.

use super::namespace::{self, Container, NamespaceError};
use crate::network::inside::{self, InsideError};
use crate::network::routes::Routes;
use crate::runtime::embedded::process;
use crate::runtime::embedded::report::{Report, Reporter};
use crate::runtime::embedded::root::{self, RootError};
use crate::runtime::embedded::supervisor::{Guard, Link, supervise};
use crate::terminal::stdio::replace_with_null;
use crate::view::View;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// The network that a container gets.
pub struct Network<'a, Check> {
    /// Says why the firewall does not hold.
    pub check: Check,
    /// The pasta program.
    pub pasta: &'a Path,
    /// The host's number of the network identity.
    pub identity: u32,
    /// What to do if the engine does not know it.
    pub renewal: &'static str,
    /// The second layer.
    pub routes: &'a Routes,
}

/// Why the container was not completed.
#[derive(Debug, thiserror::Error)]
enum AttendantError {
    #[error("cannot {what} in the attendant's process: {source}")]
    Host { what: &'static str, source: std::io::Error },
    #[error("the launcher gave up")]
    GivenUp,
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Inside(#[from] InsideError),
    #[error("{0}")]
    Dressing(String),
    /// The supervisor has reported why by itself.
    #[error("")]
    Supervisor,
}

fn host<E: Into<std::io::Error>>(what: &'static str) -> impl Fn(E) -> AttendantError {
    move |source| AttendantError::Host { what, source: source.into() }
}

/// The main function of the attendant's process. `order` brings the number of the container's process. Ready is
/// reported when that may go on; without a network the container is only completed.
pub fn attend<Check: FnMut() -> Result<(), (String, Duration)>>(
    order: PipeReader,
    reporter: &Reporter,
    view: &View,
    network: Option<Network<'_, Check>>,
) -> u8 {
    match begin(order, reporter, view, network) {
        Ok(status) => status,
        Err(error) => {
            reporter.tell(&Report::Refused(error.to_string()));
            1
        }
    }
}

fn begin<Check: FnMut() -> Result<(), (String, Duration)>>(
    mut order: PipeReader,
    reporter: &Reporter,
    view: &View,
    network: Option<Network<'_, Check>>,
) -> Result<u8, AttendantError> {
    die_with_parent()?;
    // A session of its own: what the terminal sends to the foreground is the launcher's to pass on.
    rustix::process::setsid().map_err(host("leave the terminal"))?;
    replace_with_null().map_err(|error| host("leave the terminal")(std::io::Error::other(error)))?;
    let mut number = [0; 4];
    order.read_exact(&mut number).map_err(|_| AttendantError::GivenUp)?;
    let pid = Pid::from_raw(i32::from_ne_bytes(number)).ok_or(AttendantError::GivenUp)?;
    let container = Container::open(pid)?;
    let launcher = getppid();
    container.enter_engine()?;
    // The change of credentials has cleared it, and whoever has gone meanwhile tells nothing.
    die_with_parent()?;
    if getppid() != launcher {
        return Err(AttendantError::GivenUp);
    }
    let routes = network.as_ref().map(|network| network.routes);
    let guard = network
        .map(|network| {
            let identity = namespace::mapped(network.identity, network.renewal)?;
            Ok::<_, NamespaceError>(Guard { check: network.check, pasta: network.pasta, identity })
        })
        .transpose()?;
    let (mut wait, mut go) = std::io::pipe().map_err(host("make a pipe"))?;
    let inner = process::clone_into(libc::CLONE_NEWPID as u64, || {
        let tied = die_with_parent().is_ok() && wait.read(&mut [0]).unwrap_or(0) == 1;
        if !tied {
            return 1;
        }
        supervise(guard, 0, reporter, |link| stand_in(&container, reporter, view, routes, link))
    });
    let inner = inner.map_err(host("make a pid namespace"))?;
    go.write_all(b"g").map_err(host("start the guard"))?;
    process::wait(inner).map(process::exit_byte).map_err(host("wait for the guard"))
}

fn die_with_parent() -> Result<(), AttendantError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(host("tie the life"))
}

/// The process that stands for the container where the embedded runtime has the sandbox's PID 1: it ends when the
/// container does.
fn stand_in(
    container: &Container,
    reporter: &Reporter,
    view: &View,
    routes: Option<&Routes>,
    link: Option<&Link>,
) -> u8 {
    match prepare(container, view, routes, link) {
        Ok(()) => reporter.tell(&Report::Ready),
        Err(error) => {
            let why = error.to_string();
            if !why.is_empty() {
                reporter.tell(&Report::Refused(why));
            }
            return 1;
        }
    }
    loop {
        match poll(&mut [PollFd::new(&container.process, PollFlags::IN)], None) {
            Err(Errno::INTR) => (),
            _ => return 0,
        }
    }
}

/// The group of the user in the engine's user namespace.
const OWN_GROUP: u32 = 0;

fn prepare(
    container: &Container,
    view: &View,
    routes: Option<&Routes>,
    link: Option<&Link>,
) -> Result<(), AttendantError> {
    die_with_parent()?;
    move_into_link_name_space(container.network.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(host("enter the container's network namespace"))?;
    inside::prepare(OWN_GROUP)?;
    if let Some(link) = link {
        link.offer_network().map_err(|_| AttendantError::Supervisor)?;
        link.offer_dead_end(inside::make_dead_end()?.as_fd()).map_err(|_| AttendantError::Supervisor)?;
    }
    dress(container, view)?;
    match (routes, link) {
        (Some(routes), Some(link)) => {
            link.await_network().map_err(|_| AttendantError::Supervisor)?;
            inside::add_routes(routes)?;
            Ok(inside::verify_routes(routes)?)
        }
        _ => Ok(inside::verify_offline()?),
    }
}

/// Lays the view over the image's files, in a process of its own: there is no way back to the host's mounts.
fn dress(container: &Container, view: &View) -> Result<(), AttendantError> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(host("make a pipe"))?;
    let mut writer = PipeWriter::from(writer);
    let child = process::fork(|| {
        let enter = || move_into_link_name_space(container.mounts.as_fd(), Some(LinkNameSpaceType::Mount));
        // SAFETY: this process has a single thread.
        let own = unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(host("copy the host's mounts"));
        match own.and_then(|()| Ok(root::complete(view, enter)?)) {
            Ok(()) => 0,
            Err(error) => {
                let _ = writer.write_all(error.to_string().as_bytes());
                1
            }
        }
    });
    let child = child.map_err(host("make a process"))?;
    drop(writer);
    let mut said = String::new();
    PipeReader::from(reader).read_to_string(&mut said).map_err(host("hear a process"))?;
    match process::wait(child).map(process::exit_byte) {
        Ok(0) => Ok(()),
        _ if said.is_empty() => Err(AttendantError::Dressing("the process that completes the container died".into())),
        _ => Err(AttendantError::Dressing(said)),
    }
}
