//! What launchers left that were killed.

use super::files::{DIRECTORY, Files};
use super::find;
use crate::facts::Facts;
use crate::runtime::choice::EngineName;
use crate::runtime::engine::contract::Ours;
use crate::session::Record;
use crate::settings::Timeouts;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A run whose launcher is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The sandbox's name.
    pub session: String,
    /// Its containers that are still there; `None` if the engine does not tell.
    pub containers: Option<Vec<String>>,
}

/// How long an engine may take: what it does not tell by then is not known.
const PATIENCE: Duration = Duration::from_secs(5);

/// Those of these directories: a launcher removes its files when it ends. An engine is asked only if there are any of
/// its, since that may take a second.
pub fn left(runtime_dir: &Path, running: &[Record], facts: &Facts) -> Vec<Left> {
    let directory = runtime_dir.join(DIRECTORY);
    let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut sessions: Vec<String> = names.filter(|name| !running.iter().any(|record| record.id == *name)).collect();
    sessions.sort();
    let mut told: Vec<(EngineName, Option<Vec<Ours>>)> = Vec::new();
    let mut of = |session: &String| {
        let name = Files::engine(&directory.join(session))?;
        if !told.iter().any(|(engine, _)| *engine == name) {
            told.push((name, containers(name, runtime_dir, facts)));
        }
        let (_, all) = told.iter().find(|(engine, _)| *engine == name)?;
        let here = |ours: &&Ours| ours.session == *session && Path::new(&ours.runtime_dir) == runtime_dir;
        Some(all.as_ref()?.iter().filter(here).map(|ours| ours.id.clone()).collect())
    };
    sessions.iter().map(|session| Left { session: session.clone(), containers: of(session) }).collect()
}

/// All containers of rcc's that this engine has; `None` if it does not answer.
fn containers(name: EngineName, runtime_dir: &Path, facts: &Facts) -> Option<Vec<Ours>> {
    let directory = made_in(runtime_dir)?;
    let timeouts = Timeouts { start: PATIENCE, engine: PATIENCE, ..Timeouts::default() };
    let listed = find(name, facts, &directory, timeouts).ok().and_then(|(engine, _service)| engine.ours().ok());
    let _ = std::fs::remove_dir_all(&directory);
    listed
}

/// A directory for an engine's service that ends with this process.
fn made_in(runtime_dir: &Path) -> Option<PathBuf> {
    let directory = runtime_dir.join(format!(".status-{}", std::process::id()));
    std::fs::create_dir(&directory).ok()?;
    Some(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::User;

    #[test]
    fn what_runs_has_left_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let facts = Facts {
            user: User { uid: 1, gid: 1, name: "alice".into(), home: "/".into() },
            cwd: "/".into(),
            environment: Default::default(),
            config_dir: dir.path().into(),
            data_dir: dir.path().into(),
        };
        std::fs::create_dir_all(dir.path().join(DIRECTORY).join("api-1")).unwrap();
        let running = Record { id: "api-1".into(), ..Record::default() };
        assert!(left(dir.path(), &[running], &facts).is_empty());
        let found = left(dir.path(), &[], &facts);
        assert_eq!(found.iter().map(|left| left.session.as_str()).collect::<Vec<_>>(), ["api-1"]);
        // Nothing of the question stays.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
