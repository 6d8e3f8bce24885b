//! What an engine is told to make, and how Podman is told. Pure.

use super::contract::{ImageFacts, LABEL, PLACE, container_name};
use crate::plan::{HOSTNAME, Plan};
use crate::relay::seat::INSIDE_PROGRAM;
use crate::runtime::Image;
use crate::settings::Limits;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Microseconds in which a share of processor time is counted (`cpu.cfs_period_us`).
pub(super) const PERIOD: u64 = 100_000;
/// What a container begins with.
pub(super) const INIT: [&str; 3] = [INSIDE_PROGRAM, "guest", "container"];

/// What a container is made from.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The image.
    pub image: &'a Image,
    /// What that has.
    pub has: &'a ImageFacts,
    /// rcc's program on the host, without symbolic links.
    pub program: &'a Path,
    /// Where what its first process says before it is heard is written.
    pub log: &'a Path,
    /// What a cgroup must hold.
    pub limits: Limits,
    /// Where the launcher keeps its sessions.
    pub runtime_dir: &'a Path,
}

impl Spec<'_> {
    /// What the container is called.
    pub fn name(&self) -> String {
        container_name(&self.plan.session)
    }

    /// As Podman's `SpecGenerator`. Whatever is not here is Podman's default or the user's containers.conf, which can
    /// add mounts and devices, as `mounts` of rcc's own configuration can.
    pub fn render(&self) -> Value {
        let (uid, gid) = self.plan.user;
        let namespace = |mode: &str| json!({ "nsmode": mode });
        json!({
            "name": self.name(),
            "image": self.image.as_str(),
            "labels": { LABEL: self.plan.session, PLACE: self.runtime_dir.to_string_lossy() },
            "entrypoint": INIT,
            "command": [],
            "user": format!("{uid}:{gid}"),
            "work_dir": "/",
            "hostname": HOSTNAME,
            "env_host": false,
            // The image's and containers.conf's, with which the loader would have rcc do something else.
            "unsetenvall": true,
            "httpproxy": false,
            "stdin": false,
            "terminal": false,
            "userns": namespace("keep-id"),
            "netns": namespace("none"),
            "ipcns": namespace("private"),
            "pidns": namespace("private"),
            "utsns": namespace("private"),
            "cap_drop": ["all"],
            "cap_add": [],
            "no_new_privileges": true,
            "privileged": false,
            // The attendant makes it so, when everything is in its place.
            "read_only_filesystem": false,
            "image_volume_mode": "ignore",
            "volumes": [],
            "devices": [],
            "mounts": [{
                "type": "bind",
                "source": self.program.to_string_lossy(),
                "destination": INSIDE_PROGRAM,
                "options": ["bind", "ro", "nosuid", "nodev"],
            }],
            "init": false,
            "systemd": "false",
            "healthconfig": { "Test": ["NONE"] },
            "restart_policy": "no",
            "stop_timeout": 0,
            "remove": true,
            "log_configuration": { "driver": "k8s-file", "path": self.log.to_string_lossy(), "size": 1 << 20 },
            // What holds the agent is the same as without an engine, where no label does.
            "selinux_opts": ["disable"],
            "resource_limits": self.resources(),
        })
    }

    fn resources(&self) -> Value {
        let Limits { memory, pids, cpus } = self.limits;
        let mut resources = Map::new();
        if let Some(bytes) = memory {
            // No swap beside it.
            resources.insert("memory".into(), json!({ "limit": bytes, "swap": bytes }));
        }
        if let Some(pids) = pids {
            resources.insert("pids".into(), json!({ "limit": pids }));
        }
        if let Some(cpus) = cpus {
            let quota = (cpus * PERIOD as f64).round().max(1000.0) as i64;
            resources.insert("cpu".into(), json!({ "quota": quota, "period": PERIOD }));
        }
        resources.into()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::plan::Network;
    use crate::runtime::choice::{Choice, EngineName};
    use crate::settings::DefaultLimits;
    use crate::view::View;
    use std::path::PathBuf;

    /// Renders what a run with these limits and an image with these variables is made from.
    pub fn rendered<T: serde::Serialize>(
        limits: Limits,
        variables: &[&str],
        render: impl Fn(&Spec<'_>) -> T,
    ) -> String {
        let image: Image = "localhost/agent".parse().unwrap();
        let plan = Plan {
            session: "project-7f3a".into(),
            runtime: Choice::Engine { name: EngineName::Docker, image: image.clone(), why: "it was asked for" },
            project: "/home/u/project".into(),
            directory: "/home/u/project".into(),
            command: vec!["true".into()],
            environment: [("SECRET".into(), "s".into())].into(),
            user: (1000, 1001),
            view: View { mounts: Vec::new() },
            network: Network::Offline,
            limits,
            default_limits: DefaultLimits::default(),
            enforced: None,
            relay: None::<PathBuf>,
            pairs: Vec::new(),
            ports: Vec::new(),
        };
        let has = ImageFacts { variables: variables.iter().map(|&v| v.to_owned()).collect(), volumes: Vec::new() };
        let (program, log) = (Path::new("/usr/bin/rcc-guest"), Path::new("/run/user/1000/rcc/engine/x/log"));
        let runtime_dir = Path::new("/run/user/1000/rcc");
        let spec = Spec { plan: &plan, image: &image, has: &has, program, log, limits, runtime_dir };
        let value = serde_json::to_value(render(&spec)).unwrap();
        serde_json::to_string_pretty(&value).unwrap() + "\n"
    }

    pub const LIMITS: Limits = Limits { memory: Some(1 << 30), pids: Some(500), cpus: Some(1.5) };

    #[test]
    fn podman_is_told_all_of_this_and_nothing_else() {
        crate::golden::assert_golden("src/runtime/engine/podman.json", &rendered(LIMITS, &[], |spec| spec.render()));
    }
}
