//! Lists of names of public space, in profiles that deny by default and in groups.

use super::exceptions::{ports, protocol};
use super::reader::Value;
use crate::policy::{Listed, NamePattern, PortRange, Ports, Protocol};

/// The port of a name that is written without one: HTTPS over TCP. It is the least with which
/// registries and APIs work; what speaks HTTP/3 over UDP falls back to it.
const PORT: u16 = 443;

/// The elements of a list of names, each with its line.
pub(super) fn list(value: Value<'_, '_>) -> Option<Vec<(Listed, usize)>> {
    value.list("a list of names like [\"example.com\", { name = \"*.example.org\", ports = [8443] }]", |item| {
        let line = item.line();
        Some((listed(item)?, line))
    })
}

fn listed(value: Value<'_, '_>) -> Option<Listed> {
    if value.is_string() {
        let pattern = pattern(&value)?;
        return Some(Listed { pattern, ports: default_ports()?, protocol: Protocol::Tcp });
    }
    let mut table = value.table()?;
    if !table.has("name") {
        table.error("`name` is missing", "name a host, or all below one: name = \"*.example.com\"");
    }
    let (has_ports, has_protocol) = (table.has("ports"), table.has("protocol"));
    let pattern = table.take("name", |value| pattern(&value));
    let ports = table.take("ports", ports);
    let protocol = table.take("protocol", |value| value.parse("a protocol", protocol));
    table.finish();
    Some(Listed {
        pattern: pattern?,
        ports: if has_ports { ports? } else { default_ports()? },
        protocol: if has_protocol { protocol? } else { Protocol::Tcp },
    })
}

fn default_ports() -> Option<Ports> {
    Ports::new(vec![PortRange::new(PORT, PORT).ok()?]).ok()
}

fn pattern(value: &Value<'_, '_>) -> Option<NamePattern> {
    let pattern = value.parse("a name or a pattern of names", NamePattern::new)?;
    if pattern.is_private() {
        let message = format_args!("{pattern} belongs to no public space, and `names` opens public addresses only");
        value.warn(message, "what is private goes into `allow`: { domain = \"git.corp.lan\", ports = [443] }");
    } else if pattern.is_broad() {
        let message = format_args!("{pattern} is every name there, also those that anybody may register");
        value.warn(message, "name the hosts that are needed");
    }
    Some(pattern)
}
