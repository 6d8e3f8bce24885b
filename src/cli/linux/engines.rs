//! Engines in virtual machines, which can be asked for on Linux too.

use crate::cli::engines::named;
use crate::facts::Facts;
use crate::runtime::machine::found::{By, Endpoint, Named};
use crate::runtime::machine::judge::{self, Untrusted};

/// Refuses an engine whose place tells that it runs in an open virtual machine, unless the user knows.
pub(super) fn refuse_open(facts: &Facts, i_know: bool) -> Result<(), Untrusted> {
    refuse(named(facts).as_ref(), i_know)
}

fn refuse(named: Option<&Named>, i_know: bool) -> Result<(), Untrusted> {
    let open = named.and_then(|Named { by, endpoint }| match (by, endpoint) {
        (By::Variable, Endpoint::Socket(socket)) => judge::by_place(socket, None),
        (By::Context(name), Endpoint::Socket(socket)) => judge::by_place(socket, Some(name)),
        _ => None,
    });
    open.filter(|_| !i_know).map_or(Ok(()), |machine| Err(Untrusted::Open { machine }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::machine::found::Socket;
    use crate::runtime::machine::judge::Open;

    #[test]
    fn an_open_machine_needs_the_users_word_and_this_machines_own_engine_none() {
        let named = |context: &str, path: &str| {
            let socket = Socket { path: path.into(), leads_to: path.into() };
            Some(Named { by: By::Context(context.into()), endpoint: Endpoint::Socket(socket) })
        };
        let lima = named("lima-docker", "/home/a/s.sock");
        assert_eq!(refuse(lima.as_ref(), false), Err(Untrusted::Open { machine: Open::Lima }));
        assert_eq!(refuse(lima.as_ref(), true), Ok(()));
        assert_eq!(refuse(named("mine", "/run/docker.sock").as_ref(), false), Ok(()));
        assert_eq!(refuse(None, false), Ok(()));
    }
}
