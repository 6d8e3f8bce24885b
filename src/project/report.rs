//! What a run changed of the things that the host later executes or loads by itself.
//!
//! Protected paths cannot change inside; but repositories and configuration in new places can be
//! made, and git runs what they say as soon as somebody looks there (`git status` enters nested
//! repositories, and takes any directory with HEAD, objects and refs for one). The change time
//! decides: unlike the modification time it can only be set by setting the clock.

use super::guard::{LOADED, RARE};
use super::{Git, Project, git};
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use walkdir::{DirEntry, WalkDir};

/// Something to look at before trusting the project again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Relative to the project. For a terminal, pass it through `shown::terminal`.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub path: PathBuf,
    /// Who acts on it.
    pub why: &'static str,
}

/// What was found in the time that there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Sorted by path; at most [`MAX_CHANGES`].
    pub changes: Vec<Change>,
    /// Whether time or room ran out, or a directory could not be read: there may be more.
    pub incomplete: bool,
}

/// More than anybody reads.
pub const MAX_CHANGES: usize = 50;
/// A user who has left the agent waits this long for the prompt at most.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Files that a git directory executes or is led by; see `handover`. A rebase's to-do list may
/// hold `exec` lines, which `git rebase --continue` runs.
const GIT_PARTS: [&str; 8] = [
    "config",
    "config.worktree",
    "commondir",
    "gitdir",
    "hooks",
    "rebase-merge/git-rebase-todo",
    "rebase-merge/git-rebase-todo.backup",
    "sequencer/todo",
];

/// Hook runners' files: once installed as a git hook, they run what these say.
const HOOK_FILES: [&str; 4] = [".pre-commit-config.yaml", ".pre-commit-config.yml", "lefthook.yml", ".lefthook.yml"];

/// Lists what changed since `since`, the time when the sandbox was started. To be called after
/// `Handover::finish`, or the placeholders of this very run are in the list; those that another
/// sandbox still needs are in it.
pub fn changes(project: &Project, since: SystemTime) -> Report {
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut search = Search { project, since, until: Instant::now() + MAX_TIME, report: Report::default() };
    search.project();
    if let Git::Outside { common, .. } = &project.git {
        search.git_directory(common);
    }
    search.report.changes.sort();
    search.report.changes.dedup();
    search.report
}

struct Search<'a> {
    project: &'a Project,
    /// Since the epoch.
    since: Duration,
    until: Instant,
    report: Report,
}

impl Search<'_> {
    fn project(&mut self) {
        let mut walk = WalkDir::new(&self.project.root).min_depth(1).into_iter();
        while let Some(entry) = walk.next() {
            if self.exhausted() {
                return;
            }
            let Ok(entry) = entry else {
                self.report.incomplete = true;
                continue;
            };
            if self.entry(&entry) {
                walk.skip_current_dir();
            }
        }
    }

    fn exhausted(&mut self) -> bool {
        let exhausted = Instant::now() > self.until || self.report.changes.len() >= MAX_CHANGES;
        self.report.incomplete |= exhausted;
        exhausted
    }

    /// Whether a directory was dealt with as a whole.
    fn entry(&mut self, entry: &DirEntry) -> bool {
        let (path, directory) = (entry.path(), entry.file_type().is_dir());
        let Some(name) = entry.file_name().to_str() else { return false };
        if name == ".git" {
            self.git(path, directory);
            return directory;
        }
        // git finds bare repositories by these three.
        if name == "HEAD" && !directory {
            let top = path.parent().unwrap_or(path);
            if git::is_git_directory(top) {
                self.git_directory(top);
            }
        } else if LOADED.iter().any(|(loaded, _)| *loaded == name) || RARE.contains(&name) {
            self.below(path, "an editor, a shell or an agent on the host loads it");
            return directory;
        } else if HOOK_FILES.contains(&name) {
            self.one(path, "git hooks on the host run what it says");
        }
        false
    }

    fn git(&mut self, path: &Path, directory: bool) {
        if directory {
            self.git_directory(path);
        } else {
            self.one(path, "git on the host follows it to another repository");
        }
    }

    fn git_directory(&mut self, directory: &Path) {
        for part in GIT_PARTS {
            self.below(&directory.join(part), "git on the host executes or follows it");
        }
        for (below, depth) in [("modules", 8), ("worktrees", 2)] {
            let walk = WalkDir::new(directory.join(below)).max_depth(depth).into_iter();
            for entry in walk.filter_entry(|entry| entry.file_name() != "objects").flatten() {
                if self.exhausted() {
                    return;
                }
                let parts = ["config", "config.worktree", "commondir", "gitdir", "hooks"];
                if entry.file_name().to_str().is_some_and(|name| parts.contains(&name)) {
                    self.below(entry.path(), "git on the host executes or follows it");
                }
            }
        }
    }

    /// A file, or the files in a directory, for as long as there is time.
    fn below(&mut self, path: &Path, why: &'static str) {
        for entry in WalkDir::new(path).into_iter().flatten() {
            if self.exhausted() {
                return;
            }
            // What `git init` puts into hooks/ is executed under another name only (githooks(5)).
            let sample = entry.path().extension().is_some_and(|extension| extension == "sample");
            if !entry.file_type().is_dir() && !sample {
                self.one(entry.path(), why);
            }
        }
    }

    fn one(&mut self, path: &Path, why: &'static str) {
        let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
        let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
        let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
        // The kernel's coarse clock may lag by a tick of 10 ms behind the precise one.
        let changed = Duration::new(seconds, nanoseconds) + Duration::from_millis(10) >= self.since;
        if changed {
            let path = self.project.relative(path).unwrap_or(path).to_owned();
            self.report.changes.push(Change { path, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct World {
        _dir: tempfile::TempDir,
        project: Project,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let project = Project { root: root.clone(), cwd: root.clone(), git: Git::None, home: root };
        World { _dir: dir, project }
    }

    impl World {
        fn write(&self, path: &str) {
            let path = self.project.root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        fn changed(&self, since: SystemTime) -> Vec<String> {
            changes(&self.project, since).changes.iter().map(|change| change.path.display().to_string()).collect()
        }
    }

    #[test]
    fn what_the_host_would_execute_is_listed_wherever_it_is() {
        let world = world();
        let paths = [
            ".git/config",
            ".git/hooks/post-checkout",
            "a/.envrc",
            "a/b/.vscode/tasks.json",
            "bare/config",
            "sub/.git",
            ".git/modules/x/y/config",
            ".git/rebase-merge/git-rebase-todo",
            ".pre-commit-config.yaml",
        ];
        for path in paths {
            world.write(path);
        }
        for path in
            ["bare/HEAD", "bare/objects/x", "bare/refs/x", "src/main.rs", "Makefile", "config", ".git/objects/config"]
        {
            world.write(path);
        }
        let mut expected = paths.map(str::to_owned);
        expected.sort();
        let mut changed = world.changed(SystemTime::now() - Duration::from_secs(60));
        changed.sort();
        assert_eq!(changed, expected);
    }

    #[test]
    fn what_was_there_before_is_not_listed_even_if_its_times_say_otherwise() {
        let world = world();
        world.write(".envrc");
        assert_eq!(world.changed(SystemTime::now() + Duration::from_secs(60)), Vec::<String>::new());
        let past = SystemTime::now() - Duration::from_secs(30);
        let old = fs::File::open(world.project.root.join(".envrc")).unwrap();
        old.set_modified(UNIX_EPOCH).unwrap();
        assert_eq!(world.changed(past), [".envrc"], "a forged modification time hides nothing");
    }

    #[test]
    fn a_flood_of_changes_is_cut() {
        let world = world();
        for number in 0..60 {
            world.write(&format!("{number}/.envrc"));
        }
        let report = changes(&world.project, UNIX_EPOCH);
        assert_eq!((report.changes.len(), report.incomplete), (MAX_CHANGES, true));
    }
}
