//! What is written together.

use crate::relay::commit::{Commit, Haste};
use crate::relay::event::Event;
use crate::relay::store::Store;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Commits and questions of a turn, and bytes of texts in it: what one wait for the disk is for, at most. While the disk
/// has one batch of long texts, the one before is on its way to its receivers.
const JOBS_MAX: usize = 1024;
const BYTES_MAX: usize = 1 << 20;
/// How long a commit that nobody waits for is held back, so that it is written with one that is in a hurry.
const LAZY: Duration = Duration::from_millis(50);

/// What the thread is asked to do.
pub(super) enum Job {
    /// To write this.
    Commit(Commit),
    /// To ask this.
    Ask(Question),
}

/// A question to the store.
pub(super) type Question = Box<dyn FnOnce(&mut Store) + Send>;

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(commit) => commit.fmt(f),
            Self::Ask(_) => f.write_str("Ask"),
        }
    }
}

/// What is done in one turn.
#[derive(Default)]
pub(super) struct Turn {
    /// What is written.
    pub batch: Vec<Commit>,
    /// What is asked then, about what was written, too. Questions divide no batch: each part would wait for the disk.
    pub questions: Vec<Question>,
    /// Whether nothing comes after it: whoever could commit something has gone.
    pub last: bool,
}

/// Collects what is to be done; nothing if nothing comes for `time`, beyond which nothing is held back either.
pub(super) fn collect(queue: &Receiver<Job>, time: Duration) -> Turn {
    let mut turn = Turn::default();
    let (mut hurry, mut bytes) = (false, 0);
    let mut end = None;
    while turn.batch.len() + turn.questions.len() < JOBS_MAX && bytes < BYTES_MAX {
        let wait = match end {
            None => time,
            Some(_) if hurry => Duration::ZERO,
            Some(end) => Instant::saturating_duration_since(&end, Instant::now()),
        };
        match receive(queue, wait) {
            Ok(Job::Commit(commit)) => {
                hurry |= commit.haste != Haste::Lazy || commit.token.is_some();
                bytes += weight(&commit);
                end.get_or_insert_with(|| Instant::now() + LAZY.min(time));
                turn.batch.push(commit);
            }
            Ok(Job::Ask(question)) => {
                turn.questions.push(question);
                if turn.batch.is_empty() {
                    break;
                }
                hurry = true;
            }
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => {
                turn.last = true;
                break;
            }
        }
    }
    turn
}

fn receive(queue: &Receiver<Job>, wait: Duration) -> Result<Job, RecvTimeoutError> {
    // Does not ask for the time where it is not waited for.
    match queue.try_recv() {
        Err(std::sync::mpsc::TryRecvError::Empty) if !wait.is_zero() => queue.recv_timeout(wait),
        Err(std::sync::mpsc::TryRecvError::Empty) => Err(RecvTimeoutError::Timeout),
        Err(std::sync::mpsc::TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
        Ok(job) => Ok(job),
    }
}

/// Bytes of what is long in a commit.
fn weight(commit: &Commit) -> usize {
    let text = |event: &Event| match event {
        Event::Accepted { message, .. } => message.text.len(),
        Event::Scheduled(schedule) => schedule.text.len(),
        _ => 0,
    };
    commit.events.iter().map(text).sum()
}
