//! Engines in virtual machines, which can be asked for on Linux too.

use crate::cli::engines;
use crate::facts::Facts;
use crate::runtime::machine::found::{By, Endpoint, Named, Socket};
use crate::runtime::machine::judge::{self, Untrusted};
use std::path::Path;

/// Where the user's own Docker listens, below `XDG_RUNTIME_DIR`.
const OWN: &str = "docker.sock";

/// Refuses a Docker whose place tells that it runs in an open virtual machine, unless the user knows. It is the one that
/// `DOCKER_HOST` names, or the user's own.
pub(super) fn refuse_open(facts: &Facts, i_know: bool) -> Result<(), Untrusted> {
    let own = || engines::socket(&Path::new(facts.variable("XDG_RUNTIME_DIR")?).join(OWN));
    let socket = match engines::named(facts) {
        Some(Named { by: By::Variable, endpoint: Endpoint::Socket(socket) }) => Some(socket),
        Some(Named { by: By::Variable, .. }) => None,
        _ => own(),
    };
    refuse(socket.as_ref(), i_know)
}

fn refuse(socket: Option<&Socket>, i_know: bool) -> Result<(), Untrusted> {
    let open = socket.and_then(|socket| judge::by_place(socket, None));
    open.filter(|_| !i_know).map_or(Ok(()), |machine| Err(Untrusted::Open { machine }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::machine::judge::Open;

    #[test]
    fn an_open_machine_needs_the_users_word_and_this_machines_own_engine_none() {
        let at = |path: &str| Some(Socket { path: "/run/user/1000/docker.sock".into(), leads_to: path.into() });
        let lima = at("/home/a/.lima/docker/sock/docker.sock");
        assert_eq!(refuse(lima.as_ref(), false), Err(Untrusted::Open { machine: Open::Lima }));
        assert_eq!(refuse(lima.as_ref(), true), Ok(()));
        assert_eq!(refuse(at("/run/user/1000/docker.sock").as_ref(), false), Ok(()));
        assert_eq!(refuse(None, false), Ok(()));
    }
}
