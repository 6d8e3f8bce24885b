//! Whether a sandbox's limits can be set: a cgroup v2 directory that the user owns.

use std::path::{Path, PathBuf};

/// Controllers that the limits need.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delegation {
    /// The user owns this cgroup and it has every controller.
    Whole(PathBuf),
    /// The user owns it, but these controllers are not in it.
    Lacks(PathBuf, Vec<&'static str>),
    /// cgroup v2 is mounted, but no cgroup is the user's.
    None,
    /// No cgroup v2 hierarchy.
    Absent,
}

/// Looks at the caller's own cgroup and at the user's systemd instance.
///
/// `root` is `/`; `own` is the content of `/proc/self/cgroup` (cgroups(7)).
pub fn delegation(root: &Path, own: &str, uid: u32) -> Delegation {
    let Some(mount) =
        ["sys/fs/cgroup", "sys/fs/cgroup/unified"].iter().map(|path| root.join(path)).find(|path| is_v2(path))
    else {
        return Delegation::Absent;
    };
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let instance = format!("user.slice/user-{uid}.slice/user@{uid}.service");
    let candidates = own.into_iter().chain([instance.as_str()]).map(|path| mount.join(path));
    let mut best = Delegation::None;
    for cgroup in candidates.filter(|path| belongs_to(path, uid)) {
        let found = std::fs::read_to_string(cgroup.join("cgroup.controllers")).unwrap_or_default();
        let has = |name: &&str| found.split_whitespace().any(|controller| controller == *name);
        let lacking: Vec<&str> = CONTROLLERS.into_iter().filter(|name| !has(name)).collect();
        if lacking.is_empty() {
            return Delegation::Whole(cgroup);
        }
        best = Delegation::Lacks(cgroup, lacking);
    }
    best
}

fn is_v2(mount: &Path) -> bool {
    // Only the root of a v2 hierarchy has this file.
    mount.join("cgroup.controllers").exists()
}

fn belongs_to(cgroup: &Path, uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    ["", "cgroup.procs", "cgroup.subtree_control"].iter().all(|name| {
        std::fs::metadata(cgroup.join(name)).is_ok_and(|found| found.uid() == uid && found.mode() & 0o200 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(cgroup: &str, controllers: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let mount = root.path().join("sys/fs/cgroup");
        std::fs::create_dir_all(mount.join(cgroup)).unwrap();
        std::fs::write(mount.join("cgroup.controllers"), "cpu memory pids").unwrap();
        for name in ["cgroup.procs", "cgroup.subtree_control"] {
            std::fs::write(mount.join(cgroup).join(name), "").unwrap();
        }
        std::fs::write(mount.join(cgroup).join("cgroup.controllers"), controllers).unwrap();
        root
    }

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn the_users_systemd_instance_is_found_from_a_session_that_owns_nothing() {
        let root = host(&format!("user.slice/user-{0}.slice/user@{0}.service", me()), "cpu memory pids");
        let found = delegation(root.path(), "0::/user.slice/session-1.scope\n", me());
        assert!(matches!(found, Delegation::Whole(_)), "{found:?}");
        assert_eq!(delegation(root.path(), "0::/x\n", me() + 1), Delegation::None);
    }

    #[test]
    fn lacking_controllers_and_a_missing_hierarchy_are_told_apart() {
        let root = host("mine", "memory");
        let found = delegation(root.path(), "1:name=systemd:/\n0::/mine\n", me());
        assert!(matches!(found, Delegation::Lacks(_, ref lacking) if *lacking == ["pids", "cpu"]), "{found:?}");
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(delegation(empty.path(), "", me()), Delegation::Absent);
    }
}
