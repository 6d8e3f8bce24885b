//! The supervisor's process, as the launcher holds it, and what runs in it.

use super::{Prepared, RunError, host};
use crate::enforcement::Watch;
use crate::network::identity::Mapped;
use crate::network::slot::Slot;
use crate::plan::{Network, Plan};
use crate::runtime::embedded::idmap;
use crate::runtime::embedded::init::{self, Body, Start};
use crate::runtime::embedded::lockdown::Confinement;
use crate::runtime::embedded::process;
use crate::runtime::embedded::report::{self, Report, Reporter, Reports};
use crate::runtime::embedded::supervisor::{self, Guard, Link};
use crate::terminal::Outcome;
use crate::terminal::control::{self, InitEnd, LauncherEnd};
use crate::terminal::stdio::{AgentStdio, UserStdio, replace_with_null};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Signal, Uid, kill_process, set_parent_process_death_signal};
use std::io::{PipeReader, PipeWriter, Read, Write};

/// What the supervisor's process needs.
pub(super) struct Supervision<'a> {
    pub prepared: &'a Prepared,
    pub plan: &'a Plan,
    pub slot: Option<&'a Slot>,
    pub confinement: &'a Confinement,
    pub body: Body<'a>,
}

/// The supervisor's process. Dropping it ends the sandbox.
pub(super) struct Supervisor {
    pub pid: Pid,
    go: Option<PipeWriter>,
    /// Nothing is left to end.
    ended: bool,
}

/// What [`idmap::map_identity`] makes of the network identity.
const IDENTITY: Mapped = Mapped { uid: 1, gid: 1 };

/// How long a sandbox whose agent has ended may take to end by itself: its PID 1 does nothing else
/// any more.
const PARTING: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// What the launcher holds of a run.
pub(super) struct Ends {
    pub reports: Reports,
    pub control: LauncherEnd,
    pub user: UserStdio,
}

/// What the supervisor holds, some of it for the sandbox's PID 1.
struct Theirs {
    reporter: Reporter,
    wait: PipeReader,
    control: InitEnd,
    agent: AgentStdio,
}

impl Supervisor {
    /// Makes the process; it waits for [`Supervisor::begin`].
    pub fn start(
        supervision: &Supervision<'_>,
        (user, agent): (UserStdio, AgentStdio),
    ) -> Result<(Self, Ends), RunError> {
        let (reports, reporter) = report::channel().map_err(|error| host("make a socket pair")(error.into()))?;
        let (wait, go) = std::io::pipe().map_err(host("make a pipe"))?;
        let (control, init) = control::pair()?;
        // Both processes have both sides after the fork, and each closes the other's.
        let theirs = Theirs { reporter, wait, control: init, agent };
        let mut ours = Some((go, Ends { reports, control, user }));
        let pid = process::clone_into(process::SUPERVISOR_NAMESPACES, || {
            drop(ours.take());
            supervise(supervision, theirs)
        });
        let pid = pid.map_err(|error| host("create a user and a pid namespace")(error.into()))?;
        let (go, ends) = ours.ok_or_else(|| host("keep the launcher's side")(std::io::ErrorKind::Other.into()))?;
        Ok((Self { pid, go: Some(go), ended: false }, ends))
    }

    /// Maps the network identity, where there is one, and lets the supervisor begin.
    pub fn begin(&mut self, supervision: &Supervision<'_>) -> Result<(), RunError> {
        if let Some(slot) = supervision.slot {
            let (uid, gid) = supervision.plan.user;
            idmap::map_identity(self.pid, uid, gid, slot.identity)?;
        }
        let begun = self.go.take().map_or(Ok(()), |mut go| go.write_all(b"g"));
        begun.map_err(host("start the supervisor"))
    }

    /// Returns when every process of the sandbox has ended; `told` if the supervisor has said so.
    /// The supervisor itself ends a moment later: pasta has been killed, and the kernel takes 15 to
    /// 20 ms to dismantle its interface. Nobody needs to wait for that.
    pub fn end(mut self, reports: &Reports, told: bool) {
        self.ended = told;
        while !self.ended {
            match poll(&mut [PollFd::new(reports, PollFlags::IN)], Some(&PARTING)) {
                Err(Errno::INTR) => (),
                Ok(1..) => match reports.next() {
                    Ok(Some(report)) => self.ended = report == Report::Ended,
                    Ok(None) | Err(_) => return,
                },
                Ok(0) | Err(_) => return,
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = process::wait(self.pid);
    }
}

/// The main function of the supervisor's process.
fn supervise(supervision: &Supervision<'_>, theirs: Theirs) -> u8 {
    let Theirs { reporter, wait, control, agent } = theirs;
    if let Err(why) = become_supervisor(supervision, wait) {
        reporter.tell(&Report::Refused(why));
        return Outcome::FAILED;
    }
    let plan = supervision.plan;
    let start = Start { plan, confinement: supervision.confinement, body: supervision.body, reporter: &reporter };
    // Its copy of the agent's ends goes with the closure: whoever keeps one keeps pipes open.
    let sandbox = |link: Option<&Link>| init::run(&start, link, control, agent);
    let watched = supervision.prepared.policy.as_ref().zip(supervision.slot);
    match (&plan.network, watched) {
        (Network::Guarded(guarded), Some((policy, slot))) => {
            let mut watch = Watch::new(policy, &guarded.profile, plan.user.0, slot.identity);
            let guard = Guard { check: move || watch.look(), pasta: &guarded.pasta, identity: IDENTITY };
            supervisor::supervise(Some(guard), process::sandbox_namespaces(), &reporter, sandbox)
        }
        _ => {
            let nobody = None::<Guard<'_, fn() -> _>>;
            supervisor::supervise(nobody, process::sandbox_namespaces(), &reporter, sandbox)
        }
    }
}

/// Waits for the launcher's word and becomes root of the new user namespace. Whatever happens to
/// the launcher, this process, and with it everything below, ends with it.
fn become_supervisor(supervision: &Supervision<'_>, mut wait: PipeReader) -> Result<(), String> {
    let fail = |what: &'static str| move |error: Errno| format!("cannot {what} in the supervisor: {error}");
    let die_with_launcher = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(fail("tie the life"));
    die_with_launcher()?;
    // A session of its own: what the terminal sends to the foreground is the launcher's to pass on.
    rustix::process::setsid().map_err(fail("leave the terminal"))?;
    replace_with_null().map_err(|error| error.to_string())?;
    if wait.read(&mut [0]).unwrap_or(0) != 1 {
        return Err("the launcher gave up".to_owned());
    }
    match supervision.slot {
        Some(_) => become_root().map_err(fail("become root of its namespace"))?,
        None => idmap::map_self((0, 0), supervision.plan.user).map_err(|error| error.to_string())?,
    }
    // A change of credentials may have cleared it.
    die_with_launcher()
}

/// Groups such as docker or wheel open files: the sandbox gets none.
fn become_root() -> Result<(), Errno> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
}
