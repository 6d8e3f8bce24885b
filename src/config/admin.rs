//! `/etc/rcc/config.toml`: what root decides.

use super::bridges;
use super::exceptions;
use super::groups::{self, Group};
use super::limits::{AdminLimits, LimitsSection, May};
use super::problem::{Document, Problem};
use super::profiles::{self, Origins};
use super::reader::{Mistakes, Report, Sourced, Table, Value};
use super::relay::RelaySection;
use super::show::{Entry, Origin};
use super::values::login_name;
use crate::policy::bridge::Bridging;
use crate::policy::identity::UserRange;
use crate::policy::{Exception, InterfacePattern, Listed, Policy, Profile, ProfileName, Reach, Target};
use crate::relay;
use crate::relay::policy::Pair;
use ipnet::IpNet;
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// Interfaces of the usual VPNs: OpenVPN and other tun(4) users, WireGuard, Tailscale, pppd,
/// ZeroTier, macOS's tunnels, NordVPN, Proton VPN.
const VPN_INTERFACES: [&str; 8] = ["tun*", "wg*", "tailscale*", "ppp*", "zt*", "utun*", "nordlynx", "proton*"];

/// Someone who may run sandboxes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum UserRef {
    /// A login name; whether it exists is seen when it is used.
    Name(String),
    /// A uid.
    Uid(u32),
}

impl std::fmt::Display for UserRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Uid(uid) => write!(f, "{uid}"),
        }
    }
}

/// What root decided. The default is what holds without a file.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Who may run sandboxes with a network; without duplicates, in the order of the file.
    pub users: Vec<UserRef>,
    /// `public` and `allowlist` first, then in the order of the file: the position decides the
    /// identities.
    pub profiles: Vec<Profile>,
    /// Where the parts of each profile are decided.
    pub origins: Vec<Origins>,
    /// The groups of names that profiles may take.
    pub groups: Vec<Group>,
    /// Prefixes that are denied beside the private ranges.
    pub private: Vec<IpNet>,
    /// Interfaces whose routes are denied.
    pub vpn_interfaces: Vec<InterfacePattern>,
    /// Bridges for container engines, if any are wanted.
    pub bridging: Option<Bridging>,
    /// Ceilings for every user.
    pub limits: AdminLimits,
    /// What the system's relay does.
    pub(super) relay: RelaySection,
    /// What is allowed and yet worth knowing.
    pub warnings: Vec<Problem>,
    /// Where the values stand in the file.
    pub(super) lines: Lines,
}

/// Lines of root's file, from 1; `None` where the default holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    pub users: Option<usize>,
    pub private: Option<usize>,
    pub vpn_interfaces: Option<usize>,
    pub bridges: Option<usize>,
    pub memory: Option<usize>,
    pub pids: Option<usize>,
    pub cpus: Option<usize>,
}

impl Default for Admin {
    fn default() -> Self {
        let vpn_interfaces = VPN_INTERFACES.iter().filter_map(|pattern| pattern.parse().ok()).collect();
        let groups = groups::built_in();
        let (profiles, origins) = profiles::built_in(&groups).into_iter().unzip();
        Self {
            users: Vec::new(),
            profiles,
            origins,
            groups,
            private: Vec::new(),
            vpn_interfaces,
            bridging: None,
            limits: AdminLimits::default(),
            relay: RelaySection::default(),
            warnings: Vec::new(),
            lines: Lines::default(),
        }
    }
}

impl Admin {
    /// The network policy, for these users' identities.
    pub fn policy(&self, users: Vec<UserRange>) -> Policy {
        Policy {
            profiles: self.profiles.clone(),
            users,
            private: self.private.clone(),
            vpn_interfaces: self.vpn_interfaces.clone(),
            bridging: self.bridging.clone(),
        }
    }

    /// The profile of that name. `offline` is none: it needs no rules.
    pub fn profile(&self, name: &ProfileName) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == *name)
    }

    /// The pairs of sandboxes that reach each other directly while the relay is down.
    pub fn pairs(&self) -> &[Pair] {
        &self.relay.pairs
    }

    /// What the system's relay does.
    pub fn relay_policy(&self) -> &relay::policy::Policy {
        &self.relay.policy
    }

    /// What can be chosen, for messages.
    pub(super) fn known_profiles(&self) -> String {
        let names: Vec<&str> = self.profiles.iter().map(|profile| profile.name.as_str()).collect();
        format!("known profiles: offline, {}", names.join(", "))
    }

    /// Where a part of it is decided, in `file`.
    ///
    /// # Panics
    /// If there is no such part.
    pub fn origin(&self, file: &Path, part: Part) -> Origin {
        origin(
            file,
            match part {
                Part::Private => self.lines.private,
                Part::VpnInterfaces => self.lines.vpn_interfaces,
                Part::Default(profile) => self.origins[profile].default.or(self.origins[profile].section),
                Part::Exception(profile, at) => Some(self.origins[profile].exceptions[at]),
                Part::Listed(profile, at) => self.origins[profile].listed[at].line,
            },
        )
    }

    /// What root decided about the network and the system's relay, with its origin in `file`.
    pub fn entries(&self, file: &Path) -> Vec<Entry> {
        let origin = |line: Option<usize>| origin(file, line);
        let lines = &self.lines;
        let mut entries = vec![
            Entry::new("users", json!(self.users), origin(lines.users)),
            Entry::new("network.private", json!(self.private), origin(lines.private)),
            Entry::new("network.vpn_interfaces", json!(self.vpn_interfaces), origin(lines.vpn_interfaces)),
        ];
        if let Some(Bridging { profiles, v4, v6 }) = &self.bridging {
            let parts = [("profiles", json!(profiles)), ("v4", json!(v4)), ("v6", json!(v6))];
            entries
                .extend(parts.map(|(key, value)| Entry::new(format!("bridges.{key}"), value, origin(lines.bridges))));
        }
        for (profile, from) in self.profiles.iter().zip(&self.origins) {
            let key = |last: &str| format!("profiles.{}.{last}", profile.name);
            let denies = matches!(profile.reach, Reach::Listed(_));
            let default = if denies { "deny" } else { "public" };
            entries.push(Entry::new(key("default"), default, origin(from.default)));
            if denies {
                entries.push(Entry::new(key("groups"), json!(from.group_names), origin(from.groups)));
            }
            if let Reach::Listed(listed) = &profile.reach {
                let own = listed.iter().zip(&from.listed).filter(|(_, from)| from.group.is_none());
                entries.extend(own.map(|(name, from)| Entry::new(key("names[]"), shown_name(name), origin(from.line))));
            }
            if profile.exceptions.is_empty() {
                entries.push(Entry::new(key("allow"), json!([]), origin(from.section)));
            }
            let exceptions = profile.exceptions.iter().zip(&from.exceptions);
            entries.extend(
                exceptions.map(|(allowed, line)| Entry::new(key("allow[]"), shown(allowed), origin(Some(*line)))),
            );
        }
        for group in &self.groups {
            let names: Vec<serde_json::Value> = group.names.iter().map(shown_name).collect();
            entries.push(Entry::new(format!("groups.{}.names", group.name), names, origin(group.line)));
        }
        entries.extend(self.relay.entries(file));
        entries
    }

    /// Reads the text of root's file.
    pub(super) fn read(document: &Document) -> Result<Self, Mistakes> {
        let (file, warnings) = Report::read(document, AdminFile::read)?;
        let line = |offset: usize| Some(document.line(offset));
        let mut admin = Self { warnings, ..Self::default() };
        if let Some(Sourced { value, span }) = file.users {
            (admin.users, admin.lines.users) = (value, line(span.start));
        }
        if let Some(Sourced { value, span }) = file.private {
            (admin.private, admin.lines.private) = (value, line(span.start));
        }
        if let Some(Sourced { value, span }) = file.vpn_interfaces {
            (admin.vpn_interfaces, admin.lines.vpn_interfaces) = (value, line(span.start));
        }
        admin.groups = file.groups;
        (admin.profiles, admin.origins) = file.profiles.into_iter().unzip();
        if let Some(Sourced { value, span }) = file.bridging {
            (admin.bridging, admin.lines.bridges) = (Some(value), line(span.start));
        }
        admin.relay = file.relay;
        let LimitsSection { memory, pids, cpus } = file.limits;
        admin.lines.memory = memory.as_ref().and_then(|memory| line(memory.span.start));
        admin.lines.pids = pids.as_ref().and_then(|pids| line(pids.span.start));
        admin.lines.cpus = cpus.as_ref().and_then(|cpus| line(cpus.span.start));
        admin.limits = AdminLimits {
            memory: memory.map(|memory| memory.value),
            pids: pids.map(|pids| pids.value),
            cpus: cpus.map(|cpus| cpus.value),
        };
        Ok(admin)
    }
}

/// A part of root's file that decides about a destination; profiles and their parts by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `network.private`.
    Private,
    /// `network.vpn_interfaces`.
    VpnInterfaces,
    /// `default` of a profile.
    Default(usize),
    /// One of its exceptions.
    Exception(usize, usize),
    /// One of its listed names.
    Listed(usize, usize),
}

fn origin(file: &Path, line: Option<usize>) -> Origin {
    match line {
        Some(line) => Origin::File { path: file.to_owned(), line },
        None => Origin::Default,
    }
}

/// An exception as the file has it.
fn shown(exception: &Exception) -> serde_json::Value {
    let ports = &exception.ports;
    match &exception.target {
        Target::Address(net) => json!({ "address": net, "ports": ports, "protocol": exception.protocol }),
        Target::Domain(name) => json!({ "domain": name, "ports": ports, "protocol": exception.protocol }),
    }
}

/// A listed name as the file has it; without ports where it could be written so.
fn shown_name(listed: &Listed) -> serde_json::Value {
    let Listed { pattern, ports, protocol } = listed;
    if json!(ports) == json!(["443"]) && json!(protocol) == json!("tcp") {
        return json!(pattern);
    }
    json!({ "name": pattern, "ports": ports, "protocol": protocol })
}

/// The file as it was written.
struct AdminFile {
    users: Option<Sourced<Vec<UserRef>>>,
    private: Option<Sourced<Vec<IpNet>>>,
    vpn_interfaces: Option<Sourced<Vec<InterfacePattern>>>,
    groups: Vec<Group>,
    profiles: Vec<(Profile, Origins)>,
    bridging: Option<Sourced<Bridging>>,
    limits: LimitsSection,
    relay: RelaySection,
}

impl AdminFile {
    fn read(file: &mut Table<'_, '_>) -> Self {
        let users = file.sourced("users", |value| {
            let mut users =
                value.list("a list of login names and uids like [\"alice\", 1001]", |user| user_ref(&user))?;
            let mut seen = std::collections::BTreeSet::new();
            users.retain(|user| seen.insert(user.clone()));
            Some(users)
        });
        let (mut private, mut vpn_interfaces) = (None, None);
        file.section("network", |network| {
            private = network.sourced("private", |value| {
                value.list("a list of prefixes like [\"203.0.113.0/24\"]", |item| {
                    item.parse("a prefix that can be denied", exceptions::prefix)
                })
            });
            vpn_interfaces = network.sourced("vpn_interfaces", |value| {
                value.list("a list of interface names like [\"wg*\", \"ppp0\"]", |item| {
                    item.parse("an interface pattern", InterfacePattern::new)
                })
            });
        });
        let groups = groups::take(file);
        let profiles = profiles::take(file, &groups);
        let bridging = bridges::take(file, &profiles);
        let limits = LimitsSection::take(file, May::Lift);
        let relay = RelaySection::take(file, None, |_| {});
        file.finish();
        Self { users, private, vpn_interfaces, groups, profiles, bridging, limits, relay }
    }
}

/// A login name or a uid.
fn user_ref(value: &Value<'_, '_>) -> Option<UserRef> {
    // (uid_t) -1 stands for "no change" in setresuid(2), and 2^31 and above break older tools.
    if value.is_integer() {
        let uid = value.integer("a uid from 0 to 2147483647", 0..=0x7fff_ffff)?;
        return u32::try_from(uid).ok().map(UserRef::Uid);
    }
    value.parse("a login name", |text| {
        let name = login_name(text).map(UserRef::Name);
        name.map_err(|reason| format!("{reason}; write a uid as a number without quotes"))
    })
}
