//! The streaming form: one call, whose input and output go to and fro while it runs.

use super::begin::{Begun, Wanted, begin};
use super::input::{Pipeline, Said};
use super::underway::{Due, Outcome, Sink, Underway};
use super::{PATIENCE, Refusal, Station};
use crate::plugin::broker::desk::Desk;
use crate::plugin::broker::streams;
use crate::plugin::manifest::Kind;
use crate::plugin::wire::stream::{Reader, Writer};
use crate::plugin::wire::{Control, Event, Response, Signal, Tag, VERSION, Welcome};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a client may take to read a last word.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long a tool may take to end when its client has gone.
const HANG_UP: Duration = Duration::from_secs(2);

pub(super) async fn serve(
    desk: &Rc<Desk>,
    station: &Station,
    version: u32,
    mut reader: Reader<OwnedReadHalf>,
    mut writer: Writer<OwnedWriteHalf>,
) {
    if version != VERSION {
        let why = format!("this broker speaks version {VERSION} of the streaming form, and the client {version}");
        let _ = writer.message(&Response::refused(126, why)).await;
        return;
    }
    let environment = match desk.manifest(&station.tool).as_deref().map(|manifest| &manifest.kind) {
        Some(Kind::Exec(exec)) => exec.pass.iter().cloned().collect(),
        _ => Vec::new(),
    };
    let welcome = Welcome { version: VERSION, tool: station.tool.to_string(), environment };
    if !matches!(timeout(PATIENCE, writer.message(&welcome)).await, Ok(Ok(()))) {
        return;
    }
    loop {
        let wanted = match timeout(PATIENCE, wanted(&mut reader)).await {
            Ok(Ok(Some(wanted))) => wanted,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(refusal)) => return refuse(&mut writer, refusal).await,
        };
        match begin(desk, station, wanted).await {
            Ok(Begun::Running(underway)) => return run(*underway, desk, reader, writer).await,
            Ok(Begun::Fallback) => {
                if !matches!(timeout(PATIENCE, writer.event(&Event::Fallback)).await, Ok(Ok(()))) {
                    return;
                }
            }
            Err(refusal) => return refuse(&mut writer, refusal).await,
        }
    }
}

/// What the client wants; `None` if it has gone.
async fn wanted(reader: &mut Reader<OwnedReadHalf>) -> Result<Option<Wanted>, Refusal> {
    let frame = match reader.frame().await {
        Ok(Some(frame)) if frame.tag == Tag::Control => frame,
        Ok(Some(_)) => return Err(Refusal::new("a call begins with what is to be run")),
        Ok(None) => return Ok(None),
        Err(error) => return Err(Refusal::new(error.to_string())),
    };
    match Control::parse(frame.payload) {
        Ok(Control::Exec { request, terminal }) => Ok(Some(Wanted::Exec { request, terminal })),
        Ok(Control::Connect { service, url, mode }) => Ok(Some(Wanted::Connect { service, url, mode })),
        Ok(Control::Signal { .. } | Control::Resize { .. } | Control::Close { .. }) => {
            Err(Refusal::new("a call begins with what is to be run"))
        }
        Err(error) => Err(Refusal::new(error.to_string())),
    }
}

async fn refuse(writer: &mut Writer<OwnedWriteHalf>, Refusal { exit_code, why }: Refusal) {
    let _ = timeout(FAREWELL, writer.event(&Event::Refused { exit_code, error: why })).await;
}

async fn run(
    mut underway: Underway,
    desk: &Rc<Desk>,
    mut reader: Reader<OwnedReadHalf>,
    writer: Writer<OwnedWriteHalf>,
) {
    let Some(allowance) = desk.allowance(&underway.station.session) else { return };
    let pipeline = Pipeline::new(&allowance);
    let mut client = ToClient { writer, pipeline: &pipeline, stops: underway.running.stops(), due: None };
    let (outcome, read) = match timeout(PATIENCE, client.writer.event(&Event::Started)).await {
        Ok(Ok(())) => attend(&mut underway, &pipeline, &mut reader, &mut client).await,
        Ok(Err(_)) | Err(_) => (Outcome::ClientGone, None),
    };
    let last = match &outcome {
        Outcome::Ended(ended) => Event::Exited { exit_code: ended.exit_code(), signal: ended.signal, read },
        Outcome::BrokenOff(Refusal { exit_code, why }) => Event::Refused { exit_code: *exit_code, error: why.clone() },
        Outcome::ClientGone => {
            // As a terminal does that is closed.
            underway.running.signal(Signal::Hup.number());
            let _ = timeout(HANG_UP, underway.running.ended()).await;
            drop(underway.finish(&outcome));
            return;
        }
    };
    drop(underway.finish(&outcome));
    let _ = timeout(FAREWELL, client.writer.event(&last)).await;
}

/// Everything at once, until the tool or its client has ended; and how much of its input the tool has read.
async fn attend(
    underway: &mut Underway,
    pipeline: &Pipeline,
    reader: &mut Reader<OwnedReadHalf>,
    client: &mut ToClient<'_>,
) -> (Outcome, Option<u64>) {
    let signals = underway.running.signals();
    let terminal = underway.ours.terminal.clone();
    let stdin = underway.ours.stdin.take();
    let stdin = RefCell::new(stdin);
    let feeding = async {
        let to = stdin.borrow().clone();
        if let Some(to) = to {
            let is_terminal = terminal.as_ref().is_some_and(|terminal| Arc::ptr_eq(&to, terminal));
            pipeline.feed(to, is_terminal).await;
            // Its end.
            stdin.replace(None);
        }
        std::future::pending::<()>().await
    };
    let outcome = tokio::select! {
        outcome = underway.carry(client) => outcome,
        said = pipeline.listen(reader, terminal.as_ref(), &signals) => match said {
            Said::Gone => Outcome::ClientGone,
            Said::Wrong(refusal) => Outcome::BrokenOff(refusal),
        },
        () = feeding => Outcome::ClientGone,
    };
    let pipe = stdin.take().filter(|to| terminal.as_ref().is_none_or(|terminal| !Arc::ptr_eq(to, terminal)));
    let read = pipe.and_then(|to| streams::left(&to)).map(|left| pipeline.read(left));
    (outcome, read)
}

/// Output as frames, and word of how much input may come.
struct ToClient<'a> {
    writer: Writer<OwnedWriteHalf>,
    pipeline: &'a Pipeline,
    /// Notified when the tool was stopped.
    stops: Arc<Notify>,
    /// What is to be said.
    due: Option<Event>,
}

impl Sink for ToClient<'_> {
    async fn take(&mut self, tag: Tag, bytes: &[u8]) -> Result<(), Refusal> {
        self.writer.output(tag, bytes).await.map_err(gone)
    }

    async fn due(&mut self) -> Due {
        if self.due.is_some() {
            return Due::Say;
        }
        loop {
            tokio::select! {
                news = self.pipeline.news() => self.due = Some(news),
                // Who stopped it knows, and was stopped itself perhaps.
                () = self.stops.notified() => {
                    self.due = (!self.pipeline.told_to_stop.get()).then_some(Event::Stopped);
                }
                which = self.pipeline.unread.next() => return Due::Close(which),
            }
            if self.due.is_some() {
                return Due::Say;
            }
        }
    }

    async fn say(&mut self) -> Result<(), Refusal> {
        match self.due.take() {
            Some(event) => self.writer.event(&event).await.map_err(gone),
            None => Ok(()),
        }
    }
}

fn gone(error: io::Error) -> Refusal {
    Refusal { exit_code: 129, why: format!("the client has gone: {error}") }
}
