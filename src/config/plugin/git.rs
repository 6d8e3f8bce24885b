//! Kind `git`: hosts of repositories, and the rules for what is pushed to them.

use super::super::reader::{Table, Value};
use super::{Reader, credential, list, refuse_unused, required, size};
use crate::plugin::manifest::pattern::Pattern;
use crate::plugin::manifest::{Credential, Git, GitAccess, GitHost, PushRules};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Bytes of one push.
const PACK: RangeInclusive<u64> = 1 << 20..=1 << 40;
/// What a push may hold unless the manifest says more or less.
const PACK_DEFAULT: u64 = 1 << 30;
/// The longest regular expression, and the memory of what it is compiled to, in bytes.
const EXPRESSION_MAX: usize = 1024;
const COMPILED_MAX: usize = 1 << 20;

/// Takes the keys of this kind.
pub(super) fn take(file: &mut Table<'_, '_>, credentials: &[Credential], reader: &Reader<'_>) -> Option<Git> {
    let example = "name one: [[hosts]] with name = \"github.com\" and the name of its credential";
    let hosts = required(file, "hosts", example, |value| {
        if value.list_is_empty() {
            value.error("there is no host, so nothing is reached", example);
            return None;
        }
        list(value, "a list of tables: [[hosts]]", |item| host(item, credentials, reader))
    });
    let missing = !file.has("push");
    if missing {
        file.error("`push` is missing", "say what may be pushed: [push] with allowed_branches = [\"claude/*\"]");
    }
    let mut rules = None;
    file.section("push", |table| rules = push(table));
    let used: Vec<&str> = hosts.iter().flatten().map(|host| used_by(&host.access)).collect();
    if hosts.is_some() {
        refuse_unused(file, credentials, &used);
    }
    no_variables(file, credentials);
    let (hosts, rules) = (hosts?, rules?);
    for (at, host) in hosts.iter().enumerate() {
        if hosts[..at].iter().any(|other| other.name == host.name && other.paths == host.paths) {
            file.error(format_args!("{} is named twice", host.name), "one entry decides how a host is reached");
        }
    }
    Some(Git { hosts, rules })
}

fn used_by(access: &GitAccess) -> &str {
    match access {
        GitAccess::Https { credential, .. } | GitAccess::Ssh { credential, .. } => credential,
    }
}

/// Only programs of kind `exec` have an environment.
pub(super) fn no_variables(file: &Table<'_, '_>, credentials: &[Credential]) {
    for credential in credentials.iter().filter(|credential| credential.variable.is_some()) {
        let message = format_args!("the credential {} is not given as a variable here", credential.name);
        file.error(message, "take `variable` out: it belongs to kind = \"exec\"");
    }
}

fn host(value: Value<'_, '_>, credentials: &[Credential], reader: &Reader<'_>) -> Option<GitHost> {
    let mut table = value.table()?;
    let name = required(&mut table, "name", "name = \"github.com\"", |value| value.parse("a host", host_name));
    let paths = table.take("paths", |value| {
        list(value, "a list of paths like [\"my-company\"]", |item| item.parse("a path of a host", host_path))
    });
    let ssh = table.take("protocol", |value| {
        value.parse("a protocol", |text| match text {
            "https" => Ok(false),
            "ssh" => Ok(true),
            _ => Err("expected \"https\" (a token) or \"ssh\" (a private key)"),
        })
    });
    let credential =
        required(&mut table, "credential", "name one of [credentials]", |value| credential(&value, credentials));
    let access = if ssh.unwrap_or(false) {
        ssh_access(&mut table, reader)
    } else {
        https_access(&mut table, name.as_deref(), reader)
    };
    table.finish();
    let (name, credential, access) = (name?, credential?, access?);
    let access = match access {
        GitAccess::Https { user, ca, .. } => GitAccess::Https { user, credential, ca },
        GitAccess::Ssh { user, known_hosts, .. } => GitAccess::Ssh { user, known_hosts, credential },
    };
    Some(GitHost { name, paths: paths.unwrap_or_default(), access })
}

fn https_access(table: &mut Table<'_, '_>, host: Option<&str>, reader: &Reader<'_>) -> Option<GitAccess> {
    let usual = match host {
        // docs.github.com, "Authenticating as a GitHub App installation"; any name does for other tokens.
        Some("github.com") => Some("x-access-token"),
        // docs.gitlab.com, "Token overview".
        Some("gitlab.com") => Some("oauth2"),
        _ => None,
    };
    if usual.is_none() && !table.has("user") && host.is_some() {
        table.error("`user` is missing", "the name that goes with the token: user = \"oauth2\"");
    }
    let ca = table.take("ca", |value| public_file(&value, "a file of certificates", reader));
    let user = user(table).or_else(|| usual.map(str::to_owned))?;
    Some(GitAccess::Https { user, credential: String::new(), ca })
}

fn user(table: &mut Table<'_, '_>) -> Option<String> {
    table.take("user", |value| {
        value.parse("a user name", |text| {
            let plain = |byte: u8| byte.is_ascii_graphic() && !b":@/\\\"'".contains(&byte);
            let good = (1..=128).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-');
            if good {
                Ok(text.to_owned())
            } else {
                Err("1 to 128 visible ASCII characters without ':', '@', '/' and quotes, and no '-' in front")
            }
        })
    })
}

/// A file that nobody but its owner can change, and anybody may read.
pub(super) fn public_file(value: &Value<'_, '_>, what: &'static str, reader: &Reader<'_>) -> Option<PathBuf> {
    let path = reader.path(value, "a path")?;
    value.parse(what, |_| (reader.file)(&path, reader.owner.uid).map_err(|reason| reason.to_string()))
}

fn ssh_access(table: &mut Table<'_, '_>, reader: &Reader<'_>) -> Option<GitAccess> {
    let example = "the host's public keys, as ssh-keyscan(1) prints them: known_hosts = \"/etc/ssh/ssh_known_hosts\"";
    let known_hosts =
        required(table, "known_hosts", example, |value| public_file(&value, "a file of public keys", reader));
    let user = user(table).unwrap_or_else(|| "git".to_owned());
    Some(GitAccess::Ssh { user, known_hosts: known_hosts?, credential: String::new() })
}

/// A name or an IPv4 address, and a port where it is not the protocol's own.
fn host_name(text: &str) -> Result<String, &'static str> {
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let labels = name.split('.').all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-'));
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with(['+', '0']));
    if name.len() <= 253 && name.bytes().all(plain) && labels && port {
        Ok(text.to_owned())
    } else {
        Err(
            "write a host as in its URLs, in lower case, and a port where it has another than usual: \"git.example.com:8443\"",
        )
    }
}

fn host_path(text: &str) -> Result<String, &'static str> {
    let path = text.trim_matches('/');
    let plain = |part: &str| {
        let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+".contains(&byte);
        !matches!(part, "" | "." | "..") && part.bytes().all(of_names)
    };
    if path.len() <= 1024 && path.split('/').all(plain) {
        Ok(path.to_owned())
    } else {
        Err("whole components of a path, like \"my-company\" or \"my-company/web.git\", without '..' and percent signs")
    }
}

fn push(table: &mut Table<'_, '_>) -> Option<PushRules> {
    let blocked = table.take("blocked_branches", |value| patterns(value, "a branch"));
    let example = "what may be pushed: allowed_branches = [\"claude/*\"]; an empty list is nothing";
    let allowed = required(table, "allowed_branches", example, |value| patterns(value, "a branch"));
    let tags = table.take("allowed_tags", |value| patterns(value, "a tag"));
    let force = table.take("force", |value| value.boolean());
    let delete = table.take("delete", |value| value.boolean());
    let pack_max = table.take("pack_max", |value| size(&value, PACK, "a size from 1MiB to 1TiB, like \"1 GiB\""));
    let message = table.take("message", |value| expression(&value));
    let author = table.take("author", |value| expression(&value));
    Some(PushRules {
        blocked_branches: blocked.unwrap_or_default(),
        allowed_branches: allowed?,
        allowed_tags: tags.unwrap_or_default(),
        force: force.unwrap_or(false),
        delete: delete.unwrap_or(false),
        pack_max: pack_max.unwrap_or(PACK_DEFAULT),
        message,
        author,
    })
}

fn patterns(value: Value<'_, '_>, of: &str) -> Option<Vec<String>> {
    let expected = format!("{of}, or a pattern with `*`");
    list(value, "a list of patterns like [\"release/*\"]", |item| {
        item.parse(&expected, |text| match text.parse::<Pattern>() {
            Ok(_) if text.starts_with("refs/") => Err("write it without refs/heads/ and refs/tags/".to_owned()),
            Ok(pattern) => Ok(pattern.to_string()),
            Err(reason) => Err(reason.to_string()),
        })
    })
}

fn expression(value: &Value<'_, '_>) -> Option<String> {
    value.parse("a regular expression", |text| {
        if text.len() > EXPRESSION_MAX {
            return Err(format!("at most {EXPRESSION_MAX} bytes"));
        }
        let compiled = regex::RegexBuilder::new(text).size_limit(COMPILED_MAX).build();
        compiled.map(|_| text.to_owned()).map_err(|reason| format!("docs.rs/regex has the syntax: {reason}"))
    })
}
