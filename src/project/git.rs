//! Where a project's repository is.
//!
//! A linked work tree and a submodule have a `.git` *file* that names a directory elsewhere. An
//! agent of an earlier run may have written that file, so a directory outside the project counts
//! only if it names this project in turn (gitrepository-layout(5), git-worktree(1)).

use serde::Serialize;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// The repository of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "repository", rename_all = "kebab-case")]
pub enum Git {
    /// There is none.
    None,
    /// Inside the project: `.git`, or where a `.git` file points to. Relative to the project.
    Inside {
        /// `.git` or another directory of the project; empty where that is a bare repository.
        #[serde(serialize_with = "crate::shown::lossy")]
        directory: PathBuf,
    },
    /// Outside: a linked work tree or a submodule.
    Outside {
        /// The directory that holds objects and refs. Absolute, without symbolic links.
        #[serde(serialize_with = "crate::shown::lossy")]
        common: PathBuf,
        /// Of a linked work tree: its own directory below `common`, relative to it.
        #[serde(serialize_with = "crate::shown::maybe_lossy")]
        private: Option<PathBuf>,
    },
}

/// Why a repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Reading failed.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What lies at `.git` is not a repository.
    #[error("{} {reason}; repair the repository, or move that file away", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The directory that `.git` names does not name this project.
    #[error(
        "{} names the repository {}, but {reason}: a file in the project must not open a directory elsewhere to the \
         agent; if it is right, run `git worktree repair` (or `git submodule absorbgitdirs` in the project above)",
        file.display(), directory.display()
    )]
    Unrelated {
        /// The `.git` file.
        file: PathBuf,
        /// What it names.
        directory: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
}

/// Longest file that is read here: two paths of PATH_MAX (linux/limits.h) and some words.
const MAX_POINTER: u64 = 16 * 1024;
/// Longest git configuration that is read.
const MAX_CONFIG: u64 = 1024 * 1024;

pub(super) fn find(root: &Path, uid: u32) -> Result<Git, GitError> {
    let file = root.join(".git");
    let metadata = match std::fs::symlink_metadata(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_git_directory(root) => {
            return Ok(Git::Inside { directory: PathBuf::new() });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Git::None),
        metadata => metadata.map_err(|source| GitError::Read { path: file.clone(), source })?,
    };
    if metadata.is_dir() {
        return Ok(Git::Inside { directory: ".git".into() });
    }
    if !metadata.is_file() {
        return Err(GitError::Malformed { path: file, reason: "is neither a directory nor a file" });
    }
    let directory = pointer(&file, "gitdir: ")?;
    let directory = std::fs::canonicalize(root.join(&directory))
        .map_err(|source| GitError::Read { path: root.join(directory), source })?;
    if let Ok(inside) = directory.strip_prefix(root) {
        return match inside.components().next() {
            Some(Component::Normal(_)) => Ok(Git::Inside { directory: inside.into() }),
            _ => Err(GitError::Malformed { path: file, reason: "names the project itself as its repository" }),
        };
    }
    outside(root, file, directory, uid)
}

/// Believes a directory outside only if it names `root`.
fn outside(root: &Path, file: PathBuf, directory: PathBuf, uid: u32) -> Result<Git, GitError> {
    let refuse = |reason| GitError::Unrelated { file: file.clone(), directory: directory.clone(), reason };
    let owner = std::fs::metadata(&directory).map(|metadata| metadata.uid());
    if owner.is_ok_and(|owner| owner != uid) {
        return Err(refuse("that directory is not yours"));
    }
    let back = directory.join("gitdir");
    let (common, private) = if back.is_file() {
        let named = directory.join(pointer(&back, "")?);
        if std::fs::canonicalize(&named).ok() != Some(root.join(".git")) {
            return Err(refuse("its file `gitdir` names another work tree"));
        }
        let common = directory.join(pointer(&directory.join("commondir"), "")?);
        let common = std::fs::canonicalize(common).map_err(|_| refuse("its file `commondir` names nothing"))?;
        if directory.parent().and_then(Path::parent) != Some(&common)
            || !directory.starts_with(common.join("worktrees"))
        {
            return Err(refuse("its file `commondir` does not name the directory that holds `worktrees/`"));
        }
        let private = directory.strip_prefix(&common).ok().map(Path::to_owned);
        (common, private)
    } else {
        let config = Config::read(&directory.join("config"))?;
        let named = config.last("core.worktree").and_then(|path| std::fs::canonicalize(directory.join(path)).ok());
        if named.as_deref() != Some(root) {
            return Err(refuse("it has neither a file `gitdir` nor a setting core.worktree that names this project"));
        }
        (directory.clone(), None)
    };
    if !is_git_directory(&common) {
        return Err(refuse("it lacks HEAD, objects or refs"));
    }
    if root.starts_with(&common) {
        return Err(refuse("the project lies in it"));
    }
    Ok(Git::Outside { common, private })
}

/// Whether git takes a directory for a repository, whatever its name.
pub(super) fn is_git_directory(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

/// The path in a file of one line.
pub(super) fn pointer(path: &Path, prefix: &str) -> Result<PathBuf, GitError> {
    let malformed = || GitError::Malformed { path: path.into(), reason: "does not name a git directory" };
    let bytes = read(path, MAX_POINTER)?;
    let line = bytes.strip_prefix(prefix.as_bytes()).ok_or_else(malformed)?.trim_ascii_end();
    if line.is_empty() || line.contains(&0) || line.contains(&b'\n') {
        return Err(malformed());
    }
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(line)))
}

/// Reads a regular file of bounded length; a FIFO or a link at its place is an error.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, GitError> {
    let failed = |source| GitError::Read { path: path.into(), source };
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > limit {
        return Err(GitError::Malformed { path: path.into(), reason: "is no regular file, or too long" });
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// What this crate needs of git's configuration: section, variable and value in order, with names
/// in lower case (git-config(1)). It errs on the side of reading too much: a value that git would
/// not see only protects one path more.
pub(super) struct Config(Vec<(String, String)>);

impl Config {
    /// Reads one file, without what it includes.
    pub(super) fn read(path: &Path) -> Result<Self, GitError> {
        Ok(Self::parse(&String::from_utf8_lossy(&read(path, MAX_CONFIG)?)))
    }

    fn parse(text: &str) -> Self {
        let mut section = String::new();
        let mut entries = Vec::new();
        for line in text.replace("\\\n", "").lines() {
            let mut line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                let (name, rest) = header.split_once(']').unwrap_or((header, ""));
                section = name.split([' ', '\t', '"', '.']).next().unwrap_or_default().to_ascii_lowercase();
                line = rest.trim();
            }
            if let Some((key, value)) = line.split_once('=') {
                let key = format!("{section}.{}", key.trim().to_ascii_lowercase());
                entries.push((key, unquoted(value)));
            }
        }
        Self(entries)
    }

    /// All values of a variable.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn last(&self, key: &str) -> Option<&str> {
        self.all(key).last()
    }
}

/// The value without comment, quotes and escapes.
fn unquoted(value: &str) -> String {
    let (mut out, mut quoted) = (String::new(), false);
    let mut characters = value.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' => out.extend(characters.next()),
            '#' | ';' if !quoted => break,
            other => out.push(other),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct World {
        _dir: tempfile::TempDir,
        at: PathBuf,
        uid: u32,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let at = fs::canonicalize(dir.path()).unwrap();
        let uid = fs::metadata(&at).unwrap().uid();
        let world = World { _dir: dir, at, uid };
        for path in ["main/.git/objects", "main/.git/refs", "main/.git/worktrees/w", "w"] {
            fs::create_dir_all(world.at.join(path)).unwrap();
        }
        world.write("main/.git/HEAD", "ref: refs/heads/main\n");
        world.write("main/.git/worktrees/w/commondir", "../..\n");
        world.write("main/.git/worktrees/w/gitdir", &format!("{}/w/.git\n", world.at.display()));
        world.write("w/.git", &format!("gitdir: {}/main/.git/worktrees/w\n", world.at.display()));
        world
    }

    impl World {
        fn write(&self, path: &str, text: &str) {
            fs::write(self.at.join(path), text).unwrap();
        }
        fn find(&self, path: &str) -> Result<Git, GitError> {
            find(&self.at.join(path), self.uid)
        }
    }

    #[test]
    fn a_linked_work_tree_leads_to_the_common_directory() {
        let world = world();
        let expected = Git::Outside { common: world.at.join("main/.git"), private: Some("worktrees/w".into()) };
        assert_eq!(world.find("w").unwrap(), expected);
    }

    #[test]
    fn a_work_tree_that_is_not_named_in_turn_is_refused() {
        let world = world();
        fs::create_dir(world.at.join("evil")).unwrap();
        world.write("evil/.git", &format!("gitdir: {}/main/.git/worktrees/w\n", world.at.display()));
        assert!(matches!(world.find("evil"), Err(GitError::Unrelated { .. })));
        world.write("evil/.git", "gitdir: ../main/.git\n");
        assert!(world.find("evil").is_err());
    }

    #[test]
    fn a_forged_commondir_does_not_widen_the_view() {
        let world = world();
        fs::create_dir_all(world.at.join("victim/objects")).unwrap();
        world.write("main/.git/worktrees/w/commondir", "../../../../victim\n");
        assert!(matches!(world.find("w"), Err(GitError::Unrelated { .. })));
    }

    #[test]
    fn somebody_elses_repository_is_refused() {
        let world = world();
        assert!(matches!(find(&world.at.join("w"), world.uid + 1), Err(GitError::Unrelated { .. })));
    }

    #[test]
    fn a_submodule_is_found_by_its_core_worktree() {
        let world = world();
        for path in ["main/.git/modules/s/objects", "main/.git/modules/s/refs", "main/s"] {
            fs::create_dir_all(world.at.join(path)).unwrap();
        }
        world.write("main/.git/modules/s/HEAD", "x");
        world.write("main/.git/modules/s/config", "[core]\n\tbare = false\n\tworktree = ../../../s\n");
        world.write("main/s/.git", "gitdir: ../.git/modules/s\n");
        let common = world.at.join("main/.git/modules/s");
        assert_eq!(world.find("main/s").unwrap(), Git::Outside { common, private: None });
    }

    #[test]
    fn a_link_or_a_fifo_at_dot_git_is_an_error() {
        let world = world();
        fs::create_dir(world.at.join("p")).unwrap();
        std::os::unix::fs::symlink("../main/.git", world.at.join("p/.git")).unwrap();
        assert!(matches!(world.find("p"), Err(GitError::Malformed { .. })));
    }

    #[test]
    fn configuration_is_read_as_git_reads_it() {
        let config = Config::parse(
            "[Core] hooksPath = \"a b\" ; note\n[include]\npath=x\\\ny\n[includeIf \"gitdir:~/w]/\"]\n\tPath = z # c\n",
        );
        assert_eq!(config.last("core.hookspath"), Some("a b"));
        assert_eq!(config.last("include.path"), Some("xy"));
        assert_eq!(config.all("includeif.path").collect::<Vec<_>>(), ["z"]);
    }
}
