//! Mailboxes as keys: short, and equal only if the mailboxes are.

use crate::relay::name::{Mailbox, SessionName};

/// A session's own.
pub(super) fn session_key(name: &SessionName) -> String {
    format!("s:{name}")
}

/// As it is stored.
pub(super) fn key(mailbox: &Mailbox) -> String {
    match mailbox {
        Mailbox::Session(name) => session_key(name),
        Mailbox::Project(uid, name) => format!("p:{uid}:{name}"),
        Mailbox::User(uid) => format!("u:{uid}"),
        Mailbox::Cluster => "c:".to_owned(),
    }
}

/// As it was; `None` if that is no key.
pub(super) fn mailbox(key: &str) -> Option<Mailbox> {
    let (kind, rest) = key.split_once(':')?;
    Some(match kind {
        "s" => Mailbox::Session(rest.parse().ok()?),
        "p" => {
            let (uid, name) = rest.split_once(':')?;
            Mailbox::Project(uid.parse().ok()?, name.parse().ok()?)
        }
        "u" => Mailbox::User(rest.parse().ok()?),
        "c" if rest.is_empty() => Mailbox::Cluster,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_found_again_by_its_key() {
        for found in [
            Mailbox::Session("api-1".parse().unwrap()),
            Mailbox::Project(1000, "api~1".parse().unwrap()),
            Mailbox::User(0),
            Mailbox::Cluster,
        ] {
            assert_eq!(mailbox(&key(&found)), Some(found));
        }
        for none in ["", "s:", "s", "p:api", "u:-1", "x:a", "c", "c:a"] {
            assert_eq!(mailbox(none), None, "{none}");
        }
    }
}
