//! The rules of a ruleset for macOS' pf, where sandboxes are virtual machines behind bridges of
//! their own: their packets come in on the bridge and are told apart by it and by their address.
//!
//! ```text
//! Ruleset, Surroundings ─ Anchor (plain rules) ─┬─ text in the syntax of pf.conf(5)
//!                                               └─ /dev/pf, on macOS
//! ```
//!
//! So what the text says is what is loaded. Everything here is pure and is tested on every system.

pub mod conf;
pub mod interface;
pub mod loaded;
pub mod routes;
mod rule;
mod rules;
mod text;

pub use interface::InterfaceName;
pub use rule::{Action, Ndp, Protocol, Rule};

use crate::policy::ruleset::{Ruleset, Version};
use crate::policy::{DomainName, ProfileName, Surroundings as Shared};
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

/// The name of our anchor.
pub const ANCHOR: &str = "rcc";

/// A network that sandboxes of one profile are in, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The profile.
    pub profile: ProfileName,
    /// The bridge that their packets come in on.
    pub interface: InterfaceName,
    /// Where their addresses are from: one prefix of a family, or one of each.
    pub subnets: Vec<IpNet>,
}

/// The changing part of the rules. Plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What every packet filter must follow.
    pub shared: Shared,
    /// The sandboxes' networks; without any, no packet meets a rule.
    pub networks: Vec<Network>,
    /// Prefixes that are routed by VPN interfaces. The default route among them denies everything.
    pub vpn: Vec<IpNet>,
    /// What names that rules cover were answered with. A name without any opens nothing.
    pub names: BTreeMap<DomainName, Vec<IpAddr>>,
}

impl Surroundings {
    /// A host with one network for each profile, for showing what rules look like.
    pub fn example(ruleset: &Ruleset) -> Self {
        let network = |(position, profile): (usize, &crate::policy::ruleset::ProfileRules)| {
            // Profiles are 32 at the most (`policy::identity::PROFILES_MAX`).
            let number = position as u8;
            Network {
                profile: profile.name.clone(),
                interface: InterfaceName::numbered("bridge", 100 + u32::from(number)),
                subnets: vec![
                    IpNet::new_assert([192, 168, 64 + number, 0].into(), 24),
                    IpNet::new_assert([0xfd00, 0, 0, 64 + u16::from(number), 0, 0, 0, 0].into(), 64),
                ],
            }
        };
        Self { networks: ruleset.profiles.iter().enumerate().map(network).collect(), ..Self::default() }
    }
}

/// Everything that our anchor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// In their order: the first that matches decides.
    pub rules: Vec<Rule>,
    /// What each of the rules is labelled with.
    pub label: Label,
}

impl Anchor {
    /// The rules for what is around the host now.
    pub fn new(ruleset: &Ruleset, surroundings: &Surroundings) -> Self {
        let rules = rules::rules(ruleset, surroundings);
        let label = Label::new(&version(ruleset), &rules);
        Self { rules, label }
    }

    /// The text of the anchor in the syntax of pf.conf(5).
    pub fn text(&self) -> String {
        text::anchor(self)
    }
}

/// The version of a ruleset: SHA-256 over the rules that it makes for a host with one network for
/// each profile and nothing around it, and over its rules for names.
pub fn version(ruleset: &Ruleset) -> Version {
    let mut hash = Sha256::new();
    hash.update(text::rules(&rules::rules(ruleset, &Surroundings::example(ruleset))));
    for pattern in &ruleset.vpn_interfaces {
        hash.update(format!("vpn {pattern}\n"));
    }
    for profile in &ruleset.profiles {
        for (kind, rules) in [("excepted", Some(&profile.excepted)), ("listed", profile.listed.as_ref())] {
            let patterns = rules.into_iter().flat_map(|rules| rules.patterns.iter().map(move |it| (rules, it)));
            for (rules, (pattern, class)) in patterns {
                for (transport, ports) in &rules.classes[*class] {
                    hash.update(format!("{} {kind} {pattern} {} {ports}\n", profile.name, transport.as_str()));
                }
            }
        }
    }
    Version::new(hash.finalize().into())
}

/// Which rules are loaded, written on each of them: the kernel is the only place that tells. A rule
/// that somebody added, removed or replaced does not fit the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    version: String,
    content: String,
    rules: usize,
}

impl Label {
    /// Hexadecimal digits of each of the two digests: 96 bits. Labels have 63 bytes at the most
    /// (`PF_RULE_LABEL_SIZE`, net/pfvar.h).
    const DIGITS: usize = 24;

    fn new(version: &Version, rules: &[Rule]) -> Self {
        let content = Version::new(Sha256::digest(text::rules(rules)).into());
        Self { version: Self::short(version), content: Self::short(&content), rules: rules.len() }
    }

    fn short(version: &Version) -> String {
        version.to_string()[..Self::DIGITS].to_owned()
    }

    /// From what pf says.
    pub fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(':').collect();
        let ["rcc", version, content, rules] = fields[..] else { return None };
        let digest = |text: &str| text.len() == Self::DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let label = Self { version: version.to_owned(), content: content.to_owned(), rules: rules.parse().ok()? };
        (digest(version) && digest(content)).then_some(label)
    }

    /// Whether it is of this version.
    pub fn is_version(&self, version: &Version) -> bool {
        self.version == Self::short(version)
    }

    /// How many rules carry it.
    pub fn rules(&self) -> usize {
        self.rules
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "rcc:{}:{}:{}", self.version, self.content, self.rules)
    }
}

#[cfg(test)]
mod tests;
