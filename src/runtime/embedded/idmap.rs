//! Which users a user namespace knows, user_namespaces(7).

use crate::facts;
use rustix::process::Pid;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Why the users could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum IdMapError {
    /// A setuid program that is needed is not there.
    #[error("{program} is not installed: `rcc setup` installs it")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// It refused.
    #[error("{} refused to map the network identity {identity}: {said}; `sudo rcc init` writes what it needs to /etc/subuid and /etc/subgid", program.display())]
    Refused {
        /// The program.
        program: PathBuf,
        /// The host id that was to be mapped.
        identity: u32,
        /// What it said.
        said: String,
    },
    /// A file or process of the host.
    #[error("cannot {what}: {source}; `rcc setup` says what the kernel lacks")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Maps 0 to the user and 1 to the network identity, by newuidmap(1) and newgidmap(1): they ask
/// /etc/subuid and /etc/subgid, which only root writes.
pub fn map_identity(child: Pid, uid: u32, gid: u32, identity: u32) -> Result<(), IdMapError> {
    // Both at once: each is a process of its own.
    let uids = Mapper::start("newuidmap", child, uid, identity)?;
    let gids = Mapper::start("newgidmap", child, gid, identity);
    uids.finish().and(gids?.finish())
}

struct Mapper {
    program: PathBuf,
    identity: u32,
    child: Child,
}

impl Mapper {
    fn start(program: &'static str, child: Pid, own: u32, identity: u32) -> Result<Self, IdMapError> {
        let path = facts::program(program).ok_or(IdMapError::Missing { program })?;
        let map = [
            child.as_raw_pid().to_string(),
            "0".into(),
            own.to_string(),
            "1".into(),
            "1".into(),
            identity.to_string(),
            "1".into(),
        ];
        let mut command = Command::new(&path);
        command.args(map).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child =
            command.spawn().map_err(|source| IdMapError::Host { what: "start newuidmap or newgidmap", source })?;
        Ok(Self { program: path, identity, child })
    }

    fn finish(self) -> Result<(), IdMapError> {
        let Self { program, identity, child } = self;
        let output = child.wait_with_output();
        let output = output.map_err(|source| IdMapError::Host { what: "wait for newuidmap or newgidmap", source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(IdMapError::Refused { program, identity, said })
    }
}

/// Maps one id, from inside: `inside` to what is `outside` in the parent namespace. The caller
/// has that id there and has just made the namespace. Supplementary groups are frozen, which is
/// what the kernel asks for; whoever could drop them has done so.
pub fn map_self(inside: (u32, u32), outside: (u32, u32)) -> Result<(), IdMapError> {
    let write =
        |what, path, text: String| std::fs::write(path, text).map_err(|source| IdMapError::Host { what, source });
    write("freeze the groups of the user namespace", "/proc/self/setgroups", "deny".to_owned())?;
    write("map the user", "/proc/self/uid_map", format!("{} {} 1", inside.0, outside.0))?;
    write("map the group", "/proc/self/gid_map", format!("{} {} 1", inside.1, outside.1))
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    #[test]
    fn a_process_maps_itself_to_another_number() {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let child = process::clone_into(libc::CLONE_NEWUSER as u64, || {
            let mapped = map_self((4242, 4343), (uid, gid)).is_ok();
            u8::from(
                mapped && rustix::process::geteuid().as_raw() == 4242 && rustix::process::getegid().as_raw() == 4343,
            )
        });
        assert_eq!(process::exit_byte(process::wait(child.unwrap()).unwrap()), 1);
    }
}
