//! Writing one batch.

use super::queue::{Job, collect};
use super::{Outcomes, soon};
use crate::journal::{Journal, JournalError, Unwritable, Written};
use crate::moment::Moment;
use crate::relay::commit::{Commit, Haste, Outcome, Remains, Token};
use crate::relay::event::Event;
use crate::relay::name::{Mailbox, MessageId};
use crate::relay::store::{Clash, Recorded, Store, StoreError};
use crate::relay::wire::{Message, Reason, Refusal};
use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long outcomes that are in no hurry wait for somebody else's turn at the disk: some messages of busy sessions,
/// and less than anybody notices.
const PATIENCE: Duration = Duration::from_millis(2);

/// The thread's own.
pub(super) struct Scribe {
    pub journal: Journal,
    pub store: Store,
    outcomes: Outcomes,
    pub retention: Duration,
    /// Why the store is not where the journal is.
    pub trouble: Option<StoreError>,
    /// When the store was tried last.
    pub tried: Instant,
    /// Whether the last batch could not be written, so that the log says it once.
    ailing: bool,
    /// When there is something to clear up.
    pub chores: Instant,
    /// Outcomes of what is written and not on the disk yet.
    owed: Vec<(Token, Outcome)>,
    /// When those are to be told; of use where there are some.
    due: Instant,
}

/// What becomes of a commit of the batch.
enum Verdict {
    /// It is part of the batch.
    Staged,
    /// It holds a message that is part of the batch already.
    Twin(Box<Message>),
    /// This, whether the batch is written or not.
    Settled(Outcome),
}

impl Scribe {
    pub fn new(journal: Journal, store: Store, outcomes: Outcomes, retention: Duration) -> Self {
        let now = Instant::now();
        let (trouble, ailing, owed) = (None, false, Vec::new());
        Self { journal, store, outcomes, retention, trouble, tried: now, ailing, chores: now, owed, due: now }
    }

    /// What the store holds.
    pub fn remains(&self) -> Result<Remains, StoreError> {
        self.store.remains()
    }

    /// Until nobody can commit anything any more.
    pub fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let turn = collect(queue, self.quiet());
            if !turn.batch.is_empty() {
                self.write(&turn.batch);
            }
            self.mend();
            turn.questions.into_iter().for_each(|question| question(&mut self.store));
            if turn.last {
                break;
            }
            if self.quiet().is_zero() {
                self.settle();
            }
            self.clear_up();
        }
        self.settle();
        let closed = self.store.close();
        closed.unwrap_or_else(|error| tracing::warn!("{error}. At the next boot it is made anew from the journal"));
    }

    /// How long there is nothing to do but what comes.
    fn quiet(&self) -> Duration {
        let due = (!self.owed.is_empty()).then(|| self.due.saturating_duration_since(Instant::now()));
        due.map_or(self.idle(), |due| due.min(self.idle()))
    }

    /// Waits for the disk where an outcome does, and tells it.
    pub fn settle(&mut self) {
        if self.owed.is_empty() {
            return;
        }
        match self.journal.sync() {
            Ok(()) => (self.outcomes)(std::mem::take(&mut self.owed)),
            Err(error) => {
                let refusal = self.refusal(&error);
                self.disown(&refusal);
            }
        }
    }

    /// What is owed may not be on the disk, and never will be for certain.
    fn disown(&mut self, refusal: &Refusal) {
        let owed = std::mem::take(&mut self.owed).into_iter();
        (self.outcomes)(owed.map(|(token, _)| (token, Outcome::Refused(refusal.clone()))).collect());
    }

    pub fn write(&mut self, batch: &[Commit]) {
        self.mend();
        self.journal.begin(Moment::now());
        let verdicts = self.stage(batch);
        let staged =
            |(commit, verdict): &(&Commit, &Verdict)| matches!(verdict, Verdict::Staged) && !commit.events.is_empty();
        let durable = batch.iter().zip(&verdicts).filter(staged).any(|(commit, _)| commit.haste == Haste::Urgent);
        let written = if self.journal.staged() > 0 { self.journal.write(durable).map(Some) } else { Ok(None) };
        let refusal = written.as_ref().err().map(|error| self.refusal(error));
        if let (Err(JournalError::Final { .. }), Some(refusal)) = (&written, &refusal) {
            self.disown(refusal);
        }
        self.ailing = refusal.is_some();
        let events = batch.iter().zip(&verdicts).filter(staged).flat_map(|(commit, _)| &commit.events);
        // The events stay where they are; only what is told moves.
        let events: Vec<&Event> = events.collect();
        // What was written before is on the disk with what was written now.
        let synced = durable && refusal.is_none();
        let mut told = if synced { std::mem::take(&mut self.owed) } else { Vec::new() };
        for (commit, verdict) in batch.iter().zip(verdicts) {
            let Some(token) = commit.token else { continue };
            match verdict.outcome(refusal.as_ref()) {
                Outcome::Done if !synced && !commit.events.is_empty() => self.owe(token),
                outcome => told.push((token, outcome)),
            }
        }
        if !told.is_empty() {
            (self.outcomes)(told);
        }
        if let Ok(Some(written)) = written {
            self.apply(&events, written);
        }
    }

    fn owe(&mut self, token: Token) {
        if self.owed.is_empty() {
            self.due = Instant::now() + PATIENCE;
        }
        self.owed.push((token, Outcome::Done));
    }

    /// Brings what was written into the store. Where that fails, the journal has it, and `mend` tries again.
    pub fn apply(&mut self, events: &[&Event], written: Written) {
        if written.rotated {
            self.chores = Instant::now();
        }
        if self.trouble.is_some() {
            return;
        }
        let numbers = written.first..;
        let places = numbers.zip(written.lines);
        let entries = places.zip(events).map(|((n, extent), event)| Recorded { n, at: written.at, event, extent });
        if let Err(error) = self.store.apply(entries, written.head) {
            self.ails(error);
        }
    }

    /// The store is out of order: nothing that must be found in it again is accepted until it is mended.
    pub fn ails(&mut self, error: StoreError) {
        tracing::error!("{error}. Nothing is accepted until that works again");
        self.trouble = Some(error);
        self.tried = Instant::now();
    }

    fn stage(&mut self, batch: &[Commit]) -> Vec<Verdict> {
        let mut ids: HashMap<&MessageId, Vec<(&Message, &[Mailbox])>> = HashMap::new();
        let mut verdicts = Vec::with_capacity(batch.len());
        for commit in batch {
            let accepted = commit.events.iter().find_map(|event| match event {
                Event::Accepted { message, mailboxes, .. } => Some((message, &mailboxes[..])),
                _ => None,
            });
            let settled = match accepted {
                Some((message, mailboxes)) => self.met_before(message, mailboxes, ids.get(&message.id)),
                None => self
                    .trouble
                    .as_ref()
                    .filter(|_| commit.haste != Haste::Lazy)
                    .map(|error| Verdict::refused(store_refusal(error))),
            };
            let verdict = settled.unwrap_or_else(|| match self.journal.stage(&commit.events) {
                Ok(()) => Verdict::Staged,
                Err(error) => Verdict::refused(unwritable(&error)),
            });
            if let (Some(accepted), Verdict::Staged) = (accepted, &verdict) {
                ids.entry(&accepted.0.id).or_default().push(accepted);
            }
            verdicts.push(verdict);
        }
        verdicts
    }

    /// What is to be said of a message without writing it, if anything.
    fn met_before(
        &mut self,
        message: &Message,
        mailboxes: &[Mailbox],
        batch: Option<&Vec<(&Message, &[Mailbox])>>,
    ) -> Option<Verdict> {
        if let Some(error) = &self.trouble {
            return Some(Verdict::refused(store_refusal(error)));
        }
        // SQLite's integers end here, and so does what can be compared with the last one.
        if i64::try_from(message.seq).is_err() {
            let why = format!("`seq` is {}, and at most {}", message.seq, i64::MAX);
            return Some(Verdict::refused(Refusal::new(Reason::Malformed, why)));
        }
        for (old, places) in batch.into_iter().flatten() {
            if (&old.from.session, &old.from.host) == (&message.from.session, &message.from.host) {
                return Some(match Clash::between(old, message) {
                    Clash::Known(old) => Verdict::Twin(old),
                    _ => Verdict::refused(replayed(&message.id)),
                });
            }
            if mailboxes.iter().any(|mailbox| places.contains(mailbox)) {
                return Some(Verdict::refused(taken(&message.id)));
            }
        }
        match self.store.clash(message, mailboxes) {
            Ok(Clash::Free) => None,
            Ok(Clash::Known(old)) => Some(Verdict::Settled(Outcome::Known(old))),
            Ok(Clash::Replayed) => Some(Verdict::refused(replayed(&message.id))),
            Ok(Clash::Taken) => Some(Verdict::refused(taken(&message.id))),
            Err(error) => {
                let refusal = store_refusal(&error);
                // The journal lacks one text; the store is as it should be.
                if !matches!(error, StoreError::Text { .. }) {
                    self.ails(error);
                }
                Some(Verdict::refused(refusal))
            }
        }
    }

    fn refusal(&self, error: &JournalError) -> Refusal {
        if !self.ailing {
            tracing::error!("{error}");
        }
        let (why, retry_after) = match error {
            JournalError::Io { source, .. } => {
                (format!("{source}. The host's user must make room or see to it; then it goes on by itself"), soon())
            }
            JournalError::Final { why, .. } => {
                (format!("{why}. Nothing more is accepted until the host's user starts the relay again"), None)
            }
        };
        let error = format!("nothing was accepted, because the relay cannot write to its disk: {why}");
        Refusal { reason: Reason::Storage, error, retry_after }
    }
}

impl Verdict {
    fn refused(refusal: Refusal) -> Self {
        Self::Settled(Outcome::Refused(refusal))
    }

    /// `failed` is why the batch was not written.
    fn outcome(self, failed: Option<&Refusal>) -> Outcome {
        match (self, failed) {
            (Self::Settled(outcome), _) => outcome,
            (_, Some(refusal)) => Outcome::Refused(refusal.clone()),
            (Self::Staged, None) => Outcome::Done,
            (Self::Twin(message), None) => Outcome::Known(message),
        }
    }
}

/// For clients: without the host's paths.
fn store_refusal(error: &StoreError) -> Refusal {
    let why = error.cause();
    let error = format!(
        "nothing was accepted, because the relay's store is out of order: {why}. The host's user finds more in the \
         relay's log; once that is seen to, it goes on by itself"
    );
    Refusal { reason: Reason::Storage, error, retry_after: soon() }
}

fn unwritable(error: &Unwritable) -> Refusal {
    let reason = match error {
        Unwritable::TooLong => Reason::TooLarge,
        Unwritable::Json(_) => Reason::Malformed,
    };
    Refusal::new(reason, format!("not accepted: {error}"))
}

fn replayed(id: &MessageId) -> Refusal {
    let why = format!("{id} is the id of another message that you sent: send this one under an id of its own");
    Refusal::new(Reason::Replayed, why)
}

fn taken(id: &MessageId) -> Refusal {
    let why = format!("{id} is the id of another message to the same recipient: send this one under another id");
    Refusal::new(Reason::Replayed, why)
}
