//! The journal's thread: writes all that is queued at once, waits for the disk, and tells whoever waits.

use crate::journal::{Journal, JournalError, Sizes};
use crate::moment::Moment;
use crate::plugin::event::{Event, old_before};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Bytes of a batch after which it is written, though more is queued.
const BATCH: usize = 4 << 20;

/// There is no journal.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Its directory.
    #[error("cannot make {}, where the plugins' journal is: {source}", crate::shown::terminal(path))]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The journal itself.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The thread.
    #[error("cannot start the thread that writes the plugins' journal: {0}")]
    Thread(#[source] io::Error),
}

/// An event was not recorded, and what it is about must not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is done that cannot be recorded: {0}")]
pub struct Unrecorded(String);

/// The journal, as the broker sees it.
#[derive(Debug)]
pub struct Audit {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Job {
    event: Event,
    told: Option<oneshot::Sender<Result<(), Unrecorded>>>,
}

impl Audit {
    /// Opens the journal in this directory, mends its end after a crash, and starts the thread.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn start(directory: &Path) -> Result<Self, AuditError> {
        if let Some(parent) = directory.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(|source| AuditError::Directory { path: parent.to_owned(), source })?;
        }
        let (journal, mended) = Journal::open::<Event>(directory, Sizes::default())?;
        let (jobs, queue) = channel();
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || Scribe { journal }.run(&queue));
        let audit = Self { jobs, thread: thread.map_err(AuditError::Thread)? };
        for what in mended {
            tracing::warn!("{what}");
            audit.note(Event::Mended { what });
        }
        Ok(audit)
    }

    /// Records an event, and returns when it is on the disk.
    ///
    /// # Errors
    /// If it is not.
    pub async fn record(&self, event: Event) -> Result<(), Unrecorded> {
        let (told, outcome) = oneshot::channel();
        let gone = || Unrecorded("the thread that writes the journal has ended: start the broker again".to_owned());
        self.jobs.send(Job { event, told: Some(told) }).map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }

    /// Records an event of something that has happened, with the next that somebody waits for or a moment later.
    pub fn note(&self, event: Event) {
        if self.jobs.send(Job { event, told: None }).is_err() {
            tracing::error!("the thread that writes the journal has ended: start the broker again");
        }
    }

    /// Writes what is queued, and ends the thread.
    pub fn finish(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes the journal has panicked");
        }
    }
}

struct Scribe {
    journal: Journal,
}

impl Scribe {
    fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut waiting = Vec::new();
            self.journal.begin(Moment::now());
            let mut next = Some(first);
            while let Some(Job { event, told }) = next.take() {
                match (self.journal.stage(&[event]), told) {
                    (Ok(()), told) => waiting.extend(told),
                    (Err(error), Some(told)) => drop(told.send(Err(Unrecorded(error.to_string())))),
                    (Err(error), None) => tracing::error!("{error}"),
                }
                if self.journal.staged() < BATCH {
                    next = queue.try_recv().ok();
                }
            }
            self.write(waiting);
        }
        // What nobody waited for.
        self.journal.begin(Moment::now());
        if let Err(error) = self.journal.write(true) {
            tracing::error!("{error}");
        }
    }

    fn write(&mut self, waiting: Vec<oneshot::Sender<Result<(), Unrecorded>>>) {
        let written = self.journal.write(!waiting.is_empty());
        if let Err(error) = &written {
            tracing::error!("{error}");
        }
        let rotated = written.as_ref().is_ok_and(|written| written.rotated);
        let outcome = written.map(drop).map_err(|error| Unrecorded(error.to_string()));
        for told in waiting {
            // Who has gone meanwhile wants no answer.
            let _ = told.send(outcome.clone());
        }
        if rotated {
            self.prune();
        }
    }

    /// Removes what is older than the journal is kept. That it was removed is on record first.
    fn prune(&mut self) {
        let now = Moment::now();
        let Some(old) = self.journal.old(old_before(now), None) else { return };
        self.journal.begin(now);
        let staged = self.journal.stage(&[Event::Pruned { first: old.first, last: old.last }]);
        let written = staged.map_err(|error| error.to_string());
        let written = written.and_then(|()| self.journal.write(true).map_err(|error| error.to_string()));
        let removed = written.and_then(|_| self.journal.remove(&old).map_err(|error| error.to_string()));
        if let Err(error) = removed {
            tracing::warn!("old entries of the plugins' journal stay: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::verify;

    fn closed(session: &str) -> Event {
        Event::Closed { session: session.to_owned() }
    }

    #[tokio::test]
    async fn what_is_recorded_is_on_the_disk_and_chained() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugins/audit");
        let audit = Audit::start(&path).unwrap();
        audit.note(closed("a"));
        audit.record(closed("b")).await.unwrap();
        let report = verify::<Event>(&path, None).unwrap();
        assert_eq!((report.entries, report.faults.as_slice()), (2, &[][..]));
        audit.note(closed("c"));
        audit.finish();
        let again = Audit::start(&path).unwrap();
        again.record(closed("d")).await.unwrap();
        assert_eq!(verify::<Event>(&path, None).unwrap().entries, 4);
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugins/audit");
        let audit = Audit::start(&path).unwrap();
        let long = crate::journal::LINE_MAX;
        assert!(audit.record(closed(&"x".repeat(long))).await.is_err());
        audit.record(closed("after")).await.unwrap();
        assert_eq!(verify::<Event>(&path, None).unwrap().entries, 1);
    }
}
