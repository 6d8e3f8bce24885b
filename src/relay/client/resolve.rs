//! Short names of sessions. Pure.

use crate::relay::name::{Address, BadAddress, Recipient, SessionName};
use crate::relay::wire::answer::{Presence, Seen};
use crate::shown;

/// Why a text names no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum Unresolved {
    /// None has that name, and none begins with it.
    #[error("no session is called '{}', and no name of one begins with that", shown::text(text))]
    #[diagnostic(help("`rcc relay session list` lists those that you may write to"))]
    None {
        /// What was typed.
        text: String,
    },
    /// Several begin with it.
    #[error("'{}' is the beginning of several sessions' names", shown::text(text))]
    #[diagnostic(help("write more of the name: {}", names(candidates)))]
    Ambiguous {
        /// What was typed.
        text: String,
        /// All of them.
        candidates: Vec<SessionName>,
    },
    /// It cannot be one.
    #[error("'{}' is no address: {source}", shown::text(text))]
    Address {
        /// What was typed.
        text: String,
        /// Why.
        source: BadAddress,
    },
}

fn names(candidates: &[SessionName]) -> String {
    candidates.iter().map(SessionName::as_str).collect::<Vec<_>>().join(", ")
}

/// The session of this name; else the only one whose name begins with it, where those that have ended count only
/// if there is no other.
///
/// # Errors
/// If there is none, or more than one.
pub fn session<'a>(text: &str, sessions: &'a [Seen]) -> Result<&'a Seen, Unresolved> {
    if let Some(exact) = sessions.iter().find(|seen| seen.name.as_str() == text) {
        return Ok(exact);
    }
    let begins = |seen: &&Seen| !text.is_empty() && seen.name.as_str().starts_with(text);
    let mut found: Vec<&Seen> = sessions.iter().filter(begins).collect();
    if found.iter().any(|seen| seen.state != Presence::Ended) {
        found.retain(|seen| seen.state != Presence::Ended);
    }
    match found[..] {
        [] => Err(Unresolved::None { text: text.to_owned() }),
        [only] => Ok(only),
        _ => {
            let mut candidates: Vec<_> = found.iter().map(|seen| seen.name.clone()).collect();
            candidates.sort();
            Err(Unresolved::Ambiguous { text: text.to_owned(), candidates })
        }
    }
}

/// To whom a message goes: an address as it is, or the name of a session or its beginning. What is not among the
/// sessions goes as it is, too: the relay lists the latest alone, and knows all of them.
///
/// # Errors
/// If it is the beginning of several names, or can be no address.
pub fn recipient(text: &str, sessions: &[Seen]) -> Result<Address, Unresolved> {
    let address: Address = text.parse().map_err(|source| Unresolved::Address { text: text.to_owned(), source })?;
    match (&address.to, &address.host) {
        (Recipient::Session(name), None) => match session(name.as_str(), sessions) {
            Ok(seen) => Ok(Recipient::Session(seen.name.clone()).into()),
            Err(Unresolved::None { .. }) => Ok(address),
            Err(ambiguous) => Err(ambiguous),
        },
        // Another host's relay knows its own.
        _ => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;

    fn seen(name: &str, state: Presence) -> Seen {
        Seen {
            name: name.parse().unwrap(),
            project: None,
            user: "alice".into(),
            title: None,
            client_id: None,
            state,
            opened: Moment(1),
            heard: Moment(1),
            waiting: 0,
            figures: None,
            own: true,
        }
    }

    fn sessions() -> [Seen; 4] {
        let [here, away, ended] = [Presence::Here, Presence::Away, Presence::Ended];
        [seen("api", here), seen("api-1a2b", away), seen("web-1111", here), seen("web-2222", ended)]
    }

    #[test]
    fn a_beginning_that_only_one_has_is_enough() {
        let sessions = sessions();
        for (text, name) in [("api-", "api-1a2b"), ("api", "api"), ("web", "web-1111"), ("web-2", "web-2222")] {
            assert_eq!(session(text, &sessions).unwrap().name.as_str(), name);
            assert_eq!(recipient(text, &sessions).unwrap().to_string(), format!("session:{name}"));
        }
    }

    #[test]
    fn a_beginning_that_several_have_lists_them() {
        let error = session("ap", &sessions()).unwrap_err();
        assert_eq!(
            error,
            Unresolved::Ambiguous {
                text: "ap".into(),
                candidates: vec!["api".parse().unwrap(), "api-1a2b".parse().unwrap()]
            }
        );
        let help = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(help.ends_with("api, api-1a2b"), "{help}");
    }

    #[test]
    fn nothing_begins_with_nothing() {
        for text in ["", "nobody", "api-1a2b-"] {
            assert!(matches!(session(text, &sessions()), Err(Unresolved::None { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_session_that_is_not_listed_is_for_the_relay_to_find() {
        assert_eq!(recipient("nobody", &sessions()).unwrap().to_string(), "session:nobody");
        assert!(matches!(recipient("web-", &[]), Ok(Address { host: None, .. })));
        assert!(matches!(recipient("ap", &sessions()), Err(Unresolved::Ambiguous { .. })));
        assert!(matches!(recipient("a/b", &sessions()), Err(Unresolved::Address { .. })));
    }

    #[test]
    fn other_addresses_are_taken_as_they_are() {
        for text in ["project:nobody", "group:back-end", "user", "session:far@build"] {
            assert_eq!(recipient(text, &sessions()).unwrap().to_string(), text);
        }
    }
}
