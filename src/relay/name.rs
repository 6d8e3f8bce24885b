//! The names of the relay's world. What a client writes becomes one of these before anything else sees it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest name of a session, project, group, message or schedule, in bytes.
pub const NAME_MAX: usize = 64;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has 1 to {NAME_MAX} characters out of a-z, 0-9, '-', '_', '.' and '~', a letter or digit first")]
pub struct BadName {
    what: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        name! { $(#[$doc])* $name, $what, is_name }
    };
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// As it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                if $check(text) { Ok(Self(text.into())) } else { Err(BadName { what: $what }) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A session's name, unique in its relay for as long as the relay remembers it: `internal_id` on the wire.
    SessionName, "a session's name"
}
name! {
    /// A project's name: its directory's, where another of the same user's has that name, with `~` and more.
    ProjectName, "a project's name"
}
name! {
    /// A group of sessions that the configuration names.
    GroupName, "a group's name"
}
name! {
    /// Identifies one message for ever: the sender's choice, or the relay's.
    MessageId, "a message's id"
}
name! {
    /// Identifies a message that is to be sent later.
    ScheduleId, "a schedule's id"
}
name! {
    /// A relay among those of a cluster.
    HostName, "a host's name"
}
name! {
    /// A document on a group's worktable. It is the name of its file: with no `/` in it and no `.` in front, it
    /// leads nowhere and hides nothing.
    DocumentName, "a document's name", is_document
}

/// People write README.md.
fn is_document(text: &str) -> bool {
    is_name(&text.to_ascii_lowercase())
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.~".contains(&byte);
    let head = text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    head && text.len() <= NAME_MAX && text.bytes().all(plain)
}

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// Whom, on that host.
    pub to: Recipient,
    /// Another host of the cluster; `None` means this one.
    pub host: Option<HostName>,
}

/// To whom a message goes, on one host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// One session.
    Session(SessionName),
    /// Whoever works on that project: its sessions that are there, else the next one.
    Project(ProjectName),
    /// Every session of that group that is there.
    Group(GroupName),
    /// The person whose sessions these are.
    User,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// No such form.
    #[error("an address is SESSION, session:SESSION, project:NAME, group:NAME or user, then @HOST for another host")]
    Form,
    /// A part is no name.
    #[error(transparent)]
    Name(#[from] BadName),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let (recipient, host) = match text.split_once('@') {
            Some((recipient, host)) => (recipient, Some(host.parse()?)),
            None => (text, None),
        };
        let to = match recipient.split_once(':') {
            Some(("session", name)) => Recipient::Session(name.parse()?),
            Some(("project", name)) => Recipient::Project(name.parse()?),
            Some(("group", name)) => Recipient::Group(name.parse()?),
            Some(_) => return Err(BadAddress::Form),
            None if recipient == "user" => Recipient::User,
            None => Recipient::Session(recipient.parse()?),
        };
        Ok(Self { to, host })
    }
}

impl TryFrom<String> for Address {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, BadAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Recipient::Session(name) => write!(f, "session:{name}")?,
            Recipient::Project(name) => write!(f, "project:{name}")?,
            Recipient::Group(name) => write!(f, "group:{name}")?,
            Recipient::User => f.write_str("user")?,
        }
        match &self.host {
            Some(host) => write!(f, "@{host}"),
            None => Ok(()),
        }
    }
}

impl From<Recipient> for Address {
    fn from(to: Recipient) -> Self {
        Self { to, host: None }
    }
}

/// Where messages wait until they are taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mailbox {
    /// A session's own.
    Session(SessionName),
    /// A project's, of the user with this uid, while none of its sessions is there.
    Project(u32, ProjectName),
    /// That of the person with this uid.
    User(u32),
    /// Waits to go to another host of the cluster.
    Host(HostName),
}

/// Milliseconds since the epoch, by the host's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_millis() as u64))
    }

    /// Later by this much; the end of time at most.
    #[must_use]
    pub fn after(self, time: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero where the clock went back.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in ["session:api-1a2b", "project:api", "project:api~1f", "group:back-end", "user", "project:api@build"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("api-1a2b".parse::<Address>().unwrap().to_string(), "session:api-1a2b");
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_no_name() {
        let long = "a".repeat(NAME_MAX + 1);
        for text in ["", "-a", ".", "..", "A", "a/b", "a b", "a\0", "a\n", "ä", "a@b@c", "x:y", "session:", &long] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        for text in ["a:b", "a@b", "", "a/b", "../x"] {
            assert!(text.parse::<SessionName>().is_err(), "{text:?}");
        }
    }
}
