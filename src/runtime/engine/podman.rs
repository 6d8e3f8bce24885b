//! What rcc asks of Podman, by its own API (libpod): the one for Docker's clients cannot make a container ready
//! without starting it.

use super::api::{Api, ApiError};
use super::contract::{Engine, Ids, ImageFacts, Info, LABEL, Mapping, Ours};
use super::spec::Spec;
use crate::runtime::choice::EngineName;
use rustix::process::Pid;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Every Podman of version 4 and 5 speaks it.
const API: &str = "/v4.0.0/libpod";

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

impl From<ImageAnswer> for ImageFacts {
    fn from(answer: ImageAnswer) -> Self {
        let variables = answer.config.and_then(|config| config.env).unwrap_or_default();
        // Podman is told to leave the volumes out.
        Self { variables, volumes: Vec::new() }
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
    names: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Podman.
#[derive(Debug)]
pub struct Podman(Api);

impl Podman {
    /// Behind this API.
    pub fn new(api: Api) -> Self {
        Self(api)
    }
}

impl Engine for Podman {
    fn name(&self) -> EngineName {
        EngineName::Podman
    }

    fn keeps_id(&self) -> bool {
        true
    }

    fn info(&self) -> Result<Info, ApiError> {
        let InfoAnswer { host } = self.0.get("describe itself", &format!("{API}/info"))?;
        let MappingsAnswer { uidmap, gidmap } = host.id_mappings;
        Ok(Info {
            rootless: host.security.rootless,
            runtime: host.oci_runtime.name,
            runtime_version: host.oci_runtime.version,
            controllers: host.cgroup_controllers.unwrap_or_default(),
            ids: Some(Ids { uids: uidmap.unwrap_or_default(), gids: gidmap.unwrap_or_default() }),
        })
    }

    fn image(&self, name: &str) -> Result<Option<ImageFacts>, ApiError> {
        match self.0.get::<ImageAnswer>("look for the image", &format!("{API}/images/{name}/json")) {
            Ok(image) => Ok(Some(image.into())),
            Err(ApiError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, spec: &Spec<'_>) -> Result<String, ApiError> {
        let created: Created = self.0.make("make a container", &format!("{API}/containers/create"), &spec.render())?;
        Ok(created.id)
    }

    /// The process that it makes is the OCI runtime's, and becomes rcc by [`Podman::let_go`].
    fn ready(&self, id: &str) -> Result<(), ApiError> {
        self.0.order("prepare the container", &format!("{API}/containers/{id}/init"))
    }

    fn process(&self, id: &str) -> Result<Option<Pid>, ApiError> {
        let inspected: Inspected = self.0.get("describe the container", &format!("{API}/containers/{id}/json"))?;
        Ok(Pid::from_raw(inspected.state.pid))
    }

    fn let_go(&self, id: &str) -> Result<(), ApiError> {
        self.0.order("start the container", &format!("{API}/containers/{id}/start"))
    }

    fn remove(&self, id: &str) -> Result<(), ApiError> {
        self.0.delete("remove the container", &format!("{API}/containers/{id}?force=true&v=true&timeout=0"))
    }

    fn ours(&self) -> Result<Vec<Ours>, ApiError> {
        // {"label":["rcc.session"]}
        let filter = format!("%7B%22label%22%3A%5B%22{LABEL}%22%5D%7D");
        let listed: Option<Vec<Listed>> =
            self.0.get("list containers", &format!("{API}/containers/json?all=true&filters={filter}"))?;
        let ours = listed.unwrap_or_default().into_iter();
        Ok(ours.filter_map(|Listed { id, names, labels }| Ours::judge(id, &names?, labels?)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_may_have_a_path_and_need_not() {
        let path = |text| ImageFacts::from(serde_json::from_str::<ImageAnswer>(text).unwrap()).path().to_owned();
        assert_eq!(path(r#"{"Config":{"Env":["LD_PRELOAD=/x.so","PATH=/opt/bin:/bin"]}}"#), "/opt/bin:/bin");
        for none in [r#"{"Config":{"Env":null}}"#, r#"{"Config":{}}"#, r#"{"Config":null}"#, "{}"] {
            assert_eq!(path(none), "", "{none}");
        }
    }
}
