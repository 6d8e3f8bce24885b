//! What the tool answers, as JSON. Its lists name everybody's containers and networks; ours have labels.

use super::{LABEL, PLACE, PROFILE};
use crate::policy::ProfileName;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// An answer is no longer than this, in octets: a container's description has some thousands.
pub const ANSWER_MAX: usize = 4 << 20;

/// The first version whose lists are of this shape (`NetworkResource`, `ManagedContainer`).
const SINCE: (u32, u32) = (1, 0);
/// The plugin whose networks are bridges of the host's.
const VMNET: &str = "container-network-vmnet";

/// Why an answer cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum AnswerError {
    /// More than there can be.
    #[error("the answer to `container {asked}` is longer than {ANSWER_MAX} octets")]
    TooLong {
        /// The command.
        asked: &'static str,
    },
    /// Another shape.
    #[error("the answer to `container {asked}` is not understood: {source}")]
    #[diagnostic(help(
        "rcc knows the answers of `container` 1.0.0 to 1.2.2; `container system version` tells which is here"
    ))]
    Shape {
        /// The command.
        asked: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Older than what is understood, or no number.
    #[error("this version of Apple's `container` cannot be used: '{said}'")]
    #[diagnostic(help("install 1.0.0 or newer from https://github.com/apple/container/releases"))]
    Version {
        /// What it says of itself.
        said: String,
    },
    /// A network of rcc's that is not as rcc makes them.
    #[error("the network '{name}' has rcc's label, but {wrong}")]
    #[diagnostic(help("remove it: `container network delete {name}`"))]
    Network {
        /// Its name.
        name: String,
        /// What is wrong with it.
        wrong: &'static str,
    },
}

/// A network of rcc's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vmnet {
    /// Its name.
    pub name: String,
    /// The session that it was made for.
    pub session: String,
    /// The profile whose rules it is to have.
    pub profile: ProfileName,
    /// The prefix that its addresses are from.
    pub subnet: Ipv4Net,
    /// The host's own address there.
    pub gateway: Ipv4Addr,
    /// Likewise of IPv6, where there is one.
    pub subnet_v6: Option<Ipv6Net>,
}

impl Vmnet {
    /// Its prefixes.
    pub fn subnets(&self) -> Vec<IpNet> {
        let v6 = self.subnet_v6.map(IpNet::from);
        std::iter::once(IpNet::from(self.subnet)).chain(v6).collect()
    }
}

/// A container of rcc's, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// The tool's name for it.
    pub id: String,
    /// The session's.
    pub session: String,
    /// The launcher's runtime directory.
    pub runtime_dir: String,
    /// Whether it runs.
    pub running: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    app_name: String,
    version: String,
}

#[derive(Deserialize)]
struct Network {
    configuration: NetworkConfiguration,
    status: NetworkStatus,
}

#[derive(Deserialize)]
struct NetworkConfiguration {
    name: String,
    mode: String,
    plugin: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkStatus {
    ipv4_subnet: Ipv4Net,
    ipv4_gateway: Ipv4Addr,
    #[serde(default)]
    ipv6_subnet: Option<Ipv6Net>,
}

#[derive(Deserialize)]
struct Container {
    id: String,
    configuration: ContainerConfiguration,
    status: ContainerStatus,
}

#[derive(Deserialize)]
struct ContainerConfiguration {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ContainerStatus {
    state: String,
}

fn parse<T: DeserializeOwned>(asked: &'static str, answer: &[u8]) -> Result<T, AnswerError> {
    if answer.len() > ANSWER_MAX {
        return Err(AnswerError::TooLong { asked });
    }
    serde_json::from_slice(answer).map_err(|source| AnswerError::Shape { asked, source })
}

/// Reads `container system version --format json`, and takes what is new enough.
pub fn version(answer: &[u8]) -> Result<String, AnswerError> {
    let components: Vec<Component> = parse("system version", answer)?;
    let said = components.into_iter().find(|component| component.app_name == "container");
    let said = said.map(|component| component.version).unwrap_or_default();
    let mut numbers = said.split(['.', '-', '+']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= SINCE => Ok(said),
        _ => Err(AnswerError::Version { said: crate::shown::text(&said) }),
    }
}

/// Reads `container network list --format json`: the networks with rcc's labels. One that has them and is not as rcc
/// makes them is an error: rules for it would be wrong, and without rules it would be open.
pub fn networks(answer: &[u8]) -> Result<Vec<Vmnet>, AnswerError> {
    let networks: Vec<Network> = parse("network list", answer)?;
    let ours = networks.into_iter().filter(|network| {
        let labels = &network.configuration.labels;
        labels.contains_key(PROFILE) || labels.contains_key(LABEL)
    });
    ours.map(vmnet).collect()
}

fn vmnet(Network { configuration, status }: Network) -> Result<Vmnet, AnswerError> {
    let NetworkConfiguration { name, mode, plugin, mut labels } = configuration;
    let name = crate::shown::text(&name);
    let wrong = |wrong| AnswerError::Network { name: name.clone(), wrong };
    let session = labels.remove(LABEL).ok_or_else(|| wrong("names no session"))?;
    let profile = labels.remove(PROFILE).and_then(|profile| ProfileName::new(&profile).ok());
    let profile = profile.ok_or_else(|| wrong("names no profile"))?;
    if name != super::name(&session) {
        return Err(wrong("is called after another session"));
    }
    if mode != "nat" || plugin != VMNET {
        return Err(wrong("is no network of vmnet in the mode 'nat'"));
    }
    let NetworkStatus { ipv4_subnet: subnet, ipv4_gateway: gateway, ipv6_subnet: subnet_v6 } = status;
    // Rules pass what comes from these prefixes: a wide or public one would be somebody else's.
    if !subnet.addr().is_private() || !(16..=30).contains(&subnet.prefix_len()) || subnet.trunc() != subnet {
        return Err(wrong("its IPv4 prefix is not one of 16 to 30 bits in a private range"));
    }
    if !subnet.contains(&gateway) {
        return Err(wrong("its gateway is not in its IPv4 prefix"));
    }
    let local = |net: &Ipv6Net| net.addr().is_unique_local() && net.prefix_len() >= 48;
    if subnet_v6.as_ref().is_some_and(|net| !local(net)) {
        return Err(wrong("its IPv6 prefix is not a local one of 48 bits or more"));
    }
    Ok(Vmnet { name, session, profile, subnet, gateway, subnet_v6: subnet_v6.map(|net| net.trunc()) })
}

/// Reads `container list --all --format json`: the containers with rcc's labels.
pub fn containers(answer: &[u8]) -> Result<Vec<Ours>, AnswerError> {
    let containers: Vec<Container> = parse("list", answer)?;
    let ours = containers.into_iter().filter_map(|Container { id, mut configuration, status }| {
        let (session, runtime_dir) = (configuration.labels.remove(LABEL)?, configuration.labels.remove(PLACE)?);
        Some(Ours { id, session, runtime_dir, running: status.state == "running" })
    });
    Ok(ours.collect())
}
