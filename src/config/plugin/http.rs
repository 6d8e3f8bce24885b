//! Kind `http`: one upstream, and a header that the client has not.

use super::super::reader::{Table, Value};
use super::git::{no_variables, public_file};
use super::{Reader, credential, list, refuse_unused, required, size};
use crate::plugin::manifest::{Credential, Http, HttpRule};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Bytes of a request's body.
const BODY: RangeInclusive<u64> = 0..=1 << 40;
/// What a body may hold unless the manifest says more or less.
const BODY_DEFAULT: u64 = 64 << 20;
/// Ports that need no privilege (ip(7), `ip_unprivileged_port_start`).
const PORT: RangeInclusive<u64> = 1024..=65535;

/// Headers that say how a message is framed or where it goes (RFC 9110, 7.2 and 7.6.1; RFC 9112, 6), which the
/// forwarder decides.
const FRAMING: [&str; 12] = [
    "host",
    "connection",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
];

/// Takes the keys of this kind.
pub(super) fn take(file: &mut Table<'_, '_>, credentials: &[Credential], reader: &Reader<'_>) -> Option<Http> {
    let upstream = required(file, "upstream", "upstream = \"https://registry.example.com\"", |value| {
        value.parse("an upstream", upstream)
    });
    let header = required(file, "header", "header = \"authorization\"", |value| value.parse("a header's name", header));
    let text = required(file, "value", "value = \"Bearer {}\"", |value| value.parse("a header's value", header_value));
    let credential = required(file, "credential", "name one of [credentials]", |value| credential(&value, credentials));
    let example = "say what may be asked: [[allow]] with methods = [\"GET\"] and path = \"/\"";
    let allowed = required(file, "allow", example, rules);
    let blocked = file.take("block", rules);
    let body_max = file.take("body_max", |value| size(&value, BODY, "a size up to 1TiB, like \"64 MiB\""));
    let port = file.take("port", |value| value.integer("a port from 1024 to 65535", PORT));
    let ca = file.take("ca", |value| public_file(&value, "a file of certificates", reader));
    if let Some(used) = &credential {
        refuse_unused(file, credentials, &[used]);
    }
    no_variables(file, credentials);
    Some(Http {
        upstream: upstream?,
        header: header?,
        value: text?,
        credential: credential?,
        allowed: allowed?,
        blocked: blocked.unwrap_or_default(),
        body_max: body_max.unwrap_or(BODY_DEFAULT),
        ca,
        port: port.and_then(|port| u16::try_from(port).ok()),
    })
}

fn upstream(text: &str) -> Result<String, &'static str> {
    let host =
        text.strip_prefix("https://").ok_or("write https://HOST or https://HOST:PORT; the credential goes there")?;
    let (name, port) = host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let labels = name.split('.').all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-'));
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with(['+', '0']));
    if name.len() <= 253 && name.bytes().all(plain) && labels && port {
        Ok(text.to_owned())
    } else {
        Err("a host in lower case, and at most a port: paths belong to [[allow]]")
    }
}

/// A token (RFC 9110, 5.6.2), in lower case.
fn header(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !(1..=64).contains(&name.len()) || !name.bytes().all(token) {
        return Err("write a name like \"authorization\" or \"x-api-key\"".to_owned());
    }
    if FRAMING.contains(&name.as_str()) {
        return Err(format!("{name} says how a request is sent, which the forwarder decides"));
    }
    Ok(name)
}

fn header_value(text: &str) -> Result<String, &'static str> {
    let visible = text.len() <= 1024 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if visible && text.matches("{}").count() == 1 {
        Ok(text.to_owned())
    } else {
        Err("write visible ASCII with one {}, where the credential goes: \"Bearer {}\"")
    }
}

fn rules(value: Value<'_, '_>) -> Option<Vec<HttpRule>> {
    list(value, "a list of tables", rule)
}

fn rule(value: Value<'_, '_>) -> Option<HttpRule> {
    let mut table = value.table()?;
    let methods = table.take("methods", |value| {
        if value.list_is_empty() {
            value.error("a rule for no method", "name some, or leave `methods` out for all of them");
            return None;
        }
        list(value, "a list of methods like [\"GET\", \"HEAD\"]", |item| {
            item.parse("a method", |text| {
                let good = (1..=32).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
                if good { Ok(text.to_owned()) } else { Err("write it in upper case, like \"GET\"") }
            })
        })
    });
    let path = required(&mut table, "path", "path = \"/\" is every path", |value| value.parse("a path", path));
    table.finish();
    let methods: BTreeSet<String> = methods.unwrap_or_default().into_iter().collect();
    Some(HttpRule { methods, path: path? })
}

fn path(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"%?#\\".contains(&byte));
    let rest = text.strip_prefix('/').unwrap_or("//");
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let parts = rest.is_empty() || rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if plain && parts && text.len() <= 1024 {
        Ok(text.to_owned())
    } else {
        Err("write an absolute path of whole components like \"/v1/messages\", without '.', '..', '%', '?' and '#'")
    }
}
