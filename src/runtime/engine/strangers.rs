//! What is mounted in a container although nobody planned it: an engine's own configuration can add mounts to each
//! container, sockets of the host among them.

use std::path::{Path, PathBuf};

/// What Podman mounts in every container without being asked (its `pkg/specgen/generate` and crun's defaults).
const EXACTLY: [&str; 18] = [
    "/",
    "/dev",
    "/dev/console",
    "/dev/full",
    "/dev/mqueue",
    "/dev/null",
    "/dev/pts",
    "/dev/ptmx",
    "/dev/random",
    "/dev/shm",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/run/.containerenv",
    "/sys/fs/cgroup",
];
/// File systems of the container's own, with what engines cover in them.
const WITH_ALL_BELOW: [&str; 2] = ["/proc", "/sys"];

/// The first mount that is neither the engine's nor at or below one of the planned places.
pub fn first<'a>(mounted: impl IntoIterator<Item = &'a Path>, planned: &[PathBuf]) -> Option<&'a Path> {
    let known = |path: &Path| {
        EXACTLY.iter().any(|own| path == Path::new(own))
            || WITH_ALL_BELOW.iter().any(|own| path.starts_with(own))
            || planned.iter().any(|place| path.starts_with(place))
    };
    mounted.into_iter().find(|path| !known(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(path: &str) -> bool {
        let planned = ["/home/u/project", "/run/rcc/launcher", "/tmp"].map(PathBuf::from);
        first([Path::new("/"), Path::new("/proc/kcore"), Path::new(path)], &planned).is_some()
    }

    #[test]
    fn what_an_engines_configuration_adds_is_a_stranger() {
        for path in ["/run/podman/podman.sock", "/dev/fuse", "/run/secrets", "/home/u", "/projects", "/tmpx"] {
            assert!(stranger(path), "{path}");
        }
    }

    #[test]
    fn what_was_planned_and_what_every_container_has_is_none() {
        for path in ["/home/u/project/.git/hooks", "/run/rcc/launcher", "/dev/shm", "/sys/firmware", "/etc/hosts"] {
            assert!(!stranger(path), "{path}");
        }
    }
}
