//! How the loaded rules stand to the configured ones, as plain data.

use super::nft::Class;
use crate::policy::ProfileName;
use crate::policy::ruleset::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the kernel's rules stand to the configuration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// They are the same.
    InForce,
    /// There is no table of ours.
    Absent,
    /// The table is of another configuration or of another version of rcc.
    Stale,
    /// The table says that it is of this version, but somebody changed it.
    Drifted,
}

/// The answer of `rcc firewall status`.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// In one word.
    pub state: State,
    /// The version that the configuration asks for.
    pub version: Version,
    /// Whether the resolver answers sandboxes; absent where there is none, or nobody to ask as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<bool>,
    /// What was denied and allowed; empty unless read as root.
    pub counters: Vec<ProfileCounters>,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// Number of packets since the rules were applied.
    pub packets: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// What one profile's sandboxes were denied and allowed since the rules were applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileCounters {
    /// The profile.
    pub profile: ProfileName,
    /// Denied, by reason.
    pub denied: BTreeMap<Class, Counter>,
    /// Allowed: `dns`, `exception`, `lease`, and `public` or `listed`.
    pub allowed: BTreeMap<&'static str, Counter>,
}
