//! What rcc asks of Docker, by its API.
//!
//! That has no way to make a container ready without starting it. Docker starts rcc inside at once, which waits for
//! the launcher's socket to appear: the [attendant](super::attendant) lays it there with all other mounts.

mod socket;
mod spec;

pub use socket::{SocketError, socket};

use super::api::ApiError;
use super::contract::{Engine, ImageFacts, Info, LABEL, Ours};
use super::spec::{INIT, Spec};
use crate::runtime::choice::EngineName;
use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error;
use bollard::models::{ContainerSummary, ImageInspect, SystemInfo, SystemInfoCgroupDriverEnum, SystemVersion};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, ListContainersOptions, RemoveContainerOptions,
    StartContainerOptions,
};
use rustix::process::Pid;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long a container's process may take to become rcc, after Docker has said that it runs.
const BIRTH: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(2);

/// Docker.
#[derive(Debug)]
pub struct Docker {
    runtime: Runtime,
    client: bollard::Docker,
    socket: PathBuf,
}

impl Docker {
    /// Behind this socket, in the newest version of the API that both know. It may take so long for one call. It starts
    /// no thread.
    pub fn new(socket: PathBuf, patience: Duration) -> Result<Self, ApiError> {
        let failed = |source| ApiError::Connection { socket: socket.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let path = socket.to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
        let client = bollard::Docker::connect_with_unix(path, patience.as_secs().max(1), API_DEFAULT_VERSION);
        let client = client.and_then(|client| runtime.block_on(client.negotiate_version()));
        let client = client.map_err(|error| failure(&socket, "tell its version", error))?;
        Ok(Self { runtime, client, socket })
    }

    fn call<T>(&self, what: &'static str, call: impl Future<Output = Result<T, Error>>) -> Result<T, ApiError> {
        self.runtime.block_on(call).map_err(|error| failure(&self.socket, what, error))
    }
}

fn failure(socket: &Path, what: &'static str, error: Error) -> ApiError {
    match error {
        Error::DockerResponseServerError { status_code: status, message } => {
            ApiError::Refused { what, status, said: crate::shown::text(&message) }
        }
        Error::IOError { err: source } => ApiError::Connection { socket: socket.to_owned(), source },
        error => ApiError::Connection {
            socket: socket.to_owned(),
            source: io::Error::other(crate::shown::text(&error.to_string())),
        },
    }
}

impl Engine for Docker {
    fn name(&self) -> EngineName {
        EngineName::Docker
    }

    fn keeps_id(&self) -> bool {
        false
    }

    fn info(&self) -> Result<Info, ApiError> {
        let info = self.call("describe itself", self.client.info())?;
        Ok(described(info, self.call("tell its version", self.client.version())?))
    }

    fn image(&self, name: &str) -> Result<Option<ImageFacts>, ApiError> {
        match self.call("look for the image", self.client.inspect_image(name)) {
            Ok(image) => Ok(Some(image.into())),
            Err(ApiError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, spec: &Spec<'_>) -> Result<String, ApiError> {
        let options = CreateContainerOptions { name: Some(spec.name()), ..Default::default() };
        let body = spec::render(spec);
        Ok(self.call("make a container", self.client.create_container(Some(options), body))?.id)
    }

    fn ready(&self, id: &str) -> Result<(), ApiError> {
        self.call("start the container", self.client.start_container(id, None::<StartContainerOptions>))
    }

    /// What Docker tells is a number in its own pid namespace: only rcc itself is taken for the container's process.
    fn process(&self, id: &str) -> Result<Option<Pid>, ApiError> {
        let inspected = self.client.inspect_container(id, None::<InspectContainerOptions>);
        let inspected = self.call("describe the container", inspected)?;
        let pid = inspected.state.and_then(|state| state.pid).and_then(|pid| i32::try_from(pid).ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { return Ok(None) };
        let deadline = Instant::now() + BIRTH;
        while !is_rcc(pid) {
            if Instant::now() > deadline || !Path::new(&format!("/proc/{}", pid.as_raw_pid())).exists() {
                return Ok(None);
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(Some(pid))
    }

    /// It speaks when its socket appears.
    fn let_go(&self, _: &str) -> Result<(), ApiError> {
        Ok(())
    }

    fn remove(&self, id: &str) -> Result<(), ApiError> {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        match self.call("remove the container", self.client.remove_container(id, Some(options))) {
            // It is removing it by itself.
            Err(ApiError::Refused { status: 404 | 409, .. }) => Ok(()),
            removed => removed,
        }
    }

    fn ours(&self) -> Result<Vec<Ours>, ApiError> {
        let filters = HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = self.call("list containers", self.client.list_containers(Some(options)))?;
        Ok(listed.into_iter().filter_map(ours).collect())
    }
}

/// Whether this is a process that runs what a container of rcc's begins with.
fn is_rcc(pid: Pid) -> bool {
    let words = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    words.strip_suffix(b"\0").is_some_and(|words| words.split(|byte| *byte == 0).eq(INIT.map(str::as_bytes)))
}

fn ours(container: ContainerSummary) -> Option<Ours> {
    // Docker's names begin with its own place for them.
    let names: Vec<String> = container.names?.iter().map(|name| name.trim_start_matches('/').to_owned()).collect();
    Ours::judge(container.id?, &names, container.labels?)
}

fn described(info: SystemInfo, version: SystemVersion) -> Info {
    let rootless = info.security_options.unwrap_or_default().iter().any(|option| option == "name=rootless");
    let runtime = info.default_runtime.unwrap_or_default();
    let component = version.components.unwrap_or_default().into_iter().find(|component| component.name == runtime);
    // As the program itself would say it.
    let said = component.map(|component| format!("{runtime} version {}", component.version)).unwrap_or_default();
    // Without a driver it writes no limit anywhere, whatever the kernel could do.
    let driver = info.cgroup_driver.unwrap_or(SystemInfoCgroupDriverEnum::NONE);
    let limits = !matches!(driver, SystemInfoCgroupDriverEnum::NONE | SystemInfoCgroupDriverEnum::EMPTY);
    let has = [("memory", info.memory_limit), ("cpu", info.cpu_cfs_quota), ("pids", info.pids_limit)];
    let controllers = has.into_iter().filter(|(_, has)| limits && *has == Some(true));
    let controllers = controllers.map(|(name, _)| name.to_owned()).collect();
    Info { rootless, runtime, runtime_version: said, controllers, ids: None }
}

impl From<ImageInspect> for ImageFacts {
    fn from(image: ImageInspect) -> Self {
        let (variables, volumes) = image.config.map(|config| (config.env, config.volumes)).unwrap_or_default();
        Self { variables: variables.unwrap_or_default(), volumes: volumes.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(info: &str, version: &str) -> Info {
        described(serde_json::from_str(info).unwrap(), serde_json::from_str(version).unwrap())
    }

    #[test]
    fn root_or_not_and_the_version_of_the_runtime_are_what_docker_tells() {
        let version =
            r#"{"Components": [{"Name": "Engine", "Version": "28.1.1"}, {"Name": "runc", "Version": "1.2.5"}]}"#;
        let told = info(
            r#"{"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"], "DefaultRuntime": "runc",
                "CgroupDriver": "systemd", "MemoryLimit": true, "PidsLimit": true, "CpuCfsQuota": false}"#,
            version,
        );
        assert!(told.rootless);
        assert_eq!((told.runtime.as_str(), told.runtime_version.as_str()), ("runc", "runc version 1.2.5"));
        assert_eq!(told.controllers, ["memory", "pids"]);
        let root = info(r#"{"SecurityOptions": ["name=apparmor"], "DefaultRuntime": "crun"}"#, version);
        assert!(!root.rootless && root.runtime_version.is_empty() && root.controllers.is_empty());
    }

    #[test]
    fn limits_that_nobody_would_write_are_none() {
        let told = info(r#"{"CgroupDriver": "none", "MemoryLimit": true, "PidsLimit": true}"#, "{}");
        assert!(told.controllers.is_empty());
    }

    #[test]
    fn a_container_without_both_labels_is_somebody_elses() {
        let of = |labels: &str| {
            ours(serde_json::from_str(&format!(r#"{{"Id": "x", "Names": ["/rcc-a-1"], "Labels": {labels}}}"#)).unwrap())
        };
        assert!(of(r#"{"rcc.session": "a-1", "rcc.runtime-dir": "/run/user/1/rcc"}"#).is_some());
        assert!(of(r#"{"rcc.session": "a-1"}"#).is_none() && of("{}").is_none());
    }

    #[test]
    fn another_process_is_not_taken_for_rcc_inside() {
        assert!(!is_rcc(rustix::process::getpid()));
    }
}
