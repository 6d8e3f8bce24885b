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
        Mailbox::Host(name) => format!("h:{name}"),
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
        "h" => Mailbox::Host(rest.parse().ok()?),
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
            Mailbox::Host("build".parse().unwrap()),
        ] {
            assert_eq!(mailbox(&key(&found)), Some(found));
        }
        for none in ["", "s:", "s", "p:api", "u:-1", "x:a"] {
            assert_eq!(mailbox(none), None, "{none}");
        }
    }
}
