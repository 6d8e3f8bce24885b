//! The remote that a client asks for, and the host of the manifest that it is on. What goes to the upstream is
//! made anew from what was understood, so that nothing of the client's spelling gets there.

use crate::plugin::manifest::{GitAccess, GitHost};
use crate::policy::DomainName;
use crate::shown::is_unseen;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest URL, in bytes.
pub const URL_MAX: usize = 2048;

/// A repository at its host, in the protocol of the host's [`GitAccess`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Upstream {
    /// Over HTTP with TLS.
    Https {
        /// `https://host[:port]/path`, percent-encoded, without user and password.
        url: String,
    },
    /// Over SSH.
    Ssh {
        /// Who logs in.
        user: String,
        /// The host; an IPv6 address without brackets.
        host: String,
        /// The port, if it is not 22.
        port: Option<u16>,
        /// The path; relative to the user's home without `/` at its start.
        path: String,
    },
}

impl fmt::Display for Upstream {
    /// As git takes it; the port of SSH is not in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https { url } => f.write_str(url),
            Self::Ssh { user, host, path, .. } if host.contains(':') => write!(f, "{user}@[{host}]:{path}"),
            Self::Ssh { user, host, path, .. } => write!(f, "{user}@{host}:{path}"),
        }
    }
}

/// Why a remote is not reached through the broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too long, or with characters that no URL has.
    #[error("this is no remote that can be read: it has more than {URL_MAX} bytes, or characters that are not shown")]
    Unreadable,
    /// Something else than https and ssh.
    #[error("remotes are https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH, and no other kind")]
    Protocol,
    /// A host that is no name and no address, or a port that is none.
    #[error("this remote's host or port is none")]
    Host,
    /// A path with components or characters that a repository's does not have.
    #[error(
        "this remote's path is none of a repository: it is empty, or has \"..\", a '-' in front or special characters"
    )]
    Path,
    /// A password in it.
    #[error("this remote has a password in its URL: take it out, the credentials are the broker's")]
    Password,
    /// The manifest does not name it.
    #[error("{0} is none of the hosts of the git plugin's manifest, and gets no credentials")]
    UnknownHost(String),
    /// Another account than the manifest's.
    #[error("at {host} the git plugin logs in as {user}, and as nobody else")]
    User {
        /// The host.
        host: String,
        /// Who the manifest names.
        user: String,
    },
    /// Outside of the manifest's paths.
    #[error("{0} has repositories for this sandbox, but not this one: the git plugin's manifest lists the paths")]
    UnlistedPath(String),
}

/// How the client reaches it, by what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Https,
    Ssh,
}

impl Protocol {
    fn of(access: &GitAccess) -> Self {
        match access {
            GitAccess::Https { .. } => Self::Https,
            GitAccess::Ssh { .. } => Self::Ssh,
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Ssh => 22,
        }
    }
}

/// What a client wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    protocol: Protocol,
    user: Option<String>,
    /// Lower-case; an IPv6 address without brackets.
    host: String,
    /// If it is not the protocol's own.
    port: Option<u16>,
    /// Decoded, without `/` at its end; relative only over SSH.
    path: String,
}

/// Finds the host of the manifest that a remote is on, and the remote there. A host that is reached in one
/// protocol serves remotes that are written in the other too, where the ports are the protocols' own.
///
/// # Errors
/// See [`Refusal`].
pub fn resolve<'a>(url: &str, hosts: &'a [GitHost]) -> Result<(&'a GitHost, Upstream), Refusal> {
    let asked = Asked::read(url)?;
    let name = with_port(&asked.host, asked.port);
    let of_the_name = || hosts.iter().filter(|host| host.name == name);
    let same = |host: &&GitHost| Protocol::of(&host.access) == asked.protocol;
    let other = |host: &&GitHost| asked.port.is_none() && !same(host);
    let mut refusal = Refusal::UnknownHost(name.clone());
    for host in of_the_name().filter(same).chain(of_the_name().filter(other)) {
        match asked.at(host) {
            Ok(upstream) => return Ok((host, upstream)),
            Err(reason) => refusal = reason,
        }
    }
    Err(refusal)
}

fn with_port(host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

impl Asked {
    fn read(url: &str) -> Result<Self, Refusal> {
        if url.len() > URL_MAX || url.chars().any(|c| is_unseen(c) || c.is_whitespace() && c != ' ') {
            return Err(Refusal::Unreadable);
        }
        match url.split_once("://") {
            Some(("https", rest)) => Self::of_a_url(Protocol::Https, rest),
            Some(("ssh" | "git+ssh" | "ssh+git", rest)) => Self::of_a_url(Protocol::Ssh, rest),
            Some(_) => Err(Refusal::Protocol),
            None => Self::of_scp(url),
        }
    }

    fn of_a_url(protocol: Protocol, rest: &str) -> Result<Self, Refusal> {
        let (authority, path) = rest.split_once('/').ok_or(Refusal::Path)?;
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(decoded(user)?), place),
            None => (None, authority),
        };
        if user.as_deref().is_some_and(|user| user.contains(':')) {
            return Err(Refusal::Password);
        }
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => {
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(Refusal::Host)?) })
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            None => None,
            Some(port) if is_port(port) => Some(port.parse().map_err(|_| Refusal::Host)?),
            Some(_) => return Err(Refusal::Host),
        };
        if path.contains(['?', '#']) {
            return Err(Refusal::Path);
        }
        let port = port.filter(|port| *port != protocol.port());
        Ok(Self {
            protocol,
            user,
            host: host_name(place, host)?,
            port,
            path: repository(&format!("/{}", decoded(path)?))?,
        })
    }

    /// `user@host:path`, which has no port and no encoding.
    fn of_scp(text: &str) -> Result<Self, Refusal> {
        let (user, rest) = match text.split_once('@') {
            Some((user, rest)) if !user.contains([':', '/']) => (Some(user.to_owned()), rest),
            _ => (None, text),
        };
        let bracketed = rest.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
        let (host, path) = bracketed.or_else(|| rest.split_once(':')).ok_or(Refusal::Protocol)?;
        // `helper::address`, and a local file with a colon in its name.
        if path.starts_with(':') || host.contains('/') {
            return Err(Refusal::Protocol);
        }
        Ok(Self { protocol: Protocol::Ssh, user, host: host_name(rest, host)?, port: None, path: repository(path)? })
    }

    /// The same at a host of the manifest.
    fn at(&self, host: &GitHost) -> Result<Upstream, Refusal> {
        if !host.paths.is_empty() && !host.paths.iter().any(|listed| is_within(&self.path, listed)) {
            return Err(Refusal::UnlistedPath(host.name.clone()));
        }
        let GitAccess::Ssh { user, .. } = &host.access else {
            // What git hosts call a login by SSH says nothing about who asks.
            return Ok(Upstream::Https {
                url: format!("https://{}/{}", host.name, encoded(self.path.trim_start_matches('/'))),
            });
        };
        let of_ssh = self.user.as_ref().filter(|_| self.protocol == Protocol::Ssh);
        if of_ssh.is_some_and(|asked| asked != user && asked != "git") {
            return Err(Refusal::User { host: host.name.clone(), user: user.clone() });
        }
        // A URL of HTTP knows no home directory; hosts that have both protocols know no absolute paths.
        let path = if self.protocol == Protocol::Https { &self.path[1..] } else { &self.path };
        Ok(Upstream::Ssh { user: user.clone(), host: self.host.clone(), port: self.port, path: path.to_owned() })
    }
}

/// A name in its ASCII form, or an address as it is written canonically.
fn host_name(place: &str, host: &str) -> Result<String, Refusal> {
    if place.starts_with('[') {
        return host.parse::<Ipv6Addr>().map(|address| address.to_string()).map_err(|_| Refusal::Host);
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    DomainName::new(host).map(|name| name.as_str().to_owned()).map_err(|_| Refusal::Host)
}

/// Checks a path: components without special meaning to git, to a shell or to a server.
fn repository(path: &str) -> Result<String, Refusal> {
    let path = path.strip_suffix('/').unwrap_or(path);
    // What git makes of `ssh://host/~user/path` (git-clone(1), "GIT URLS").
    let path = if path.starts_with("/~") { &path[1..] } else { path };
    let components = path.strip_prefix('/').unwrap_or(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+@,=:() &".contains(c) || !c.is_ascii() && !is_unseen(c);
    let good = |component: &str| {
        !matches!(component, "" | "." | "..") && !component.starts_with('-') && component.chars().all(plain)
    };
    if components.split('/').all(good) { Ok(path.to_owned()) } else { Err(Refusal::Path) }
}

/// Whether a path is the listed one or below; `.git` at the end makes no difference.
fn is_within(path: &str, listed: &str) -> bool {
    fn components(path: &str) -> Vec<&str> {
        let path = path.trim_matches('/');
        path.strip_suffix(".git").unwrap_or(path).split('/').collect()
    }
    let absolute = listed.starts_with('/');
    let (inner, outer) = (components(path), components(listed));
    (!absolute || path.starts_with('/')) && inner.starts_with(&outer)
}

/// Percent-decoding (RFC 3986, 2.1); what is not UTF-8 after it is refused.
fn decoded(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else { return Err(Refusal::Path) };
        bytes.push((high << 4 | low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| Refusal::Path)
}

/// Percent-encoding of all that is not plain in a path.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+@,=:()&/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests;
