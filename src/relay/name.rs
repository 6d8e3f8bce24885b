//! The names of the relay's world. What a client writes becomes one of these before anything else sees it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest name of a session, project, group, message or schedule, in bytes.
pub const NAME_MAX: usize = 64;

/// The longest name of a host: a message's id of another host (32 digits, `~` and that host) is a name too.
pub const HOST_MAX: usize = 31;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has 1 to {most} characters out of a-z, 0-9, {marks}, a letter or digit first")]
pub struct BadName {
    what: &'static str,
    most: usize,
    marks: &'static str,
}

/// What a kind of names is made of.
struct Form {
    most: usize,
    marks: &'static [u8],
    written: &'static str,
    capitals: bool,
}

const NAME: Form = Form { most: NAME_MAX, marks: b"-_.~", written: "'-', '_', '.' and '~'", capitals: false };
/// People write README.md.
const DOCUMENT: Form = Form { capitals: true, ..NAME };
/// A part of a NATS subject, between dots.
const HOST: Form = Form { most: HOST_MAX, marks: b"-_", written: "'-' and '_'", capitals: false };

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $form:ident) => {
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
                if $form.fits(text) {
                    return Ok(Self(text.into()));
                }
                Err(BadName { what: $what, most: $form.most, marks: $form.written })
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
    SessionName, "a session's name", NAME
}
name! {
    /// A project's name: its directory's, where another of the same user's has that name, with `~` and more.
    ProjectName, "a project's name", NAME
}
name! {
    /// A group of sessions that the configuration names.
    GroupName, "a group's name", NAME
}
name! {
    /// Two projects that root's configuration pairs. It is the name of a directory.
    PairName, "a pair's name", NAME
}
name! {
    /// Identifies one message for ever: the sender's choice, or the relay's.
    MessageId, "a message's id", NAME
}
name! {
    /// Identifies a message that is to be sent later.
    ScheduleId, "a schedule's id", NAME
}
name! {
    /// A relay among those of a cluster.
    HostName, "a host's name", HOST
}
name! {
    /// A document on a group's worktable. It is the name of its file: with no `/` in it and no `.` in front, it
    /// leads nowhere and hides nothing.
    DocumentName, "a document's name", DOCUMENT
}

impl Form {
    fn fits(&self, text: &str) -> bool {
        let letter = |byte: u8| byte.is_ascii_lowercase() || self.capitals && byte.is_ascii_uppercase();
        let plain = |byte: u8| letter(byte) || byte.is_ascii_digit() || self.marks.contains(&byte);
        let head = text.bytes().next().is_some_and(|first| letter(first) || first.is_ascii_digit());
        head && text.len() <= self.most && text.bytes().all(plain)
    }
}

impl MessageId {
    /// The id under which this relay has a message of another host's: none of its own has that form. `None` if
    /// no relay gives such an id.
    pub fn of_host(&self, host: &HostName) -> Option<Self> {
        if self.0.contains('~') { None } else { format!("{self}~{host}").parse().ok() }
    }

    /// What it is called on the host that it came from, if that is this one.
    pub fn on_host(&self, host: &HostName) -> Option<Self> {
        self.0.rsplit_once('~').filter(|(_, of)| *of == host.as_str()).and_then(|(id, _)| id.parse().ok())
    }

    /// Whether it is that of a message from another host.
    pub fn is_foreign(&self) -> bool {
        self.0.contains('~')
    }
}

impl ProjectName {
    /// Without what tells it from others of that name: the project's directory.
    pub fn base(&self) -> &str {
        self.0.split_once('~').map_or(&*self.0, |(base, _)| base)
    }
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
    /// Waits to go to another host of the cluster; the message's address tells to which.
    Cluster,
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
        for text in ["", "a.b", "a~b", "*", ">", "a b", "A", &"a".repeat(HOST_MAX + 1)] {
            assert!(text.parse::<HostName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn another_hosts_message_has_an_id_that_leads_back() {
        let (build, desk): (HostName, HostName) = ("build".parse().unwrap(), "a".repeat(HOST_MAX).parse().unwrap());
        let id: MessageId = "0".repeat(32).parse().unwrap();
        for host in [&build, &desk] {
            let here = id.of_host(host).unwrap();
            assert_eq!(here.on_host(host).as_ref(), Some(&id));
            assert!(here.is_foreign() && here.of_host(host).is_none());
        }
        assert_eq!(id.of_host(&build).unwrap().on_host(&desk), None);
        assert_eq!((id.on_host(&build), "0".repeat(64).parse::<MessageId>().unwrap().of_host(&build)), (None, None));
    }
}
