//! The plan of one run: everything that will be done, as plain data. Pure.

use crate::network::inside::Routes;
use crate::policy::{Policy, Profile, ProfileName, Target, ranges};
use crate::settings::Limits;
use crate::view::View;
use ipnet::IpNet;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

/// The host name inside: the machine's own is nobody's business.
pub const HOSTNAME: &str = "sandbox";

/// Everything that a run will do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The session's name.
    pub session: String,
    /// The project's root.
    pub project: PathBuf,
    /// The working directory inside.
    pub directory: PathBuf,
    /// The command and its arguments.
    #[serde(serialize_with = "lossy_list")]
    pub command: Vec<OsString>,
    /// The environment inside.
    #[serde(serialize_with = "lossy_map")]
    pub environment: BTreeMap<OsString, OsString>,
    /// Uid and gid of the user, on the host and inside.
    pub user: (u32, u32),
    /// What the sandbox sees.
    pub view: View,
    /// What it reaches.
    pub network: Network,
    /// What it may use.
    pub limits: Limits,
}

/// The network of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// None but loopback.
    Offline,
    /// pasta under a network identity, under the host's firewall.
    Guarded(Guarded),
}

/// A guarded network.
#[derive(Clone, Debug, Serialize)]
pub struct Guarded {
    /// The profile.
    pub profile: ProfileName,
    /// The identities of this user and profile; the run takes a free one.
    pub identities: Range<u32>,
    /// The second layer.
    pub routes: Routes,
    /// The pasta program.
    pub pasta: PathBuf,
}

impl Network {
    /// The name of the profile.
    pub fn profile(&self) -> ProfileName {
        match self {
            Self::Offline => ProfileName::offline(),
            Self::Guarded(guarded) => guarded.profile.clone(),
        }
    }
}

/// The second layer for a profile. It is a comfort: it makes denials instant. Where a domain
/// exception may point anywhere, it stays out of the way; the firewall is what decides.
pub fn routes(policy: &Policy, profile: &Profile, dns: IpAddr) -> Routes {
    let by_domain = profile.exceptions.iter().any(|exception| matches!(exception.target, Target::Domain(_)));
    if by_domain {
        return Routes::default();
    }
    let own = |net: &IpNet| net.addr().is_loopback() || net.addr().is_multicast() || net.addr().is_unspecified();
    let prohibited =
        ranges::denied().into_iter().chain(policy.private.iter().copied()).filter(|net| !own(net)).collect();
    let exceptions = profile.exceptions.iter().filter_map(|exception| match exception.target {
        Target::Address(net) => Some(net),
        Target::Domain(_) => None,
    });
    let permitted = std::iter::once(IpNet::from(dns)).chain(exceptions).collect();
    Routes { prohibited, permitted }
}

fn lossy_list<S: Serializer>(words: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(words.iter().map(|word| word.to_string_lossy()))
}

fn lossy_map<S: Serializer>(map: &BTreeMap<OsString, OsString>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    serializer.collect_map(map.iter().map(|(name, value)| (text(name), text(value))))
}
