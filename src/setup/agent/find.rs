//! Finds a Claude Code that no agent can have written.

use super::VERSION;
use crate::facts::Facts;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The agent's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Absolute, free of symlinks; the same inside, since it starts itself again by its path.
    pub program: PathBuf,
    /// Host paths that must be visible inside, read-only, each at its own path.
    pub read_only_paths: Vec<PathBuf>,
}

/// The host's own Claude Code, or else the one that `setup --agent claude` installed.
///
/// `project` is the directory that the sandbox may write: nothing in it is trusted, nor what
/// lies in a private home of another sandbox, nor what other users can write.
pub fn find(facts: &Facts, project: &Path) -> Option<Agent> {
    let own = pinned(facts).filter(|path| is_native(path));
    host_candidates(facts)
        .into_iter()
        .filter_map(|candidate| trusted(&candidate, facts, project))
        .chain(own)
        .next()
        .map(Agent::from)
}

/// The program that the caller names, under the same conditions as one that is found.
pub fn named(program: &Path, facts: &Facts, project: &Path) -> Option<Agent> {
    trusted(&facts.cwd.join(program), facts, project).map(Agent::from)
}

impl From<PathBuf> for Agent {
    fn from(program: PathBuf) -> Self {
        Self { read_only_paths: vec![program.clone()], program }
    }
}

/// Where the pinned version is installed.
pub fn pinned(facts: &Facts) -> Option<PathBuf> {
    let installed = versions(facts).join(VERSION).join("claude");
    std::fs::canonicalize(installed).ok()
}

/// The directory of installed versions.
pub fn versions(facts: &Facts) -> PathBuf {
    facts.data_dir.join("agents/claude")
}

/// Where Claude Code's own installers and npm put it, then the directories of `PATH`.
fn host_candidates(facts: &Facts) -> Vec<PathBuf> {
    let home = &facts.user.home;
    let fixed = [".local/bin", ".claude/local", ".claude/local/node_modules/.bin", ".npm-global/bin"];
    let path = facts.environment.get(std::ffi::OsStr::new("PATH")).map(|path| std::env::split_paths(path).collect());
    let path: Vec<PathBuf> = path.unwrap_or_default();
    let directories = path.into_iter().filter(|directory| directory.is_absolute());
    fixed.iter().map(|directory| home.join(directory)).chain(directories).map(|it| it.join("claude")).collect()
}

/// The program behind the candidate, if nobody but root and the user can have put it there.
fn trusted(candidate: &Path, facts: &Facts, project: &Path) -> Option<PathBuf> {
    let program = std::fs::canonicalize(candidate).ok()?;
    // The name counts as well as the file: a link in the project chooses among programs.
    let directory = std::fs::canonicalize(candidate.parent()?).ok()?;
    let agents = facts.data_dir.join("agents");
    let written_inside = |path: &Path| {
        let private = path.starts_with(&facts.data_dir) && !path.starts_with(&agents);
        path.starts_with(project) || private
    };
    let safe = !written_inside(&program) && !written_inside(&directory);
    let guarded = is_guarded(&program, facts) && is_guarded(&directory, facts);
    (safe && guarded && is_runnable(&program)).then_some(program)
}

/// Whether every component is root's or the user's, and writable by no others.
fn is_guarded(path: &Path, facts: &Facts) -> bool {
    path.ancestors().all(|part| {
        std::fs::symlink_metadata(part).is_ok_and(|found| {
            let owned = found.uid() == 0 || found.uid() == facts.user.uid;
            let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
            // A group of the user's own (umask 002) is the user.
            let by_group = found.mode() & 0o020 != 0 && found.gid() != facts.user.gid && found.gid() != 0;
            owned && (sticky || (found.mode() & 0o002 == 0 && !by_group))
        })
    })
}

/// A native program, or whatever the Nix store offers under that name: it is immutable, and
/// visible inside with all that it refers to.
fn is_runnable(program: &Path) -> bool {
    is_native(program) || (program.starts_with("/nix/store") && is_executable(program))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

/// An executable ELF file; elf(5). Claude Code as a script would need a node of the host's.
pub fn is_native(path: &Path) -> bool {
    let mut magic = [0; 4];
    is_executable(path)
        && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && &magic == b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Home {
        _root: tempfile::TempDir,
        path: PathBuf,
        project: PathBuf,
    }

    impl Home {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let path = std::fs::canonicalize(root.path()).unwrap();
            let project = path.join("project");
            std::fs::create_dir(&project).unwrap();
            Self { _root: root, path, project }
        }

        fn program(&self, at: &str, content: &[u8]) -> PathBuf {
            let path = self.path.join(at);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn find(&self, path: &str) -> Option<PathBuf> {
            let facts = fixture::facts(&self.path, &[("PATH", path)]);
            find(&facts, &self.project).map(|agent| agent.program)
        }
    }

    const ELF: &[u8] = b"\x7fELF and more";

    #[test]
    fn the_hosts_program_is_found_behind_its_links() {
        let home = Home::new();
        let real = home.program(".local/share/claude/versions/2.1.330", ELF);
        std::fs::create_dir_all(home.path.join(".local/bin")).unwrap();
        symlink(&real, home.path.join(".local/bin/claude")).unwrap();
        assert_eq!(home.find(""), Some(real));
    }

    #[test]
    fn the_installed_version_is_used_when_the_host_has_a_script_or_nothing() {
        let home = Home::new();
        assert_eq!(home.find(""), None);
        let pinned = home.program(&format!(".local/share/rcc/agents/claude/{VERSION}/claude"), ELF);
        home.program(".local/bin/claude", b"#!/usr/bin/env node\n");
        assert_eq!(home.find(""), Some(pinned));
    }

    #[test]
    fn what_an_agent_can_write_is_not_trusted() {
        let home = Home::new();
        let in_project = home.program("project/bin/claude", ELF);
        home.program(".local/share/rcc/homes/x/.local/bin/claude", ELF);
        let private = home.path.join(".local/share/rcc/homes/x/.local/bin");
        assert_eq!(home.find(&format!("{}/bin:{}:bin:", home.project.display(), private.display())), None);
        std::fs::create_dir_all(home.path.join("bin")).unwrap();
        symlink(&in_project, home.path.join("bin/claude")).unwrap();
        assert_eq!(home.find(home.path.join("bin").to_str().unwrap()), None);
        let good = home.program("good/claude", ELF);
        symlink(home.path.join("good"), home.project.join("link")).unwrap();
        symlink(&good, home.project.join("claude")).unwrap();
        assert_eq!(home.find(home.project.to_str().unwrap()), None);
    }

    #[test]
    fn a_named_program_is_judged_like_a_found_one() {
        let home = Home::new();
        let facts = fixture::facts(&home.path, &[]);
        let named = |path: &Path| named(path, &facts, &home.project).map(|agent| agent.program);
        let good = home.program("elsewhere/agent", ELF);
        assert_eq!(named(&good), Some(good.clone()));
        assert_eq!(named(Path::new("elsewhere/agent")), Some(good));
        assert_eq!(named(&home.program("project/agent", ELF)), None);
        assert_eq!(named(&home.program("elsewhere/script", b"#!/bin/sh\n")), None);
    }

    #[test]
    fn what_others_can_write_is_not_trusted() {
        let home = Home::new();
        let program = home.program("bin/claude", ELF);
        let path = home.path.join("bin");
        std::fs::set_permissions(&program, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(home.find(path.to_str().unwrap()), None);
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(home.find(path.to_str().unwrap()), None);
    }
}
