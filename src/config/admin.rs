//! `/etc/rcc/config.toml`: what root decides.

use super::exceptions;
use super::problem::{Document, Problem};
use super::reader::{Mistakes, Report, Sourced, Table, Value};
use super::show::{Entry, Origin};
use super::values::LimitsSection;
use crate::policy::identity::{PROFILES_MAX, UserRange};
use crate::policy::{Exception, InterfacePattern, Policy, Profile, ProfileName, Reach, Target};
use crate::settings::Limits;
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
    /// `public` first, then in the order of the file: the position decides the identities.
    pub profiles: Vec<Profile>,
    /// Prefixes that are denied beside the private ranges.
    pub private: Vec<IpNet>,
    /// Interfaces whose routes are denied.
    pub vpn_interfaces: Vec<InterfacePattern>,
    /// Ceilings for every user.
    pub limits: Limits,
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
    pub memory: Option<usize>,
    pub pids: Option<usize>,
    pub cpus: Option<usize>,
    /// One for each profile.
    pub profiles: Vec<Option<usize>>,
}

impl Default for Admin {
    fn default() -> Self {
        let vpn_interfaces = VPN_INTERFACES.iter().filter_map(|pattern| pattern.parse().ok()).collect();
        let public = Profile { name: ProfileName::public(), exceptions: Vec::new(), reach: Reach::Public };
        Self {
            users: Vec::new(),
            profiles: vec![public],
            private: Vec::new(),
            vpn_interfaces,
            limits: Limits::default(),
            warnings: Vec::new(),
            lines: Lines { profiles: vec![None], ..Lines::default() },
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
        }
    }

    /// The profile of that name. `offline` is none: it needs no rules.
    pub fn profile(&self, name: &ProfileName) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == *name)
    }

    /// What can be chosen, for messages.
    pub(super) fn known_profiles(&self) -> String {
        let names: Vec<&str> = self.profiles.iter().map(|profile| profile.name.as_str()).collect();
        format!("known profiles: offline, {}", names.join(", "))
    }

    /// What root decided about the network, with its origin in `file`.
    pub fn entries(&self, file: &Path) -> Vec<Entry> {
        let origin = |line: Option<usize>| match line {
            Some(line) => Origin::File { path: file.to_owned(), line },
            None => Origin::Default,
        };
        let lines = &self.lines;
        let mut entries = vec![
            Entry::new("users", json!(self.users), origin(lines.users)),
            Entry::new("network.private", json!(self.private), origin(lines.private)),
            Entry::new("network.vpn_interfaces", json!(self.vpn_interfaces), origin(lines.vpn_interfaces)),
        ];
        for (profile, line) in self.profiles.iter().zip(&lines.profiles) {
            let key = format!("profiles.{}.allow", profile.name);
            if profile.exceptions.is_empty() {
                entries.push(Entry::new(&key, json!([]), origin(*line)));
            }
            let key = format!("{key}[]");
            entries.extend(profile.exceptions.iter().map(|allowed| Entry::new(&key, shown(allowed), origin(*line))));
        }
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
        for Sourced { value, span } in file.profiles {
            if value.name == ProfileName::public() {
                (admin.profiles[0], admin.lines.profiles[0]) = (value, line(span.start));
            } else {
                admin.profiles.push(value);
                admin.lines.profiles.push(line(span.start));
            }
        }
        let LimitsSection { memory, pids, cpus } = file.limits;
        admin.lines.memory = memory.as_ref().and_then(|memory| line(memory.span.start));
        admin.lines.pids = pids.as_ref().and_then(|pids| line(pids.span.start));
        admin.lines.cpus = cpus.as_ref().and_then(|cpus| line(cpus.span.start));
        admin.limits = Limits {
            memory: memory.map(|memory| memory.value),
            pids: pids.map(|pids| pids.value),
            cpus: cpus.map(|cpus| cpus.value),
        };
        Ok(admin)
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

/// The file as it was written.
struct AdminFile {
    users: Option<Sourced<Vec<UserRef>>>,
    private: Option<Sourced<Vec<IpNet>>>,
    vpn_interfaces: Option<Sourced<Vec<InterfacePattern>>>,
    profiles: Vec<Sourced<Profile>>,
    limits: LimitsSection,
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
        let mut profiles = Vec::new();
        file.take("profiles", |value| {
            let mut others = 0;
            value.table()?.each(|name, value| {
                others += usize::from(name != "public");
                // One place is kept for `public`, whether the file has it or not.
                if others == PROFILES_MAX {
                    value.error("one profile too many", format_args!("at most {PROFILES_MAX}, public included"));
                }
                profiles.extend(profile(name, value));
            });
            Some(())
        });
        let limits = LimitsSection::take(file);
        file.finish();
        Self { users, private, vpn_interfaces, profiles, limits }
    }
}

/// Login names as useradd(8) takes them, and as the NSS of other directories gives them.
fn user_ref(value: &Value<'_, '_>) -> Option<UserRef> {
    // (uid_t) -1 stands for "no change" in setresuid(2), and 2^31 and above break older tools.
    if value.is_integer() {
        let uid = value.integer("a uid from 0 to 2147483647", 0..=0x7fff_ffff)?;
        return u32::try_from(uid).ok().map(UserRef::Uid);
    }
    value.parse("a login name", |text| {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte));
        let head = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        if plain && head && text.len() <= 64 {
            Ok(UserRef::Name(text.to_owned()))
        } else {
            Err("a login name has 1 to 64 characters out of a-z, A-Z, 0-9, '.', '_', '-' and '@', and starts with a \
                 letter or '_'; write a uid as a number without quotes")
        }
    })
}

fn profile(name: &str, value: Value<'_, '_>) -> Option<Sourced<Profile>> {
    let span = value.span();
    let name = match ProfileName::new(name) {
        Ok(name) if name.is_offline() => {
            value.error("this profile cannot be changed", crate::policy::BadName::Reserved);
            return None;
        }
        Ok(name) => name,
        Err(reason) => {
            value.error("not the name of a profile", reason);
            return None;
        }
    };
    let mut table = value.table()?;
    let exceptions = table.take("allow", |value| {
        value.list("a list like [{ address = \"10.1.2.3\", ports = [443] }]", exceptions::exception)
    });
    table.finish();
    Some(Sourced { value: Profile { name, exceptions: exceptions.unwrap_or_default(), reach: Reach::Public }, span })
}
