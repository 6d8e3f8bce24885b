//! A call that runs: its output on the way to the client, and its end.

use super::{Refusal, Station};
use crate::plugin::broker::decisions::Decisions;
use crate::plugin::broker::desk::Desk;
use crate::plugin::broker::room;
use crate::plugin::broker::streams::{self, End, Ours};
use crate::plugin::chamber::{Chamber, ChamberError, Ended, Running};
use crate::plugin::credential::Redactor;
use crate::plugin::event::Event;
use crate::plugin::manifest::{Kind, Manifest};
use crate::plugin::wire::{CHUNK_MAX, Tag};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep_until, timeout_at};

/// What is still read of each output when the tool has ended, in bytes: what a pipe holds. Something that it left
/// behind could write for ever.
const REST_MAX: usize = 1 << 20;

/// Where output goes.
pub(super) trait Sink {
    /// Takes a piece of it.
    ///
    /// # Errors
    /// It takes no more, and the call is to be broken off.
    async fn take(&mut self, tag: Tag, bytes: &[u8]) -> Result<(), Refusal>;

    /// Returns when it has something of its own to say, or wants no more of an output. Nothing is lost where this is
    /// broken off.
    async fn due(&mut self) -> Due;

    /// Says it.
    ///
    /// # Errors
    /// As of [`Sink::take`].
    async fn say(&mut self) -> Result<(), Refusal>;
}

/// What a sink wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// To say something.
    Say,
    /// No more of this output.
    Close(usize),
}

/// How it ended.
pub(super) enum Outcome {
    /// By itself, or by a signal.
    Ended(Ended),
    /// It was broken off.
    BrokenOff(Refusal),
    /// Nobody wants to know.
    ClientGone,
}

/// A call that runs.
pub(super) struct Underway {
    pub desk: Rc<Desk>,
    pub call: u64,
    pub station: Station,
    pub manifest: Arc<Manifest>,
    pub deadline: Instant,
    pub ours: Ours,
    pub running: Running,
    /// Of standard output and of standard error; `None` where nothing is taken out.
    pub redactors: [Option<Redactor>; 2],
    /// Where the plugin tells what it decides.
    pub decisions: Option<Decisions>,
    pub started: Instant,
    /// Bytes of standard output and of standard error.
    pub counted: [u64; 2],
    pub place: OwnedSemaphorePermit,
    pub _chamber: Rc<Chamber>,
}

impl Underway {
    /// Carries its output to the client until it ends.
    pub(super) async fn carry(&mut self, sink: &mut impl Sink) -> Outcome {
        let mut buffers = [CHUNK_MAX; 2].map(Vec::with_capacity);
        let deadline = self.deadline.into();
        // Taken, so that a tool whose output is closed learns of it.
        let mut open = [self.ours.stdout.take(), self.ours.stderr.take()];
        let mut clean = Vec::new();
        let mut wide = [false; 2];
        let ended = loop {
            let [first, second] = &mut buffers;
            let event = tokio::select! {
                read = read_some(open[0].as_ref(), first) => Happened::Read(0, read),
                read = read_some(open[1].as_ref(), second) => Happened::Read(1, read),
                ended = self.running.ended() => Happened::Ended(ended),
                due = sink.due() => Happened::Due(due),
                () = sleep_until(deadline) => return Outcome::BrokenOff(self.too_long()),
            };
            match event {
                Happened::Read(which, Ok(0)) | Happened::Due(Due::Close(which)) => open[which] = None,
                Happened::Read(which, Ok(count)) => {
                    if let Some(end) = open[which].as_ref().filter(|_| count >= streams::FULL && !wide[which]) {
                        streams::widen(end);
                        wide[which] = true;
                    }
                    match timeout_at(deadline, self.pass_on(which, &buffers[which], &mut clean, sink)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(refusal)) => return Outcome::BrokenOff(refusal),
                        Err(_) => return Outcome::BrokenOff(self.too_long()),
                    }
                }
                Happened::Read(which, Err(error)) => {
                    tracing::warn!("cannot read what {} says: {error}", self.station.tool);
                    open[which] = None;
                }
                Happened::Due(Due::Say) => match timeout_at(deadline, sink.say()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(refusal)) => return Outcome::BrokenOff(refusal),
                    Err(_) => return Outcome::BrokenOff(self.too_long()),
                },
                Happened::Ended(Ok(ended)) => break ended,
                Happened::Ended(Err(error)) => return Outcome::BrokenOff(self.lost(&error)),
            }
        };
        let rest = self.rest(open, &mut buffers[0], &mut clean, sink);
        match timeout_at(deadline, rest).await {
            Ok(Ok(())) => Outcome::Ended(ended),
            Ok(Err(refusal)) => Outcome::BrokenOff(refusal),
            Err(_) => Outcome::BrokenOff(self.too_long()),
        }
    }

    /// Why its sandbox has ended before it.
    fn lost(&self, error: &ChamberError) -> Refusal {
        match self.place.semaphore().is_closed() {
            true => Refusal::new(room::ended(&self.station.tool)),
            false => Refusal::new(error.to_string()),
        }
    }

    fn too_long(&self) -> Refusal {
        let seconds = self.manifest.timeout.as_secs();
        let why =
            format!("{} was broken off after {seconds} s, the time that its manifest gives it", self.station.tool);
        Refusal { exit_code: 124, why }
    }

    /// What the tool has written and nobody has read, and what was held back.
    async fn rest(
        &mut self,
        ends: [Option<End>; 2],
        buffer: &mut Vec<u8>,
        clean: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        for (which, end) in ends.iter().enumerate() {
            let mut read = 0;
            while let Some(end) = end.as_ref().filter(|_| read < REST_MAX) {
                match streams::read_rest(end, buffer) {
                    Ok(Some(count @ 1..)) => {
                        read += count;
                        self.pass_on(which, buffer, clean, sink).await?;
                    }
                    Ok(_) | Err(_) => break,
                }
            }
            let Some(redactor) = &mut self.redactors[which] else { continue };
            clean.clear();
            redactor.finish(&mut |piece| clean.extend_from_slice(piece));
            if !clean.is_empty() {
                sink.take(tag(which), clean).await?;
            }
        }
        Ok(())
    }

    async fn pass_on(
        &mut self,
        which: usize,
        bytes: &[u8],
        clean: &mut Vec<u8>,
        sink: &mut impl Sink,
    ) -> Result<(), Refusal> {
        self.counted[which] += bytes.len() as u64;
        if let Kind::Exec(exec) = &self.manifest.kind
            && self.counted.iter().sum::<u64>() > exec.output_max
        {
            let tool = &self.station.tool;
            let why =
                format!("{tool} was broken off: it wrote more than {} bytes, its manifest's limit", exec.output_max);
            return Err(Refusal { exit_code: 124, why });
        }
        let redactor = self.redactors[which].as_mut().filter(|redactor| !redactor.has_none());
        let Some(redactor) = redactor else { return sink.take(tag(which), bytes).await };
        clean.clear();
        redactor.push(bytes, &mut |piece| clean.extend_from_slice(piece));
        if clean.is_empty() { Ok(()) } else { sink.take(tag(which), clean).await }
    }

    /// Records the end. Whatever still runs is killed. The right to be there goes on with what is returned.
    pub(super) fn finish(self, outcome: &Outcome) -> OwnedSemaphorePermit {
        let (exit_code, broken_off) = match outcome {
            Outcome::Ended(ended) => (ended.exit_code(), None),
            Outcome::BrokenOff(refusal) => (refusal.exit_code, Some(refusal.why.clone())),
            Outcome::ClientGone => (129, Some("the client has gone".to_owned())),
        };
        let Station { session, tool, .. } = &self.station;
        let decisions = self.decisions.as_ref().map_or_else(Vec::new, Decisions::take);
        for decision in decisions {
            let (session, tool) = (session.clone(), tool.clone());
            self.desk.audit.note(Event::Decided { call: self.call, session, tool, decision });
        }
        self.desk.audit.note(Event::Ended {
            call: self.call,
            session: session.clone(),
            tool: tool.clone(),
            exit_code,
            broken_off,
            stdout: self.counted[0],
            stderr: self.counted[1],
            redacted: self.redactors.iter().flatten().map(Redactor::marks).sum(),
            milliseconds: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        self.place
    }
}

enum Happened {
    Read(usize, io::Result<usize>),
    Ended(Result<Ended, ChamberError>),
    Due(Due),
}

async fn read_some(from: Option<&End>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    match from {
        Some(from) => streams::read(from, buffer).await,
        None => std::future::pending().await,
    }
}

fn tag(which: usize) -> Tag {
    if which == 0 { Tag::Output } else { Tag::Error }
}
