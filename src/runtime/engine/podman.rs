//! What rcc asks of Podman, by its own API (libpod): the one for Docker's clients cannot make a container ready
//! without starting it.

use super::api::{Api, ApiError};
use rustix::process::Pid;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Every Podman of version 4 and 5 speaks it.
const API: &str = "/v4.0.0/libpod";
/// On every container of rcc's: the session's name.
pub const LABEL: &str = "rcc.session";
/// Likewise: the runtime directory of the launcher, which alone can tell whether the session lives.
pub const PLACE: &str = "rcc.runtime-dir";

/// What Podman says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Whether it has no root.
    pub rootless: bool,
    /// Its OCI runtime.
    pub runtime: String,
    /// What that says of its version.
    pub runtime_version: String,
    /// What cgroups can limit there.
    pub controllers: Vec<String>,
    /// The uids of its user namespace.
    pub uids: Vec<Mapping>,
    /// The gids likewise.
    pub gids: Vec<Mapping>,
}

/// Ids of the host that a user namespace knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Mapping {
    host_id: u32,
    size: u32,
}

impl Info {
    /// Whether its user namespace, which lasts as long as any of its containers, knows this uid and gid.
    pub fn knows(&self, id: u32) -> bool {
        let within = |mapping: &Mapping| id.checked_sub(mapping.host_id).is_some_and(|offset| offset < mapping.size);
        self.uids.iter().any(within) && self.gids.iter().any(within)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InfoAnswer {
    host: HostAnswer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HostAnswer {
    #[serde(default)]
    cgroup_controllers: Option<Vec<String>>,
    id_mappings: MappingsAnswer,
    oci_runtime: RuntimeAnswer,
    security: SecurityAnswer,
}

#[derive(Deserialize)]
struct MappingsAnswer {
    #[serde(default)]
    uidmap: Option<Vec<Mapping>>,
    #[serde(default)]
    gidmap: Option<Vec<Mapping>>,
}

#[derive(Deserialize)]
struct RuntimeAnswer {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct SecurityAnswer {
    rootless: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageAnswer {
    #[serde(default)]
    config: Option<ImageConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageConfig {
    #[serde(default)]
    env: Option<Vec<String>>,
}

impl ImageAnswer {
    fn path(self) -> String {
        let variables = self.config.and_then(|config| config.env).unwrap_or_default();
        variables.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or_default().to_owned()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    pid: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// A container of rcc's, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Podman's name for it.
    pub id: String,
    /// The session's.
    pub session: String,
    /// The launcher's runtime directory.
    pub runtime_dir: String,
}

/// Podman.
#[derive(Debug)]
pub struct Podman(Api);

impl Podman {
    /// Behind this API.
    pub fn new(api: Api) -> Self {
        Self(api)
    }

    /// What it says of itself.
    pub fn info(&self) -> Result<Info, ApiError> {
        let InfoAnswer { host } = self.0.get("describe itself", &format!("{API}/info"))?;
        Ok(Info {
            rootless: host.security.rootless,
            runtime: host.oci_runtime.name,
            runtime_version: host.oci_runtime.version,
            controllers: host.cgroup_controllers.unwrap_or_default(),
            uids: host.id_mappings.uidmap.unwrap_or_default(),
            gids: host.id_mappings.gidmap.unwrap_or_default(),
        })
    }

    /// The image's own `PATH`, which may be empty; `None` if there is no such image.
    pub fn path_of(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.0.get::<ImageAnswer>("look for the image", &format!("{API}/images/{name}/json")) {
            Ok(image) => Ok(Some(image.path())),
            Err(ApiError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a container, which has no process yet.
    pub fn create(&self, spec: &Value) -> Result<String, ApiError> {
        let created: Created = self.0.make("make a container", &format!("{API}/containers/create"), spec)?;
        Ok(created.id)
    }

    /// Makes its namespaces and mounts; its process waits for [`Podman::start`].
    pub fn init(&self, id: &str) -> Result<(), ApiError> {
        self.0.order("prepare the container", &format!("{API}/containers/{id}/init"))
    }

    /// The process that waits.
    pub fn process(&self, id: &str) -> Result<Option<Pid>, ApiError> {
        let inspected: Inspected = self.0.get("describe the container", &format!("{API}/containers/{id}/json"))?;
        Ok(Pid::from_raw(inspected.state.pid))
    }

    /// Lets it go.
    pub fn start(&self, id: &str) -> Result<(), ApiError> {
        self.0.order("start the container", &format!("{API}/containers/{id}/start"))
    }

    /// Ends it and removes it, whatever it is doing.
    pub fn remove(&self, id: &str) -> Result<(), ApiError> {
        self.0.delete("remove the container", &format!("{API}/containers/{id}?force=true&v=true&timeout=0"))
    }

    /// All containers of rcc's, of this user.
    pub fn ours(&self) -> Result<Vec<Ours>, ApiError> {
        // {"label":["rcc.session"]}
        let filter = format!("%7B%22label%22%3A%5B%22{LABEL}%22%5D%7D");
        let listed: Option<Vec<Listed>> =
            self.0.get("list containers", &format!("{API}/containers/json?all=true&filters={filter}"))?;
        let ours = listed.unwrap_or_default().into_iter().filter_map(|Listed { id, labels }| {
            let mut labels = labels?;
            Some(Ours { id, session: labels.remove(LABEL)?, runtime_dir: labels.remove(PLACE)? })
        });
        Ok(ours.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_may_have_a_path_and_need_not() {
        let path = |text| serde_json::from_str::<ImageAnswer>(text).unwrap().path();
        assert_eq!(path(r#"{"Config":{"Env":["LD_PRELOAD=/x.so","PATH=/opt/bin:/bin"]}}"#), "/opt/bin:/bin");
        for none in [r#"{"Config":{"Env":null}}"#, r#"{"Config":{}}"#, r#"{"Config":null}"#, "{}"] {
            assert_eq!(path(none), "", "{none}");
        }
    }

    #[test]
    fn an_identity_is_known_where_both_maps_have_it() {
        let mapping = |host_id, size| Mapping { host_id, size };
        let info = Info {
            rootless: true,
            runtime: "crun".into(),
            runtime_version: String::new(),
            controllers: vec![],
            uids: vec![mapping(1000, 1), mapping(100_000, 65536), mapping(1_919_090_688, 1024)],
            gids: vec![mapping(1000, 1), mapping(100_000, 65536), mapping(1_919_090_688, 512)],
        };
        assert!(info.knows(1_919_090_688) && info.knows(1_919_090_688 + 511));
        for unknown in [1_919_090_687, 1_919_090_688 + 512, 1_919_090_688 + 1024, 0] {
            assert!(!info.knows(unknown), "{unknown}");
        }
    }
}
