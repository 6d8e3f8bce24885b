//! Asks a question under a network identity, outside of any sandbox.

use super::idmap::{self, IdMapError};
use super::process;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::io::{self, Read, Write};

/// Why the question could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The identity could not be taken.
    #[error(transparent)]
    IdMap(#[from] IdMapError),
    /// A process or a pipe.
    #[error("cannot {what}: {source}")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The answer of `question`, asked in a process that has this host uid and gid, no privileges,
/// and the caller's network namespace. Root takes the identity itself; anybody else by a user
/// namespace, as a sandbox does. The caller must have a single thread.
pub fn ask(identity: u32, question: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, AskError> {
    let host = |what| move |source| AskError::Host { what, source };
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let own_namespace = !uid.is_root();
    let (mut answer, answering) = io::pipe().map_err(host("make a pipe"))?;
    let (mut wait, mut go) = io::pipe().map_err(host("make a pipe"))?;
    let target = if own_namespace { 1 } else { identity };
    let namespaces = if own_namespace { libc::CLONE_NEWUSER as u64 } else { 0 };
    let child = process::clone_into(namespaces, || {
        let mut answering = answering;
        let ready = wait.read(&mut [0]).unwrap_or(0) == 1 && become_identity(target).is_ok();
        u8::from(!ready || answering.write_all(&question()).is_err())
    });
    let child = child.map_err(|error| host("create a process")(error.into()))?;
    let mapped = if own_namespace { idmap::map_identity(child, uid.as_raw(), gid.as_raw(), identity) } else { Ok(()) };
    if mapped.is_ok() {
        go.write_all(b"g").map_err(host("start the process"))?;
    } else {
        // The child holds a writing end of its own and would wait for ever.
        let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
    }
    let mut text = Vec::new();
    let read = answer.read_to_end(&mut text);
    let status = process::wait(child).map_err(|error| host("wait for the process")(error.into()))?;
    mapped?;
    read.map_err(host("read the answer"))?;
    match process::exit_byte(status) {
        0 => Ok(text),
        _ => Err(host("take the network identity")(io::ErrorKind::PermissionDenied.into())),
    }
}

fn become_identity(id: u32) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody owns this one: only root may take it.
    const FOREIGN: u32 = 4242;

    #[test]
    fn only_root_asks_as_anybody() {
        let answer = ask(FOREIGN, || rustix::process::geteuid().as_raw().to_string().into_bytes());
        match rustix::process::geteuid().is_root() {
            true => assert_eq!(answer.unwrap(), b"4242"),
            false => assert!(matches!(answer, Err(AskError::IdMap(_)))),
        }
    }
}
