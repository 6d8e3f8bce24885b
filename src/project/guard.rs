//! Plans which paths of one directory are protected, and how.

use super::git::{self, Config};
use super::scan::Mask;
use super::{Git, Project};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// What must exist at a protected path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing: protected only where it exists.
    Ignore,
    /// An empty directory.
    Directory,
    /// A file that means nothing to the program that reads it.
    File(&'static str),
}

/// Names in the project's top, the current directory and those between: Claude Code, direnv, VS
/// Code and JetBrains run what these say; rcc reads the last.
pub(super) const LOADED: [(&str, Missing); 6] = [
    (".claude", Missing::Directory),
    (".mcp.json", Missing::File("{\"mcpServers\":{}}\n")),
    (".envrc", Missing::File("")),
    (".vscode", Missing::Directory),
    (".idea", Missing::Directory),
    (".rcc.toml", Missing::File("")),
];

/// Likewise, but too rare to make placeholders for: other agents, editors, hook runners.
pub(super) const RARE: [&str; 8] =
    [".cursor", ".codex", ".gemini", ".zed", ".devcontainer", ".devcontainer.json", ".husky", ".nvim.lua"];

/// In a git directory (gitrepository-layout(5)). `commondir` would make git read configuration
/// and hooks from another directory; "." means this one.
const GIT: [(&str, Missing); 4] = [
    ("hooks", Missing::Directory),
    ("config", Missing::File("")),
    ("config.worktree", Missing::File("")),
    ("commondir", Missing::File(".\n")),
];

/// In the git directory of a linked work tree.
pub(super) const GIT_LINKED: [(&str, Missing); 3] =
    [("commondir", Missing::Ignore), ("gitdir", Missing::Ignore), ("config.worktree", Missing::File(""))];

/// Submodules' names have slashes; this many directories deep they are looked for.
const MODULE_DEPTH: usize = 6;

/// The protected parts of one directory. Paths are relative to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// The project, or its repository where that lies outside.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub root: PathBuf,
    /// Cannot be renamed or removed. Innermost first.
    #[serde(serialize_with = "crate::shown::all_lossy")]
    pub pins: Vec<PathBuf>,
    /// Cannot be changed, renamed or removed.
    #[serde(serialize_with = "crate::shown::all_lossy")]
    pub read_only: Vec<PathBuf>,
    /// Those of `read_only` that do not exist yet.
    pub placeholders: Vec<Placeholder>,
    /// Appear with another content.
    pub substitutes: Vec<Substitute>,
}

/// A file that appears with another content than the host's, read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Substitute {
    /// Relative to its guard's root.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub path: PathBuf,
    /// The content.
    pub text: String,
}

/// Why the protected paths cannot be protected. Nothing starts.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// An unexpected failure.
    #[error("cannot {action} {}: {source}; or let the agent write it: add it to `writable` in your own configuration",
            path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Whoever lives there may still write.
    #[error(
        "the sandbox's processes have not ended, so what protects {} from them stays there: empty files and \
         directories, which go at the end of the next run in that project", root.display()
    )]
    Inhabited {
        /// The protected directory.
        root: PathBuf,
    },
    /// A link that the agent could make mean something else.
    #[error("{} is protected, but {reason}; remove the link, or put what it names in its place", path.display())]
    Link {
        /// The protected path.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A second name through which a protected file could be written.
    #[error(
        "{} is protected, but the same file has another name (hard link) through which it could be changed; \
         make it a file of its own: cp -p FILE FILE.new && mv FILE.new FILE", path.display()
    )]
    HardLink {
        /// The protected file.
        path: PathBuf,
    },
}

/// Something to be made where nothing is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placeholder {
    /// Relative to its guard's root.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub path: PathBuf,
    /// The content of a file; `None` is an empty directory.
    pub text: Option<String>,
}

/// What kind of thing is protected at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    /// Directories there are left writable.
    File,
}

pub(super) struct Planner<'a> {
    root: &'a Path,
    project: &'a Project,
    writable: &'a [String],
    masks: &'a [Mask],
    pins: BTreeSet<PathBuf>,
    read_only: BTreeSet<PathBuf>,
    placeholders: Vec<Placeholder>,
    /// Whether what is missing gets a placeholder.
    complete: bool,
}

impl<'a> Planner<'a> {
    pub(super) fn new(root: &'a Path, project: &'a Project, writable: &'a [String], masks: &'a [Mask]) -> Self {
        let (pins, read_only) = (BTreeSet::new(), BTreeSet::new());
        Self { root, project, writable, masks, pins, read_only, placeholders: Vec::new(), complete: true }
    }

    /// Protects only what exists.
    pub(super) fn existing_only(self) -> Self {
        Self { complete: false, ..self }
    }

    /// Whether a path needs no protection: the user lets the agent write it, or it is hidden.
    fn is_free(&self, path: &Path) -> bool {
        let inside = self.root == self.project.root;
        let written = |entry: &String| path.starts_with(entry.trim_matches('/')) && !entry.trim_matches('/').is_empty();
        inside && self.writable.iter().any(written) || self.masks.iter().any(|mask| path.starts_with(&mask.path))
    }

    pub(super) fn names(&mut self, directory: &Path, missing: fn(Missing) -> Missing) -> Result<(), HandoverError> {
        for (name, when_missing) in LOADED {
            self.protect(&directory.join(name), missing(when_missing), Kind::Any)?;
        }
        RARE.iter().try_for_each(|name| self.protect(&directory.join(name), Missing::Ignore, Kind::Any))
    }

    pub(super) fn parts(&mut self, directory: &Path, parts: &[(&str, Missing)]) -> Result<(), HandoverError> {
        parts.iter().try_for_each(|(name, missing)| self.protect(&directory.join(name), *missing, Kind::Any))
    }

    /// A git directory, its configuration's files, its submodules and work trees. `top` is the
    /// top of its work tree.
    pub(super) fn repository(&mut self, directory: &Path, top: &Path) -> Result<(), HandoverError> {
        if self.is_free(directory) {
            return Ok(());
        }
        self.pin(directory);
        self.parts(directory, &GIT)?;
        self.redirects(directory, top)?;
        self.modules(&directory.join("modules"), MODULE_DEPTH)?;
        for name in self.directories(&directory.join("worktrees"))? {
            let linked = directory.join("worktrees").join(name);
            if self.is_own(&linked) {
                self.parts(&linked, &GIT_LINKED)?;
            } else {
                self.protect(&linked, Missing::Ignore, Kind::Any)?;
            }
        }
        Ok(())
    }

    /// Whether the linked work tree of this git directory is the project or inside of it.
    fn is_own(&self, linked: &Path) -> bool {
        if let Git::Outside { private: Some(private), .. } = &self.project.git
            && self.root != self.project.root
        {
            return private == linked;
        }
        let directory = self.root.join(linked);
        let Ok(named) = git::pointer(&directory.join("gitdir"), "") else { return false };
        std::fs::canonicalize(directory.join(named)).is_ok_and(|named| named.starts_with(&self.project.root))
    }

    fn modules(&mut self, directory: &Path, depth: usize) -> Result<(), HandoverError> {
        for name in self.directories(directory)? {
            let module = directory.join(name);
            if self.root.join(&module).join("HEAD").exists() {
                self.repository(&module, &module)?;
            } else if depth > 0 {
                self.modules(&module, depth - 1)?;
            }
        }
        Ok(())
    }

    /// Names of the directories in a directory, which may be missing.
    fn directories(&self, directory: &Path) -> Result<Vec<PathBuf>, HandoverError> {
        let path = self.root.join(directory);
        let failed = |source| HandoverError::Io { action: "list", path: path.clone(), source };
        let entries = match std::fs::read_dir(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                names.push(entry.file_name().into());
            }
        }
        Ok(names)
    }

    /// Files and directories of the project that a repository's configuration makes git use.
    fn redirects(&mut self, directory: &Path, top: &Path) -> Result<(), HandoverError> {
        for file in ["config", "config.worktree"] {
            // Missing, or refused later by `protect`.
            let Ok(config) = Config::read(&self.root.join(directory).join(file)) else { continue };
            let hooks = config.all("core.hookspath").map(|path| (path, top, Missing::Directory));
            let files = ["include.path", "includeif.path"].into_iter().flat_map(|key| config.all(key));
            let files = files.map(|path| (path, directory, Missing::File("")));
            for (path, base, missing) in hooks.chain(files) {
                let path = match path.strip_prefix("~/") {
                    Some(below) => self.project.home.join(below),
                    None => self.root.join(base).join(path),
                };
                if let Ok(relative) = normal(&path).strip_prefix(self.root)
                    && !relative.as_os_str().is_empty()
                {
                    self.protect_deep(relative, missing)?;
                }
            }
        }
        Ok(())
    }

    /// [`Self::protect`], where directories above may be missing as well: then the first missing
    /// one is protected.
    fn protect_deep(&mut self, path: &Path, missing: Missing) -> Result<(), HandoverError> {
        let mut above: Vec<&Path> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        above.reverse();
        let first = above.into_iter().find(|path| std::fs::symlink_metadata(self.root.join(path)).is_err());
        match first {
            Some(first) if first != path => self.protect(first, Missing::Directory, Kind::Any),
            _ => self.protect(path, missing, Kind::Any),
        }
    }

    /// A repository below the project's own: a submodule, a clone, a work tree, a bare one.
    pub(super) fn nested(&mut self, git: &Path) -> Result<(), HandoverError> {
        if git.file_name() != Some(".git".as_ref()) {
            // Bare, mostly a test's fixture: nothing is added to it.
            let complete = std::mem::replace(&mut self.complete, false);
            let protected = self.repository(git, git);
            self.complete = complete;
            return protected;
        }
        let top = git.parent().unwrap_or(Path::new(""));
        self.names(top, |_| Missing::Ignore)?;
        if self.root.join(git).symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return self.repository(git, top);
        }
        self.protect(git, Missing::Ignore, Kind::Any)?;
        // What is no pointer, or to nowhere, is nothing to git either.
        let Ok(named) = git::pointer(&self.root.join(git), "gitdir: ") else { return Ok(()) };
        let Ok(named) = std::fs::canonicalize(self.root.join(top).join(named)) else { return Ok(()) };
        match named.strip_prefix(self.root) {
            // Below a git directory it is found as a module or a work tree.
            Ok(inside) if !inside.components().any(|part| part.as_os_str() == ".git") => self.repository(inside, top),
            _ => Ok(()),
        }
    }

    pub(super) fn protect(&mut self, path: &Path, missing: Missing, kind: Kind) -> Result<(), HandoverError> {
        let full = self.root.join(path);
        if self.is_free(path) {
            return Ok(());
        }
        let metadata = match std::fs::symlink_metadata(&full) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.missing(path, missing),
            metadata => {
                metadata.map_err(|source| HandoverError::Io { action: "inspect", path: full.clone(), source })?
            }
        };
        let above = path.parent().unwrap_or(Path::new(""));
        if std::fs::canonicalize(self.root.join(above)).ok() != Some(self.root.join(above)) {
            return Err(HandoverError::Link { path: full, reason: "a directory above it is a symbolic link" });
        }
        if metadata.is_symlink() {
            return self.link(path, &full);
        }
        if metadata.is_dir() && kind == Kind::File {
            return Ok(());
        }
        check_names(&full, &metadata, 2)?;
        self.read_only.insert(path.to_owned());
        Ok(())
    }

    fn missing(&mut self, path: &Path, missing: Missing) -> Result<(), HandoverError> {
        let text = match missing {
            Missing::Ignore => return Ok(()),
            Missing::Directory => None,
            Missing::File(text) => Some(text.to_owned()),
        };
        if !self.complete {
            return Ok(());
        }
        if self.read_only.insert(path.to_owned()) {
            self.placeholders.push(Placeholder { path: path.to_owned(), text });
        }
        Ok(())
    }

    /// A link is pinned; what it names is protected in its place where it is in the project.
    fn link(&mut self, path: &Path, full: &Path) -> Result<(), HandoverError> {
        let refuse = |reason| HandoverError::Link { path: full.to_owned(), reason };
        let failed = |source| HandoverError::Io { action: "read the link", path: full.to_owned(), source };
        let target = std::fs::read_link(full).map_err(failed)?;
        let written = normal(&full.parent().unwrap_or(full).join(target));
        let real = std::fs::canonicalize(full).map_err(|_| refuse("it is a symbolic link that names nothing"))?;
        if written.starts_with(&self.project.root) && written != real {
            return Err(refuse("it is a symbolic link that leads over another one in the project"));
        }
        self.pin(path);
        match real.strip_prefix(self.root) {
            Ok(inside) if inside.as_os_str().is_empty() => Err(refuse("it is a symbolic link to the project itself")),
            Ok(inside) => self.protect(inside, Missing::Ignore, Kind::Any),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn pin(&mut self, path: &Path) {
        self.pins.insert(path.to_owned());
    }

    pub(super) fn finish(self) -> Guard {
        let covered = |path: &Path| path.ancestors().skip(1).any(|above| self.read_only.contains(above));
        let read_only: Vec<PathBuf> = self.read_only.iter().filter(|path| !covered(path)).cloned().collect();
        let above = read_only.iter().chain(&self.pins).flat_map(|path| path.ancestors().skip(1));
        let pins: BTreeSet<&Path> = above.chain(self.pins.iter().map(PathBuf::as_path)).collect();
        // Innermost first: a pin hides what is below it from the next.
        let pins = pins.into_iter().rev().filter(|path| !path.as_os_str().is_empty() && !covered(path));
        let pins = pins.map(Path::to_owned).collect();
        let placeholders = self.placeholders.iter().filter(|missing| !covered(&missing.path)).cloned().collect();
        Guard { root: self.root.to_owned(), pins, read_only, placeholders, substitutes: Vec::new() }
    }
}

/// Removes `.` and `..` from an absolute path by its text alone.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

/// Refuses protected files with other names, down to `depth` directories.
fn check_names(path: &Path, metadata: &std::fs::Metadata, depth: usize) -> Result<(), HandoverError> {
    if metadata.is_file() && metadata.nlink() > 1 {
        return Err(HandoverError::HardLink { path: path.into() });
    }
    if !metadata.is_dir() || depth == 0 {
        return Ok(());
    }
    let failed = |source| HandoverError::Io { action: "list", path: path.into(), source };
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        check_names(&entry.path(), &entry.metadata().map_err(failed)?, depth - 1)?;
    }
    Ok(())
}
