//! What Docker is told to make. Pure.

use crate::plan::HOSTNAME;
use crate::relay::seat::INSIDE_PROGRAM;
use crate::runtime::engine::contract::{LABEL, PLACE};
use crate::runtime::engine::spec::{INIT, PERIOD, Spec};
use crate::settings::Limits;
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, RestartPolicy, RestartPolicyNameEnum,
};
use std::collections::HashMap;

/// As `POST /containers/create` takes it. Whatever is not here is Docker's default.
///
/// The image's variables are taken away one by one: a name without a value does that. In the user namespace of a Docker
/// without root, 0 is the user; rcc inside maps the user's own number below it, which the kernel allows to whoever
/// has `CAP_SETFCAP` (user_namespaces(7)) and is the end of that capability as well. Docker's own filter of system
/// calls would deny that; rcc's follows, and is the one that a sandbox without an engine has.
pub(super) fn render(spec: &Spec<'_>) -> ContainerCreateBody {
    let labels = [(LABEL, spec.plan.session.clone()), (PLACE, spec.runtime_dir.to_string_lossy().into_owned())];
    ContainerCreateBody {
        image: Some(spec.image.as_str().to_owned()),
        labels: Some(HashMap::from(labels.map(|(name, value)| (name.to_owned(), value)))),
        entrypoint: Some(INIT.map(str::to_owned).to_vec()),
        cmd: Some(Vec::new()),
        user: Some("0:0".to_owned()),
        working_dir: Some("/".to_owned()),
        hostname: Some(HOSTNAME.to_owned()),
        env: Some(spec.has.names().map(str::to_owned).collect()),
        tty: Some(false),
        open_stdin: Some(false),
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        network_disabled: Some(true),
        stop_timeout: Some(0),
        host_config: Some(host(spec)),
        ..Default::default()
    }
}

fn host(spec: &Spec<'_>) -> HostConfig {
    let none = || Some("none".to_owned());
    let private = || Some("private".to_owned());
    let propagation = Some(MountBindOptionsPropagationEnum::RPRIVATE);
    let program = Mount {
        typ: Some(MountType::BIND),
        source: Some(spec.program.to_string_lossy().into_owned()),
        target: Some(INSIDE_PROGRAM.to_owned()),
        read_only: Some(true),
        bind_options: Some(MountBindOptions { propagation, ..Default::default() }),
        ..Default::default()
    };
    let log = [("max-size", "1m"), ("max-file", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let host = HostConfig {
        network_mode: none(),
        ipc_mode: private(),
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(vec!["SETFCAP".to_owned()]),
        security_opt: Some(
            ["label=disable", "no-new-privileges:true", "seccomp=unconfined"].map(str::to_owned).to_vec(),
        ),
        // The attendant makes it so, when everything is in its place.
        readonly_rootfs: Some(false),
        mounts: Some(vec![program]),
        binds: Some(Vec::new()),
        devices: Some(Vec::new()),
        init: Some(false),
        auto_remove: Some(true),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(HashMap::from(log)) }),
        ..Default::default()
    };
    limited(host, &spec.limits)
}

fn limited(host: HostConfig, limits: &Limits) -> HostConfig {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let memory = limits.memory.map(number);
    let quota = limits.cpus.map(|cpus| (cpus * PERIOD as f64).round().max(1000.0) as i64);
    HostConfig {
        memory,
        // No swap beside it.
        memory_swap: memory,
        pids_limit: limits.pids.map(number),
        cpu_period: quota.map(|_| PERIOD as i64),
        cpu_quota: quota,
        ..host
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::spec::tests::{LIMITS, rendered};

    #[test]
    fn docker_is_told_all_of_this_and_nothing_else() {
        let told = rendered(LIMITS, &["PATH=/bin", "LD_PRELOAD=/x.so"], render);
        crate::golden::assert_golden("src/runtime/engine/docker/create.json", &told);
    }

    #[test]
    fn no_variable_keeps_a_value_and_no_limit_is_made_up() {
        let none = Limits { memory: None, pids: None, cpus: None };
        let told: serde_json::Value = serde_json::from_str(&rendered(none, &["A=1", "B", "C=x=y"], render)).unwrap();
        assert_eq!(told["Env"], serde_json::json!(["A", "B", "C"]));
        for limit in ["Memory", "MemorySwap", "PidsLimit", "CpuQuota", "CpuPeriod"] {
            assert!(told["HostConfig"][limit].is_null(), "{limit}");
        }
    }
}
