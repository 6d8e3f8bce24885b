//! Who connects, by the kernel's word: SO_PEERCRED, unix(7).

use super::super::hub::{Door, Own};
use super::super::name::SessionName;
use super::super::wire::{Reason, Refusal};
use crate::peer;
use tokio::net::UnixStream;

/// A program of the host's: of the user whose relay this is, or of whoever the system's socket lets in.
pub(super) fn of_shared(stream: &UnixStream, own: &Own) -> Result<Door, Refusal> {
    let uid = uid(stream)?;
    if !own.system && uid != own.uid {
        let why = format!("this relay is that of uid {}, and you are uid {uid}", own.uid);
        return Err(Refusal::new(Reason::Unauthenticated, why));
    }
    let user = crate::facts::login_name(uid).unwrap_or_else(|| uid.to_string());
    Ok(Door::Shared { uid, user })
}

/// A client inside of the session's sandbox.
pub(in crate::relay) fn of_session(
    stream: &UnixStream,
    session: &SessionName,
    owner: u32,
    user: &str,
) -> Result<Door, Refusal> {
    let uid = uid(stream)?;
    if peer::is_of(uid, owner, user) {
        return Ok(Door::Session(session.clone()));
    }
    let why = format!("this socket is that of {session} of uid {owner}, and you are uid {uid}");
    Err(Refusal::new(Reason::Unauthenticated, why))
}

fn uid(stream: &UnixStream) -> Result<u32, Refusal> {
    peer::uid(stream).map_err(|error| Refusal::new(Reason::Unauthenticated, error.to_string()))
}
