//! Where the project is.

use super::git::GitError;
use crate::facts::Facts;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a directory cannot be the project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Not something that can be mounted.
    #[error("{} cannot be a project: {reason}; change to a directory of your own", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The agent would see, or even write, more than one project.
    #[error("{} cannot be a project: it {reason}; change to the directory of one project, \
             or make one: mkdir ~/project && cd ~/project", path.display())]
    TooWide {
        /// The path.
        path: PathBuf,
        /// What it holds.
        reason: String,
    },
    /// Its repository cannot be trusted.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Directories that belong to the system: neither they nor what is above them can be a project.
/// file-hierarchy(7).
const SYSTEM: [&str; 14] = [
    "/bin", "/boot", "/dev", "/etc", "/gnu", "/lib", "/lib64", "/nix", "/proc", "/run", "/sbin", "/sys", "/usr", "/var",
];

/// Below these directories of [`SYSTEM`] people keep projects.
const OPEN: [&str; 6] = ["/usr/src", "/usr/local/src", "/var/lib", "/var/tmp", "/var/www", "/run/media"];

/// Directories of a home that hold keys, not projects.
const PRIVATE: [&str; 7] = [".ssh", ".gnupg", ".aws", ".kube", ".docker", ".password-store", ".mozilla"];

pub(super) fn find(facts: &Facts) -> Result<PathBuf, ProjectError> {
    let cwd = facts.cwd.as_path();
    if !cwd.is_absolute() || cwd.as_os_str().as_bytes().contains(&0) {
        return Err(ProjectError::NotADirectory { path: cwd.into(), reason: "its path is not absolute" });
    }
    check(cwd, facts)?;
    let metadata = std::fs::symlink_metadata(cwd)
        .map_err(|_| ProjectError::NotADirectory { path: cwd.into(), reason: "it cannot be read" })?;
    if !metadata.is_dir() {
        return Err(ProjectError::NotADirectory { path: cwd.into(), reason: "it is not a directory" });
    }
    // Somebody else's `/tmp/.git` must not make all of /tmp the project; and a repository that
    // spans the home (dotfiles) does not widen the view of a directory in it.
    let owners = [facts.user.uid, metadata.uid()];
    let is_top = |directory: &&Path| {
        let git = std::fs::symlink_metadata(directory.join(".git"));
        git.is_ok_and(|git| owners.contains(&git.uid())) && check(directory, facts).is_ok()
    };
    Ok(cwd.ancestors().find(is_top).unwrap_or(cwd).to_owned())
}

/// Refuses what is more than one project.
pub(super) fn check(path: &Path, facts: &Facts) -> Result<(), ProjectError> {
    let refuse = |reason: String| Err(ProjectError::TooWide { path: path.into(), reason });
    let home = facts.user.home.as_path();
    if home.starts_with(path) {
        return refuse(if home == path { "is your home".into() } else { format!("holds {}", home.display()) });
    }
    if let Some(private) = PRIVATE.iter().find(|name| path.starts_with(home.join(name))) {
        return refuse(format!("is in ~/{private}, which holds keys"));
    }
    for own in [&facts.config_dir, &facts.data_dir] {
        // Resolved as well: `path` is, and a link on the way must not hide where rcc's files are.
        for own in [own.clone(), std::fs::canonicalize(own).unwrap_or_else(|_| own.clone())] {
            if own.starts_with(path) || path.starts_with(&own) {
                return refuse(format!("holds or is part of rcc's own {}", own.display()));
            }
        }
    }
    let open = OPEN.iter().any(|open| path.starts_with(open) && path != Path::new(open));
    let system = SYSTEM.iter().find(|system| Path::new(system).starts_with(path) || path.starts_with(system) && !open);
    // A home below a system directory (`/var/lib/ci`) is still a home.
    if let Some(system) = system
        && !(path.starts_with(home) && home.starts_with(system))
    {
        return refuse(format!("holds or is part of {system}"));
    }
    if ["/tmp", "/home", "/mnt", "/media", "/opt", "/srv", "/root"].iter().any(|shared| path == Path::new(shared)) {
        return refuse("is shared by unrelated things".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::User;

    fn facts(cwd: &Path) -> Facts {
        let uid = rustix::process::geteuid().as_raw();
        Facts {
            user: User { uid, gid: uid, name: "alice".into(), home: "/home/alice".into() },
            cwd: cwd.into(),
            environment: Default::default(),
            config_dir: "/home/alice/.config/rcc".into(),
            data_dir: "/home/alice/.local/share/rcc".into(),
        }
    }

    #[test]
    fn wide_private_and_system_directories_are_refused() {
        let refused = [
            "/",
            "/home",
            "/home/alice",
            "/home/alice/.config",
            "/home/alice/.config/rcc",
            "/home/alice/.ssh/keys",
            "/home/alice/.local/share",
            "/home/alice/.local/share/rcc/projects/x",
            "/etc",
            "/etc/app",
            "/usr",
            "/usr/share/x",
            "/run/rcc",
            "/var",
            "/var/lib",
            "/proc/1",
            "/dev/shm/x",
            "/tmp",
        ];
        for path in refused {
            assert!(check(Path::new(path), &facts(Path::new("/"))).is_err(), "{path}");
        }
    }

    #[test]
    fn directories_of_ones_own_are_accepted() {
        for path in ["/home/alice/work", "/tmp/x", "/srv/app", "/var/lib/ci/build", "/home/alice/.config/nvim"] {
            check(Path::new(path), &facts(Path::new("/"))).unwrap();
        }
    }

    #[test]
    fn the_top_of_the_work_tree_is_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let dir = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::create_dir_all(dir.join("repo/.git")).unwrap();
        std::fs::create_dir_all(dir.join("repo/a/b")).unwrap();
        std::fs::create_dir_all(dir.join("plain/a")).unwrap();
        assert_eq!(find(&facts(&dir.join("repo/a/b"))).unwrap(), dir.join("repo"));
        assert_eq!(find(&facts(&dir.join("plain/a"))).unwrap(), dir.join("plain/a"));
    }

    #[test]
    fn a_repository_that_spans_the_home_does_not_widen_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let home = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::create_dir_all(home.join(".git")).unwrap();
        std::fs::create_dir_all(home.join("notes")).unwrap();
        let mut facts = facts(&home.join("notes"));
        facts.user.home = home.clone();
        assert_eq!(find(&facts).unwrap(), home.join("notes"));
    }
}
