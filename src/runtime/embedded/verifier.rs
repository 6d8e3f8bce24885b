//! Keeps asking whether the firewall holds, as the network identity that it is to hold for.

use super::lockdown;
use crate::network::identity::Mapped;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Signal, Uid, set_parent_process_death_signal};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// Between two looks. Short enough that a sandbox loses its network within a second of the
/// rules, with room for a second look and a loaded machine.
const INTERVAL: Duration = Duration::from_millis(250);
/// Before the second look that confirms a failure, unless the failure excuses itself for longer:
/// the firewall service needs a moment to follow a change of the machine's networks.
const CONFIRMATION: Duration = Duration::from_millis(150);

/// A running verifier.
#[derive(Debug)]
pub struct Verifier {
    /// Its process, a child of the caller.
    pub pid: Pid,
    verdicts: std::io::PipeReader,
}

impl Verifier {
    /// Starts the process, in the caller's network namespace, which must be the host's. `check`
    /// says why the firewall does not hold, and for how long that may be excused.
    pub fn start(identity: Mapped, mut check: impl FnMut() -> Result<(), (String, Duration)>) -> std::io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut verdict = std::io::PipeWriter::from(writer);
        let pid = super::process::fork(|| {
            // SAFETY: this process ends by _exit, so nothing that owns a descriptor is dropped.
            if unsafe { lockdown::close_inherited(&[verdict.as_fd()]) }.is_err() {
                return 1;
            }
            let failure = match become_identity(identity) {
                Ok(()) => watch(&mut check, &mut verdict),
                Err(error) => format!("cannot become the network identity: {error}"),
            };
            // A supervisor that is gone needs no words.
            let _ = verdict.write_all(failure.as_bytes());
            1
        })?;
        Ok(Self { pid, verdicts: reader.into() })
    }

    /// Waits for the first verdict.
    pub fn first(&mut self) -> Result<(), String> {
        let mut byte = [0];
        match self.verdicts.read(&mut byte) {
            Ok(1) if byte[0] == HOLDS => Ok(()),
            Ok(1) => Err(format!("{}{}", char::from(byte[0]), self.last_words())),
            Ok(_) => Err("the verifier died".to_owned()),
            Err(error) => Err(format!("cannot hear the verifier: {error}")),
        }
    }

    /// Why it ended. To be called once it has.
    pub fn last_words(&mut self) -> String {
        let mut text = Vec::new();
        match self.verdicts.read_to_end(&mut text) {
            Ok(0) | Err(_) => "the verifier was killed".to_owned(),
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

/// The first verdict, once, if all is well. No text starts with it.
const HOLDS: u8 = 0;

/// Gives up everything but the network identity, for this process and its life.
pub(super) fn become_identity(identity: Mapped) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    // Leaving uid 0 clears every capability.
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    set_parent_process_death_signal(Some(Signal::KILL))
}

/// Looks until the firewall does not hold; returns why.
fn watch(check: &mut impl FnMut() -> Result<(), (String, Duration)>, verdict: &mut impl Write) -> String {
    if let Err((failure, _)) = check() {
        return failure;
    }
    if verdict.write_all(&[HOLDS]).is_err() {
        return "the supervisor is gone".to_owned();
    }
    loop {
        std::thread::sleep(INTERVAL);
        if let Err((_, excuse)) = check() {
            std::thread::sleep(CONFIRMATION.max(excuse));
            if let Err((failure, _)) = check() {
                return failure;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_first_failure_is_told_at_once() {
        let mut told = Vec::new();
        assert_eq!(watch(&mut || Err(("absent".into(), Duration::ZERO)), &mut told), "absent");
        assert!(told.is_empty());
    }

    #[test]
    fn one_failed_look_is_forgiven_and_two_are_not() {
        let looks = Cell::new(0);
        let mut check = || {
            looks.set(looks.get() + 1);
            if [2, 4, 5].contains(&looks.get()) {
                Err((format!("look {}", looks.get()), Duration::ZERO))
            } else {
                Ok(())
            }
        };
        let mut told = Vec::new();
        assert_eq!(watch(&mut check, &mut told), "look 5");
        assert_eq!(told, [HOLDS]);
    }
}
