//! Groups of names: what one tool needs of the internet, under one name.

use super::listed;
use super::reader::{Table, Value};
use crate::policy::{Listed, NamePattern, PortRange, Ports, Protocol};

/// A group, built in or of root's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What profiles call it.
    pub name: String,
    /// What it opens.
    pub names: Vec<Listed>,
    /// The line of each name in root's file, from 1; empty for a built-in group.
    pub lines: Vec<usize>,
    /// The line of the group in root's file.
    pub line: Option<usize>,
}

/// Why a name for a group was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a group has 1 to 24 characters out of a-z, 0-9 and '-', and starts with a letter")]
pub struct BadGroup;

/// Ports of a built-in group: HTTPS (RFC 9110, 4.2.2).
const HTTPS: &[u16] = &[443];
/// apt fetches over plain HTTP by default, and checks signatures (apt-secure(8)).
const APT: &[u16] = &[80, 443];

/// What a tool needs, in the order of `rcc config show`. Hosts from which a whole cloud's customers
/// serve (`storage.googleapis.com`, `*.s3.amazonaws.com`) are in none: whoever may send there may
/// send to anybody.
const BUILT_IN: [(&str, &[u16], &[&str]); 8] = [
    // "Network access requirements" in Claude Code's documentation (code.claude.com,
    // network-config): the API, and the login by account or Console. The hosts for telemetry named
    // there are not needed: rcc switches telemetry off.
    ("claude", HTTPS, &["api.anthropic.com", "claude.ai", "platform.claude.com"]),
    // docs.npmjs.com, "registry"; classic.yarnpkg.com; node-gyp's README for the headers of native
    // modules.
    ("npm", HTTPS, &["registry.npmjs.org", "registry.yarnpkg.com", "nodejs.org"]),
    // docs.pypi.org, "Index API": the index, and the files that it links to.
    ("pypi", HTTPS, &["pypi.org", "files.pythonhosted.org"]),
    // doc.rust-lang.org/cargo, "Registry Index": config.json of the index names the second; the
    // third is where rustup's toolchains are. crates.io itself is for searching and publishing.
    ("crates", HTTPS, &["index.crates.io", "static.crates.io", "static.rust-lang.org"]),
    // docs.github.com, "Communicating with self-hosted runners", without what only runners need:
    // git over HTTPS, the API, archives, raw files, releases, Git LFS.
    (
        "github",
        HTTPS,
        &[
            "github.com",
            "api.github.com",
            "codeload.github.com",
            "raw.githubusercontent.com",
            "objects.githubusercontent.com",
            "release-assets.githubusercontent.com",
            "media.githubusercontent.com",
            "github-cloud.githubusercontent.com",
        ],
    ),
    // sources.list(5) as debian-installer writes it.
    ("debian", APT, &["deb.debian.org", "security.debian.org"]),
    // go.dev/ref/mod: the defaults of GOPROXY and GOSUMDB.
    ("go", HTTPS, &["proxy.golang.org", "sum.golang.org"]),
    // nix.conf(5): the default substituter and flake registry; channels and where they lead.
    ("nix", HTTPS, &["cache.nixos.org", "channels.nixos.org", "releases.nixos.org", "tarballs.nixos.org"]),
];

/// The built-in groups.
pub(super) fn built_in() -> Vec<Group> {
    let group = |(name, ports, names): &(&str, &[u16], &[&str])| Group {
        name: (*name).to_owned(),
        names: names.iter().filter_map(|name| listed(name, ports)).collect(),
        lines: Vec::new(),
        line: None,
    };
    fn listed(name: &str, ports: &[u16]) -> Option<Listed> {
        let ports = ports.iter().filter_map(|port| PortRange::new(*port, *port).ok()).collect();
        Some(Listed { pattern: NamePattern::new(name).ok()?, ports: Ports::new(ports).ok()?, protocol: Protocol::Tcp })
    }
    BUILT_IN.iter().map(group).collect()
}

/// The groups that hold: the built-in ones, replaced and joined by those of the file.
pub(super) fn take(file: &mut Table<'_, '_>) -> Vec<Group> {
    let mut groups = built_in();
    file.take("groups", |value| {
        value.table()?.each(|name, value| {
            let Some(group) = group(name, value) else { return };
            match groups.iter_mut().find(|known| known.name == group.name) {
                Some(known) => *known = group,
                None => groups.push(group),
            }
        });
        Some(())
    });
    groups
}

fn group(name: &str, value: Value<'_, '_>) -> Option<Group> {
    if let Err(reason) = group_name(name) {
        value.error("not the name of a group", reason);
        return None;
    }
    let line = value.line();
    let mut table = value.table()?;
    if !table.has("names") {
        table
            .error("`names` is missing", "name at least one host: names = [\"example.com\"]; an empty list is one too");
    }
    let names = table.take("names", listed::list);
    table.finish();
    let (names, lines) = names?.into_iter().unzip();
    Some(Group { name: name.to_owned(), names, lines, line: Some(line) })
}

fn group_name(text: &str) -> Result<(), BadGroup> {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let head = text.starts_with(|first: char| first.is_ascii_lowercase());
    if plain && head && text.len() <= 24 { Ok(()) } else { Err(BadGroup) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_group_is_read_as_it_is_written() {
        let groups = built_in();
        for ((name, ports, names), group) in BUILT_IN.iter().zip(&groups) {
            assert_eq!(group_name(name), Ok(()));
            let written: Vec<String> = group.names.iter().map(|listed| listed.pattern.to_string()).collect();
            assert_eq!(&written, names, "{name}");
            assert!(group.names.iter().all(|listed| listed.ports.ranges().len() == ports.len()), "{name}");
        }
    }

    #[test]
    fn no_built_in_name_covers_more_than_one_host_or_is_private() {
        for listed in built_in().iter().flat_map(|group| &group.names) {
            let exact = matches!(listed.pattern, NamePattern::Exact(_));
            assert!(exact && !listed.pattern.is_private(), "{}", listed.pattern);
        }
    }
}
