//! The worktables of all groups. Documents are written by the writer's thread, which waits for the disk anyway; the
//! loop waits only where it makes a directory.

use super::super::hub::{Answer, Work};
use super::super::name::GroupName;
use super::super::wire::answer;
use super::super::wire::{Reason, Refusal};
use super::super::worktable::{Quota, Worktable, WorktableError};
use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The worktables, each opened when it is first needed.
pub(super) struct Worktables {
    root: PathBuf,
    open: Mutex<HashMap<GroupName, Worktable>>,
}

impl Worktables {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, open: Mutex::default() }
    }

    /// The directory of a group's worktable, which is there then.
    pub(super) fn directory(&self, group: &GroupName) -> Result<answer::Worktable, Refusal> {
        self.with(group, |_| Ok(()))?;
        Ok(answer::Worktable { name: group.clone(), directory: self.root.join(group.as_str()) })
    }

    /// Does what was asked.
    pub(super) fn perform(&self, work: Work) -> Answer {
        let Work { group, name, text } = work;
        let done = self.with(&group, |table| match text {
            Some(text) => table.put(&name, text.as_bytes(), Quota::default()),
            None => table.remove(&name),
        });
        done.map_or_else(Answer::Failed, Answer::Document)
    }

    fn with<T>(
        &self,
        group: &GroupName,
        act: impl FnOnce(&mut Worktable) -> Result<T, WorktableError>,
    ) -> Result<T, Refusal> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.contains_key(group) {
            // The relay's own state is private already, and so is what is made in it.
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root);
            made.map_err(|error| storage(&format_args!("cannot create {}: {error}", self.root.display())))?;
            let table = Worktable::open(&self.root.join(group.as_str())).map_err(|error| refusal(&error))?;
            open.insert(group.clone(), table);
        }
        match open.get_mut(group) {
            Some(table) => act(table).map_err(|error| refusal(&error)),
            None => Err(Refusal::new(Reason::Storage, "the worktable is gone")),
        }
    }
}

/// For a client, who learns no path of the host's.
fn refusal(error: &WorktableError) -> Refusal {
    match error {
        WorktableError::Bytes { .. } | WorktableError::Documents { .. } => {
            Refusal::new(Reason::Quota, error.to_string())
        }
        WorktableError::NoSuch { .. } => Refusal::new(Reason::NotFound, error.to_string()),
        WorktableError::Untrusted { .. } | WorktableError::File { .. } => storage(error),
    }
}

fn storage(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!("{error}");
    Refusal::new(Reason::Storage, "the worktable cannot be written: the relay's log says why")
}
