//! What the mirror knows of an update.

use super::ServeError;
use super::command::{self, Git};
use crate::plugin::git::rules::{Commit, Facts, Update};
use std::collections::HashMap;
use std::path::Path;

/// Commits of one update that are looked at. More are pushed in parts.
const COMMITS_MAX: usize = 10_000;
/// What separates the parts of a commit, and ends it: a commit has no NUL (receive.fsck.nulInCommit).
const FORMAT: &str = "--format=%H%x00%an <%ae>%x00%cn <%ce>%x00%B%x00";

/// The mirror as the hook sees it.
pub(super) struct State<'a> {
    pub(super) git: &'a Git,
    pub(super) repository: &'a Path,
}

impl State<'_> {
    /// The branches and tags of the upstream.
    pub(super) fn refs(&self) -> Result<HashMap<String, String>, ServeError> {
        let listed =
            command::output(self.git.at(self.repository).args(["for-each-ref", "--format=%(objectname) %(refname)"]))?;
        let listed = listed.map_err(|said| ServeError::Upstream {
            attempt: "list the mirror",
            upstream: self.repository.display().to_string(),
            reason: said.reason(),
        })?;
        let listed = String::from_utf8_lossy(&listed);
        let line = |line: &str| line.split_once(' ').map(|(id, name)| (name.to_owned(), id.to_owned()));
        Ok(listed.lines().filter_map(line).collect())
    }

    /// What there is to know of an update, or why it cannot be known.
    pub(super) fn facts(&self, update: &Update, with_commits: bool) -> Result<Result<Facts, String>, ServeError> {
        let Some(new) = &update.new else { return Ok(Ok(Facts::default())) };
        let kind = self.ask(&["cat-file", "-t", new])?;
        let is_commit = kind.as_deref().is_some_and(|kind| kind.trim_ascii_end() == b"commit");
        let is_fast_forward = match &update.old {
            Some(old) => self.ask(&["merge-base", "--is-ancestor", old, new])?.is_some(),
            None => true,
        };
        let commits = if with_commits { self.commits(new)? } else { Ok(Vec::new()) };
        Ok(commits.map(|commits| Facts { is_commit, is_fast_forward, commits }))
    }

    /// The commits below an object that no branch and no tag of the upstream has.
    fn commits(&self, new: &str) -> Result<Result<Vec<Commit>, String>, ServeError> {
        let most = format!("--max-count={}", COMMITS_MAX + 1);
        let arguments =
            ["log", "--no-show-signature", "--no-mailmap", "--encoding=UTF-8", &most, FORMAT, new, "--not", "--all"];
        let Some(listed) = self.ask(&arguments)? else {
            return Ok(Err("its commits cannot be listed, or are too long".to_owned()));
        };
        let text = String::from_utf8_lossy(&listed);
        let parts: Vec<&str> = text.split('\0').collect();
        // Four of each commit, and what is after the last.
        if parts.len() % 4 != 1 {
            return Ok(Err("its commits have a NUL in them".to_owned()));
        }
        let commit = |part: &[&str]| Commit {
            id: part[0].trim_start().to_owned(),
            author: part[1].to_owned(),
            committer: part[2].to_owned(),
            message: part[3].to_owned(),
        };
        let commits: Vec<Commit> = parts.chunks_exact(4).map(commit).collect();
        if commits.len() > COMMITS_MAX {
            return Ok(Err(format!("it has more than {COMMITS_MAX} new commits: push it in parts")));
        }
        Ok(Ok(commits))
    }

    /// What git prints; nothing where it fails.
    fn ask(&self, arguments: &[&str]) -> Result<Option<Vec<u8>>, ServeError> {
        Ok(command::output(self.git.at(self.repository).args(arguments))?.ok())
    }
}
