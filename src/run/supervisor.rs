//! The supervisor's process, as the launcher holds it, and what runs in it.

use super::{Prepared, RunError, host};
use crate::enforcement::Watch;
use crate::network::slot::Slot;
use crate::plan::{Network, Plan};
use crate::runtime::embedded::idmap::{self, IdMapError};
use crate::runtime::embedded::init::{self, Start};
use crate::runtime::embedded::lockdown::{self, Confinement};
use crate::runtime::embedded::report::{self, Report, Reporter, Reports};
use crate::runtime::embedded::supervisor::{self, Guard};
use crate::runtime::embedded::{agent, process};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Signal, Uid, kill_process, set_parent_process_death_signal};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;

/// What the supervisor's process needs.
pub(super) struct Supervision<'a> {
    pub prepared: &'a Prepared,
    pub plan: &'a Plan,
    pub slot: Option<&'a Slot>,
    pub confinement: &'a Confinement,
}

/// The supervisor's process. Dropping it ends the sandbox.
pub(super) struct Supervisor {
    pub pid: Pid,
    go: Option<PipeWriter>,
    ended: bool,
}

impl Supervisor {
    /// Makes the process; it waits for [`Supervisor::begin`].
    pub fn start(supervision: &Supervision<'_>) -> Result<(Self, Reports), RunError> {
        let (reports, reporter) = report::channel().map_err(|error| host("make a socket pair")(error.into()))?;
        let (mut wait, go) = std::io::pipe().map_err(host("make a pipe"))?;
        let pid = process::clone_into(process::SUPERVISOR_NAMESPACES, || supervise(supervision, &reporter, &mut wait));
        let pid = pid.map_err(|error| host("create a user and a pid namespace")(error.into()))?;
        Ok((Self { pid, go: Some(go), ended: false }, reports))
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

    /// Waits for its end; the exit status is the sandbox's.
    pub fn wait(mut self) -> Result<u8, RunError> {
        let status = process::wait(self.pid).map_err(|error| host("wait for the supervisor")(error.into()))?;
        self.ended = true;
        Ok(process::exit_byte(status))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = process::wait(self.pid);
        }
    }
}

/// The main function of the supervisor's process.
fn supervise(supervision: &Supervision<'_>, reporter: &Reporter, wait: &mut PipeReader) -> u8 {
    match become_supervisor(supervision, reporter, wait) {
        Ok(()) => (),
        Err(why) => {
            reporter.tell(&Report::Refused(why));
            return 1;
        }
    }
    let plan = supervision.plan;
    let start = Start { plan, confinement: supervision.confinement, reporter };
    let sandbox = |link: Option<&supervisor::Link>| {
        init::run(
            &start,
            link,
            || Ok(()),
            |()| {
                let child = process::fork(|| agent::execute(&plan.command, &plan.environment));
                child.and_then(process::wait).map_or(1, process::exit_byte)
            },
        )
    };
    let watched = supervision.prepared.policy.as_ref().zip(supervision.slot);
    match (&plan.network, watched) {
        (Network::Guarded(guarded), Some((policy, slot))) => {
            let mut watch = Watch::new(policy, &guarded.profile, plan.user.0, slot.identity);
            let guard = Guard { check: move || watch.look(), pasta: &guarded.pasta };
            supervisor::supervise(Some(guard), reporter, sandbox)
        }
        _ => supervisor::supervise(None::<Guard<'_, fn() -> _>>, reporter, sandbox),
    }
}

/// Waits for the launcher's word and becomes root of the new user namespace. Whatever happens to
/// the launcher, this process, and with it everything below, ends with it.
fn become_supervisor(supervision: &Supervision<'_>, reporter: &Reporter, wait: &mut PipeReader) -> Result<(), String> {
    let fail = |what: &'static str| move |error: Errno| format!("cannot {what} in the supervisor: {error}");
    let die_with_launcher = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(fail("tie the life"));
    die_with_launcher()?;
    let slot = supervision.slot.map(AsFd::as_fd);
    let keep: Vec<_> = [reporter.as_fd(), wait.as_fd()].into_iter().chain(slot).collect();
    // SAFETY: this process ends by _exit, so nothing that owns another descriptor is dropped, and
    // nothing below uses one.
    unsafe { lockdown::close_inherited(&keep) }.map_err(|error| error.to_string())?;
    // A session of its own: what the terminal sends to the foreground is the launcher's to pass on.
    rustix::process::setsid().map_err(fail("leave the terminal"))?;
    if wait.read(&mut [0]).unwrap_or(0) != 1 {
        return Err("the launcher gave up".to_owned());
    }
    match supervision.slot {
        Some(_) => become_root().map_err(fail("become root of its namespace"))?,
        None => idmap::map_self((0, 0), supervision.plan.user).map_err(|error: IdMapError| error.to_string())?,
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
