//! A container's life, and what may be given up when it has ended.

use super::EngineError;
use crate::project::handover::{Handover, HandoverError};
use crate::runtime::engine::contract::Engine;
use crate::runtime::engine::spec::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// A container, and what protects the project from it. Dropping it ends it; the engine then removes it by itself, but for
/// one that was never started.
pub(super) struct Container<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) id: String,
    /// Its first one, when there is one.
    pub(super) process: Option<OwnedFd>,
    pub(super) started: bool,
    /// Given up by whoever ends it.
    handover: Option<Handover>,
    /// How long what was killed may take to die: a process that waits for a disk or a server of files cannot at once.
    death: Duration,
}

impl<'a> Container<'a> {
    /// Has the engine make it.
    pub(super) fn make(
        engine: &'a dyn Engine,
        spec: &Spec<'_>,
        handover: Handover,
        death: Duration,
    ) -> Result<Self, EngineError> {
        let id = engine.create(spec)?;
        Ok(Self { engine, id, process: None, started: false, handover: Some(handover), death })
    }

    /// Ends it, and removes the placeholders if nothing inside can write any more. Returns what remains.
    pub(super) fn end(&mut self) -> Vec<HandoverError> {
        let Some(handover) = self.handover.take() else { return Vec::new() };
        let dead = match &self.process {
            Some(process) if self.started => {
                let _ = pidfd_send_signal(process, Signal::KILL);
                ends(process, self.death)
            }
            // Nothing of the agent's has run in it.
            _ => {
                drop(self.engine.remove(&self.id));
                true
            }
        };
        if dead { handover.finish() } else { handover.keep() }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        for leftover in self.end() {
            tracing::warn!("{leftover}");
        }
    }
}

/// Waits for the end of a container's first process, which the kernel tells when all others of its pid namespace have
/// ended (pid_namespaces(7)).
fn ends(process: &OwnedFd, death: Duration) -> bool {
    let deadline = Instant::now() + death;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => (),
            ended => return ended.is_ok_and(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::process::Command;

    #[test]
    fn what_was_killed_is_waited_for() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        let waiting = std::thread::spawn(move || ends(&process, Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        child.kill().unwrap();
        assert!(waiting.join().unwrap());
        child.wait().unwrap();
    }

    #[test]
    fn what_does_not_die_is_not_waited_for_longer_than_was_said() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        assert!(!ends(&process, Duration::from_millis(20)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
