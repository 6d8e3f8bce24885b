//! The one thread that writes: it owns the journal and the store.
//!
//! It takes all that is queued, writes it to the journal in one go and waits once for the disk; then it tells
//! the outcomes, so that receipts leave at once, and only then brings the store up to date. Whoever asks the
//! store something waits in the same queue, and so sees all that was committed before.

mod batch;
mod chores;
mod queue;
#[cfg(test)]
mod tests;

use super::commit::{Commit, Outcome, Remains, Token};
use super::event::Event;
use super::store::{Store, StoreError, restore};
use crate::journal::{Journal, JournalError, Sizes};
use batch::Scribe;
use queue::Job;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where and how a writer writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    /// The store.
    pub store: PathBuf,
    /// The journal's directory.
    pub audit: PathBuf,
    /// How long the journal's entries are kept, and the names of sessions that ended. What still waits is kept
    /// longer.
    pub retention: Duration,
    /// When the journal begins a new file.
    pub sizes: Sizes,
}

/// Why there is no writer.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The directory of its files.
    #[error("cannot make {}, where the relay keeps what lasts: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread.
    #[error("cannot start the thread that writes the relay's journal: {0}")]
    Thread(#[source] io::Error),
}

/// The writer's thread is gone, which it never is before [`Writer::finish`] unless it has panicked: the daemon
/// must end, because nothing is recorded any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread that writes the relay's journal has ended: start the relay again, and report this")]
pub struct Gone;

/// Called from the writer's thread with what became of commits.
pub type Outcomes = Box<dyn Fn(Vec<(Token, Outcome)>) + Send>;

/// The thread, as others see it. Its queue has no bound: what may be queued is for the hub to bound.
#[derive(Debug)]
pub struct Writer {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Opens journal and store, mends what can be mended, and starts the thread. What was mended is on record in the
    /// journal, too.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn start(config: WriterConfig, outcomes: Outcomes) -> Result<(Self, Remains), WriterError> {
        for path in [&config.store, &config.audit].into_iter().filter_map(|path| path.parent()) {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|source| WriterError::Directory { path: path.to_owned(), source })?;
        }
        let (mut journal, mut mended) = Journal::open::<Event>(&config.audit, config.sizes)?;
        let (store, found) = restore(&config.store, &journal)?;
        mended.extend(found);
        record(&mut journal, &mended);
        let mut scribe = Scribe::new(journal, store, outcomes, config.retention);
        scribe.begin()?;
        let remains = Remains { mended, ..scribe.remains()? };
        let (jobs, queue) = channel();
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || scribe.run(&queue));
        let thread = thread.map_err(WriterError::Thread)?;
        Ok((Self { jobs, thread }, remains))
    }

    /// Queues a commit.
    ///
    /// # Errors
    /// If the thread is gone.
    pub fn commit(&self, commit: Commit) -> Result<(), Gone> {
        self.jobs.send(Job::Commit(commit)).map_err(|_| Gone)
    }

    /// Queues a question. It is asked when all that was committed before is in the store, and perhaps more whose
    /// outcomes were told by then; unless the store is out of order: then what it asks fails, or is answered from an
    /// older state.
    ///
    /// # Errors
    /// If the thread is gone.
    pub fn ask(&self, question: impl FnOnce(&mut Store) + Send + 'static) -> Result<(), Gone> {
        self.jobs.send(Job::Ask(Box::new(question))).map_err(|_| Gone)
    }

    /// Writes what is queued, and ends the thread.
    ///
    /// # Errors
    /// If the thread had ended before.
    pub fn finish(self) -> Result<(), Gone> {
        drop(self.jobs);
        self.thread.join().map_err(|_| Gone)
    }
}

/// Puts what was mended on record. If that fails, the first commit fails for the same reason, and says so.
fn record(journal: &mut Journal, mended: &[String]) {
    if mended.is_empty() {
        return;
    }
    journal.begin(crate::moment::Moment::now());
    let events: Vec<Event> = mended.iter().map(|what| Event::Mended { what: what.clone() }).collect();
    let staged = journal.stage(&events).map_err(|error| error.to_string());
    let written = staged.and_then(|()| journal.write(true).map_err(|error| error.to_string()));
    if let Err(error) = written {
        tracing::error!("what was mended in the relay's journal is not on record there: {error}");
    }
}

/// How long to wait until what failed is tried again.
fn soon() -> Option<Duration> {
    Some(Duration::from_secs(1))
}

impl WriterConfig {
    /// The files of a place.
    pub fn at(store: &Path, audit: &Path, retention: Duration) -> Self {
        Self { store: store.to_owned(), audit: audit.to_owned(), retention, sizes: Sizes::default() }
    }
}
