//! A transient scope from systemd, asked for over D-Bus with its own client.

use super::{CgroupError, PREFIX};
use crate::facts;
use crate::settings::Limits;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A systemd that takes orders from this user.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bus {
    busctl: PathBuf,
    /// The user's runtime directory; `None` for the system's own manager.
    runtime_dir: Option<PathBuf>,
    /// What its units can be limited by.
    pub(super) controllers: Vec<String>,
}

/// Where systemd mounts the unified hierarchy, always (file-hierarchy(7)).
const HIERARCHY: &str = "/sys/fs/cgroup";
/// How long systemd may take to answer, and then to move the process.
const PATIENCE: Duration = Duration::from_secs(5);

impl Bus {
    /// `None` where systemd does not run, the user has no manager, or there is no `busctl`.
    pub(super) fn probe(uid: u32) -> Option<Self> {
        Path::new("/run/systemd/system").is_dir().then_some(())?; // sd_booted(3)
        let busctl = facts::program("busctl")?;
        let (runtime_dir, manager) = if uid == 0 {
            (None, PathBuf::from(HIERARCHY))
        } else {
            // Not XDG_RUNTIME_DIR, which a project's environment may have changed.
            let dir = PathBuf::from(format!("/run/user/{uid}"));
            let socket = fs::symlink_metadata(dir.join("bus")).ok()?;
            (socket.uid() == uid).then_some(())?;
            let slice = format!("user.slice/user-{uid}.slice/user@{uid}.service");
            (Some(dir), Path::new(HIERARCHY).join(slice))
        };
        let controllers = fs::read_to_string(manager.join("cgroup.controllers")).unwrap_or_default();
        let controllers = controllers.split_ascii_whitespace().map(str::to_owned).collect();
        Some(Self { busctl, runtime_dir, controllers })
    }

    /// Starts the scope with the process in it and waits until it is; returns its directory.
    pub(super) fn start_scope(&self, session: &str, pid: u32, limits: &Limits) -> Result<PathBuf, CgroupError> {
        let unit = format!("{PREFIX}{session}.scope");
        let output = self.command(&unit, pid, limits).output();
        let output = output.map_err(|source| CgroupError::Busctl { program: self.busctl.clone(), source })?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(CgroupError::Refused { unit, message });
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"));
            if let Some(path) = path.filter(|path| Path::new(path).file_name() == Some(unit.as_ref())) {
                return Ok(Path::new(HIERARCHY).join(path));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(CgroupError::NotMoved { pid, unit, seconds: PATIENCE.as_secs() })
    }

    fn command(&self, unit: &str, pid: u32, limits: &Limits) -> Command {
        let mut command = Command::new(&self.busctl);
        command.env_clear().stdin(Stdio::null());
        match &self.runtime_dir {
            Some(dir) => command.arg("--user").env("XDG_RUNTIME_DIR", dir),
            None => command.arg("--system"),
        };
        command.arg(format!("--timeout={}", PATIENCE.as_secs()));
        command.args(["--quiet", "--allow-interactive-authorization=no", "call"]);
        command.args(["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]);
        command.args(["StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail"]);
        let properties = properties(pid, limits);
        command.arg(properties.len().to_string());
        command.args(properties.into_iter().flatten());
        command.arg("0"); // no auxiliary units
        command
    }
}

/// Each a name, a D-Bus signature and a value, as busctl(1) writes them.
/// org.freedesktop.systemd1(5) has the names and units.
fn properties(pid: u32, limits: &Limits) -> Vec<Vec<String>> {
    let property = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let mut properties = vec![
        // Only so that OOMPolicy is "continue" (systemd.service(5)): one process that is killed for
        // want of memory must not take the whole sandbox along.
        property(&["Delegate", "b", "true"]),
        property(&["Description", "s", "A coding agent's sandbox (rcc)"]),
        property(&["CollectMode", "s", "inactive-or-failed"]),
        property(&["PIDs", "au", "1", &pid.to_string()]),
    ];
    if let Some(bytes) = limits.memory {
        properties.push(property(&["MemoryMax", "t", &bytes.to_string()]));
        properties.push(property(&["MemorySwapMax", "t", "0"]));
    }
    if let Some(pids) = limits.pids {
        properties.push(property(&["TasksMax", "t", &pids.to_string()]));
    }
    if let Some(cpus) = limits.cpus {
        let microseconds = (cpus * 1e6).max(1e4) as u64;
        properties.push(property(&["CPUQuotaPerSecUSec", "t", &microseconds.to_string()]));
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busctl_is_told_the_units_of_systemd() {
        let limits = Limits { memory: Some(1 << 30), pids: Some(512), cpus: Some(1.5) };
        let bus =
            Bus { busctl: "/usr/bin/busctl".into(), runtime_dir: Some("/run/user/7".into()), controllers: vec![] };
        let command = bus.command("rcc-a.scope", 42, &limits);
        let arguments: Vec<&str> = command.get_args().map(|argument| argument.to_str().unwrap()).collect();
        let arguments = arguments.join(" ");
        assert!(arguments.starts_with("--user "), "{arguments}");
        let limits = "MemoryMax t 1073741824 MemorySwapMax t 0 TasksMax t 512 CPUQuotaPerSecUSec t 1500000 0";
        assert!(arguments.contains(" rcc-a.scope fail 8 Delegate b true Description s A coding"), "{arguments}");
        assert!(arguments.ends_with(&format!(" PIDs au 1 42 {limits}")), "{arguments}");
    }
}
