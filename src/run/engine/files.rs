//! The files of runs, and what runs that crashed have left.

use super::EngineError;
use crate::run::{RunError, host};
use crate::runtime::choice::EngineName;
use crate::runtime::engine::contract::{Engine, Ours};
use crate::session;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where the files of runs are, in the user's runtime directory.
pub(super) const DIRECTORY: &str = "engine";

/// The file with the engine's name.
const ENGINE: &str = "engine";

/// The files of one run, in the user's runtime directory: gone when it ends.
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn make(runtime_dir: &Path, session: &str, engine: EngineName) -> Result<Self, RunError> {
        let dir = runtime_dir.join(DIRECTORY).join(session);
        let made = std::fs::DirBuilder::new().recursive(true).create(&dir);
        let made = made.and_then(|()| std::fs::write(dir.join(ENGINE), engine.as_str()));
        made.map_err(host("make a directory for the container"))?;
        Ok(Self(dir))
    }

    /// Which engine the files in this directory are for.
    pub(super) fn engine(dir: &Path) -> Option<EngineName> {
        let name = std::fs::read_to_string(dir.join(ENGINE)).ok()?;
        [EngineName::Podman, EngineName::Docker].into_iter().find(|engine| engine.as_str() == name)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    /// Where what the first process says before it is heard is written.
    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join("launcher")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A directory without a session is given up when it is older than this: a younger one may be about to have one.
const ABANDONED: Duration = Duration::from_secs(120);

/// Removes the containers and directories of launchers that are gone, of those that keep their sessions here: what
/// others have in another runtime directory may live.
pub(super) fn sweep(engine: &dyn Engine, runtime_dir: &Path) -> Result<(), RunError> {
    let ours = engine.ours().map_err(EngineError::from)?;
    let running = session::list(runtime_dir)?;
    let lives = |session: &str| running.iter().any(|record| record.id == session);
    let here = |ours: &&Ours| Path::new(&ours.runtime_dir) == runtime_dir;
    for orphan in ours.iter().filter(here).filter(|ours| !lives(&ours.session)) {
        if let Err(error) = engine.remove(&orphan.id) {
            tracing::warn!("a container of a sandbox that is gone, {}, cannot be removed: {error}", orphan.session);
        }
    }
    for entry in std::fs::read_dir(runtime_dir.join(DIRECTORY)).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default());
        if age.is_ok_and(|age| age > ABANDONED) && !entry.file_name().to_str().is_some_and(lives) {
            // The next start tries again.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}
