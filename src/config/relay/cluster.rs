//! `[relay.cluster]`: relays of several hosts.

use super::super::reader::Value;
use super::super::values::absolute_path;
use super::Keys;
use crate::relay::name::HostName;
use crate::relay::policy::Cluster;
use serde_json::json;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// The longest prefix, which stands at the front of every subject.
const PREFIX_MAX: usize = 32;

/// Why a text is no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServer {
    /// Another scheme, or none.
    #[error("write tls://HOST:PORT, or nats://HOST:PORT where the network itself is trusted")]
    Scheme,
    /// `user:password@`, in a file that everybody reads.
    #[error("everybody may read this file: passwords and tokens belong in the file that `credentials` names")]
    Secret,
    /// What follows the scheme.
    #[error("after {0} comes a host's name or address, and perhaps a port: example.org:4222, 10.1.2.3, [fd00::1]:4222")]
    Authority(&'static str),
}

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a prefix has 1 to {PREFIX_MAX} characters out of a-z, A-Z, 0-9, '-' and '_'")]
pub struct BadPrefix;

/// Takes the section. `backend` is what makes it one: a section without keys says nothing.
pub(super) fn take(keys: &mut Keys<'_, '_, '_>, home: Option<&Path>) -> Option<Cluster> {
    let mut cluster = None;
    let Keys { table, decided, .. } = keys;
    table.section("cluster", |table| {
        let needed = ["backend", "host", "servers"];
        let is_meant = needed.iter().chain(&["credentials", "ca", "prefix"]).any(|key| table.has(key));
        let examples = ["backend = \"nats\"", "host = \"build\"", "servers = [\"tls://nats.example.org:4222\"]"];
        for (key, example) in needed.iter().zip(examples).filter(|(key, _)| is_meant && !table.has(key)) {
            table.error(format_args!("`{key}` is missing"), format_args!("a cluster has one: {example}"));
        }
        let mut keys = Keys { table, decided, prefix: "cluster." };
        let backend = keys.decide("backend", backend, |()| json!("nats"));
        let read = |value: &Value<'_, '_>| value.parse("the name of this host", str::parse::<HostName>);
        let host = keys.decide("host", read, |host| json!(host));
        let servers = servers(&mut keys);
        let mut path = |key| keys.decide(key, |value| file(value, home), |path: &PathBuf| json!(path));
        let (credentials, ca) = (path("credentials"), path("ca"));
        let mut prefix = "rcc".to_owned();
        keys.set("prefix", &mut prefix, |value| value.parse("a prefix of subjects", self::prefix));
        cluster = (|| {
            backend?;
            Some(Cluster { host: host?, servers: servers?, credentials, ca, prefix })
        })();
    });
    cluster
}

fn backend(value: &Value<'_, '_>) -> Option<()> {
    let check = |text: &str| if text == "nats" { Ok(()) } else { Err("expected \"nats\"") };
    value.parse("what relays meet through", check)
}

fn servers(keys: &mut Keys<'_, '_, '_>) -> Option<Vec<String>> {
    let (servers, line) = keys.table.take("servers", |value| {
        let line = value.line();
        if value.list_is_empty() {
            value.error("there is no server in it", "name one at least: [\"tls://nats.example.org:4222\"]");
            return None;
        }
        let servers = value.list("a list of servers like [\"tls://nats.example.org:4222\"]", |item| {
            let server = item.parse("a server of NATS", |text| server(text).map(|()| text.to_owned()))?;
            if server.starts_with("nats://") {
                let message = "nothing here sees to it that this connection is encrypted";
                item.warn(message, "write tls:// unless the network itself is trusted");
            }
            Some(server)
        })?;
        Some((servers, line))
    })?;
    keys.note("servers", json!(servers), line);
    Some(servers)
}

fn server(text: &str) -> Result<(), BadServer> {
    let scheme = ["tls://", "nats://"].into_iter().find(|scheme| text.starts_with(scheme)).ok_or(BadServer::Scheme)?;
    let authority = &text[scheme.len()..];
    if authority.contains('@') {
        return Err(BadServer::Secret);
    }
    let (host, rest) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host.parse::<Ipv6Addr>().is_ok(), rest),
        None => {
            let (host, rest) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (is_host(host), rest)
        }
    };
    let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    if host && port { Ok(()) } else { Err(BadServer::Authority(scheme)) }
}

/// A name (RFC 1123, 2.1) or an IPv4 address.
fn is_host(text: &str) -> bool {
    let plain = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(plain)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A path of the host; `~` is a home where there is one.
fn file(value: &Value<'_, '_>, home: Option<&Path>) -> Option<PathBuf> {
    value.parse("a path", |text| match home {
        None if text.starts_with('~') => Err("\"~\" is nobody's home in root's file: write the whole path".to_owned()),
        home => absolute_path(text, home.unwrap_or(Path::new("/"))).map_err(|reason| reason.to_string()),
    })
}

/// A part of a NATS subject and of a stream's name, which may hold less.
fn prefix(text: &str) -> Result<String, BadPrefix> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if plain && (1..=PREFIX_MAX).contains(&text.len()) { Ok(text.to_owned()) } else { Err(BadPrefix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_a_host_and_perhaps_a_port() {
        for text in
            ["tls://nats.example.org:4222", "nats://127.0.0.1", "tls://[fd00::1]:4222", "tls://a-b", "tls://[::1]"]
        {
            assert_eq!(server(text), Ok(()), "{text}");
        }
        for text in ["", "nats.example.org", "ws://x", "http://x:4222", "TLS://x"] {
            assert_eq!(server(text), Err(BadServer::Scheme), "{text}");
        }
        for text in ["tls://user:secret@x", "nats://token@x:1"] {
            assert_eq!(server(text), Err(BadServer::Secret), "{text}");
        }
        for text in
            ["tls://", "tls://x:", "tls://x:0", "tls://x:65536", "tls://x/y", "tls://x y", "tls://fd00::1", "tls://x\n"]
        {
            assert_eq!(server(text), Err(BadServer::Authority("tls://")), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_is_one_part_of_a_subject() {
        assert_eq!(prefix("rcc-2_A").as_deref(), Ok("rcc-2_A"));
        for text in ["", "a.b", "a b", "*", ">", "a\n", &"a".repeat(PREFIX_MAX + 1)] {
            assert_eq!(prefix(text), Err(BadPrefix), "{text:?}");
        }
    }
}
