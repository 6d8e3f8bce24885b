//! One JSON file for each session, for status lines: they are read often, and nobody has to ask.

use super::super::name::SessionName;
use super::core::Core;
use crate::moment::Moment;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Between two times that files are written.
const APART: Duration = Duration::from_secs(1);

/// What a session's file is to hold; nothing where it is to go.
type Page = (SessionName, Option<Vec<u8>>);

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
        if !stale.is_empty() {
            let pages = stale.into_iter().map(|session| page(&core, session)).collect();
            write(directory.clone(), pages).await;
        }
        tokio::time::sleep(APART).await;
    }
}

fn page(core: &Core, session: SessionName) -> Page {
    let shown = core.hub().shown(&session, Moment::now());
    // Texts and numbers: JSON has a form for each.
    let text = shown.and_then(|shown| serde_json::to_vec(&shown).ok());
    (session, text)
}

/// Not on the loop's thread: where the directory lies on a disk, each file that is replaced waits for it (ext4(5),
/// `auto_da_alloc`), and so would everybody's messages.
async fn write(directory: PathBuf, pages: Vec<Page>) {
    let written = tokio::task::spawn_blocking(move || {
        for (session, text) in pages {
            if let Err(error) = replace(&directory, &session, text.as_deref()) {
                tracing::warn!(
                    "the status of {session} is not shown in {}: {error}",
                    crate::shown::terminal(&directory)
                );
            }
        }
    });
    if let Err(error) = written.await {
        tracing::warn!("the sessions' status is not shown: {error}");
    }
}

fn replace(directory: &Path, session: &SessionName, text: Option<&[u8]>) -> io::Result<()> {
    let path = directory.join(format!("{session}.json"));
    let Some(text) = text else {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    let draft = directory.join(format!(".{session}"));
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text)?;
    std::fs::rename(draft, path)
}
