//! One JSON file for each session, for status lines: they are read often, and nobody has to ask.

use super::super::name::{Moment, SessionName};
use super::core::Core;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Between two times that files are written.
const APART: Duration = Duration::from_secs(1);

/// Keeps the files as the sessions are.
pub(super) async fn keep(core: Rc<Core>) {
    let directory = core.directories.cache();
    // Of sessions that ended while no daemon ran.
    for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
        let _ = std::fs::remove_file(entry.path());
    }
    core.stale.borrow_mut().extend(core.hub().open_sessions());
    loop {
        let stale = std::mem::take(&mut *core.stale.borrow_mut());
        for session in stale {
            if let Err(error) = show(&core, &directory, &session) {
                tracing::warn!(
                    "the status of {session} is not shown in {}: {error}",
                    crate::shown::terminal(&directory)
                );
            }
        }
        tokio::time::sleep(APART).await;
    }
}

fn show(core: &Core, directory: &Path, session: &SessionName) -> io::Result<()> {
    let path = directory.join(format!("{session}.json"));
    let Some(seen) = core.hub().shown(session, Moment::now()) else {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    let draft = directory.join(format!(".{session}"));
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec(&seen)?)?;
    std::fs::rename(draft, path)
}
