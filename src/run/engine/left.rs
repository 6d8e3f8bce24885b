//! What launchers left that were killed.

use super::files::DIRECTORY;
use super::find;
use crate::facts::Facts;
use crate::runtime::choice::EngineName;
use crate::runtime::engine::contract::Ours;
use crate::session::Record;
use crate::settings::Timeouts;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A run whose launcher is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The sandbox's name.
    pub session: String,
    /// Its containers that are still there; `None` if the engine does not tell.
    pub containers: Option<Vec<String>>,
}

/// Those of these directories: a launcher removes its files when it ends. The engine is asked only if there are any,
/// since that may take a second.
pub fn left(runtime_dir: &Path, running: &[Record], facts: &Facts) -> Vec<Left> {
    let entries = std::fs::read_dir(runtime_dir.join(DIRECTORY)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut sessions: Vec<String> = names.filter(|name| !running.iter().any(|record| record.id == *name)).collect();
    sessions.sort();
    if sessions.is_empty() {
        return Vec::new();
    }
    let containers = containers(runtime_dir, facts);
    let of = |session: &String| {
        let all = containers.as_ref()?;
        Some(all.iter().filter(|(of, _)| of == session).map(|(_, id)| id.clone()).collect())
    };
    sessions.iter().map(|session| Left { session: session.clone(), containers: of(session) }).collect()
}

/// Sessions and their containers, of the engines that answer; `None` if none does.
fn containers(runtime_dir: &Path, facts: &Facts) -> Option<Vec<(String, String)>> {
    let directory = made_in(runtime_dir)?;
    let ours = |name| {
        find(name, facts, &directory, Timeouts::default()).ok().and_then(|(engine, _service)| engine.ours().ok())
    };
    let listed: Vec<_> = [EngineName::Podman, EngineName::Docker].into_iter().filter_map(ours).collect();
    let _ = std::fs::remove_dir_all(&directory);
    let here = |ours: &Ours| Path::new(&ours.runtime_dir) == runtime_dir;
    let containers = || listed.iter().flatten().filter(|ours| here(ours));
    (!listed.is_empty()).then(|| containers().map(|ours| (ours.session.clone(), ours.id.clone())).collect())
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
