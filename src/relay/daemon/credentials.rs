//! Who connects, by the kernel's word: SO_PEERCRED, unix(7).

use super::super::hub::{Door, Own};
use super::super::name::SessionName;
use super::super::wire::{Reason, Refusal};
use crate::policy::identity::UserRange;
use tokio::net::UnixStream;

/// What the kernel says where it knows nobody (`(uid_t) -1`, setresuid(2)).
const NOBODY: u32 = u32::MAX;

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

/// A client inside of the session's sandbox: of its user, or of one of that user's subordinate uids. Network identities
/// are among these, but what has one carries a sandbox's traffic and has nothing to say.
pub(in crate::relay) fn of_session(
    stream: &UnixStream,
    session: &SessionName,
    owner: u32,
    user: &str,
) -> Result<Door, Refusal> {
    let uid = uid(stream)?;
    if uid == owner || is_subordinate(uid, owner, user) {
        return Ok(Door::Session(session.clone()));
    }
    let why = format!("this socket is that of {session} of uid {owner}, and you are uid {uid}");
    Err(Refusal::new(Reason::Unauthenticated, why))
}

fn uid(stream: &UnixStream) -> Result<u32, Refusal> {
    let of = |error: std::io::Error| {
        Refusal::new(Reason::Unauthenticated, format!("the kernel does not tell who you are: {error}"))
    };
    match stream.peer_cred().map_err(of)?.uid() {
        NOBODY => Err(of(std::io::ErrorKind::NotFound.into())),
        uid => Ok(uid),
    }
}

/// Whether the uid is one of those that `/etc/subuid` gives to the user, by name or number (subuid(5)).
fn is_subordinate(uid: u32, owner: u32, user: &str) -> bool {
    let text = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
    given(&text, owner, user).any(|range| range.contains(&uid))
}

fn given<'a>(text: &'a str, owner: u32, user: &'a str) -> impl Iterator<Item = std::ops::Range<u32>> + 'a {
    text.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        let (whose, start, count) = (fields.next()?, fields.next()?.parse::<u32>().ok()?, fields.next()?.parse().ok()?);
        let theirs = whose == user || whose.parse() == Ok(owner);
        let identities = UserRange::new(owner, start, count).is_some();
        (theirs && !identities).then(|| start..start.saturating_add(count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_uids_are_those_of_the_user_alone() {
        let text = "alice:100000:65536\n1001:200000:10\nbroken\nbob:1:x\n# alice:5:5\n";
        let of = |owner, user| given(text, owner, user).map(|range| (range.start, range.end)).collect::<Vec<_>>();
        assert_eq!(of(1000, "alice"), [(100_000, 165_536)]);
        assert_eq!(of(1001, "carol"), [(200_000, 200_010)]);
        assert!(of(1002, "bob").is_empty());
    }

    #[test]
    fn a_network_identity_is_no_client() {
        use crate::policy::identity::{BLOCK_START, RANGE_LENGTH};
        let text =
            format!("alice:{BLOCK_START}:{RANGE_LENGTH}\nalice:100000:65536\n1000:{BLOCK_START}:{RANGE_LENGTH}\n");
        let ranges: Vec<_> = given(&text, 1000, "alice").collect();
        assert_eq!((ranges.len(), &ranges[0]), (1, &(100_000..165_536)));
    }
}
