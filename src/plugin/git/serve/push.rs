//! Pushing: git's own receive-pack takes the objects into the mirror, and asks the hook about every ref.

use super::command::{Git, not_started};
use super::mirror::Mirror;
use super::{ServeError, TASK, ended};
use crate::plugin::git::rules::Rules;
use crate::plugin::git::task::Task;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

/// Bytes of memory that a process has for a push's objects, beside its share of packs: a delta of a few bytes can
/// ask for any size.
const MEMORY_MAX: u64 = 2 << 30;

/// The file in the mirror that the hook makes where the upstream took something.
pub(super) fn taken(repository: &Path) -> PathBuf {
    repository.join("rcc-taken")
}

pub(super) fn serve(git: &Git, task: &Task) -> Result<ExitCode, ServeError> {
    Rules::new(&task.rules)?;
    let mirror = Mirror::open(git, task)?;
    let _ = std::fs::remove_file(taken(mirror.repository()));
    mirror.note_packs()?;
    limit_memory();
    let mut command = git.at(mirror.repository());
    command.arg("receive-pack").arg(mirror.repository());
    command.env(TASK, serde_json::to_string(task)?).stdin(Stdio::inherit());
    let status = command.status().map_err(not_started(&command))?;
    let took = std::fs::remove_file(taken(mirror.repository())).is_ok();
    mirror.forget_packs(!took);
    Ok(ended(status))
}

/// For what is started from here on. A lower limit stays.
fn limit_memory() {
    let now = getrlimit(Resource::Data);
    let current = now.current.map_or(MEMORY_MAX, |current| current.min(MEMORY_MAX));
    let _ = setrlimit(Resource::Data, Rlimit { current: Some(current), maximum: now.maximum });
}
