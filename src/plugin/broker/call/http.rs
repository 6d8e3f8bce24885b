//! A client of an `http` plugin: its socket goes to a forwarder in the plugin's sandbox, and the broker keeps the
//! journal. No byte of the client's comes by here.

use super::begin::{enter, in_force, refused};
use super::{Refusal, Station};
use crate::plugin::broker::desk::Desk;
use crate::plugin::broker::{forwarder, spec};
use crate::plugin::chamber::{Chamber, Running};
use crate::plugin::event::{Call, Event};
use crate::plugin::http::own;
use crate::plugin::http::task::{Became, LINE_MAX, Told};
use crate::plugin::manifest::{Kind, Manifest};
use hyper::StatusCode;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How long a client may take to read a last word.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes of a client's that are read meanwhile: closed with unread ones, a socket says that it was reset.
const UNREAD_MAX: u64 = 1 << 20;

/// A client whose requests are forwarded.
struct Connection<'a> {
    desk: &'a Rc<Desk>,
    station: &'a Station,
    manifest: Arc<Manifest>,
    /// What the forwarder tells.
    told: BufReader<UnixStream>,
    /// The number of the request that was forwarded last, until its end is told.
    call: Option<u64>,
    /// Dropped, it is killed.
    _running: Running,
    _place: OwnedSemaphorePermit,
    _chamber: Rc<Chamber>,
}

pub(super) async fn serve(desk: &Rc<Desk>, station: &Station, stream: UnixStream) {
    match open(desk, station, &stream).await {
        Ok(mut connection) => {
            // From now on it is the forwarder's alone.
            drop(stream);
            connection.attend().await;
        }
        Err(refusal) => {
            desk.keep_pace(&station.session, 0).await;
            let call = Call::new(desk.next_call(), &station.session, &station.tool, &[], "");
            desk.count(&station.tool, true);
            desk.audit.note(Event::Refused { call, why: refusal.why.clone() });
            refuse(stream, &refusal).await;
        }
    }
}

async fn open<'a>(desk: &'a Rc<Desk>, station: &'a Station, stream: &UnixStream) -> Result<Connection<'a>, Refusal> {
    let (manifest, project) = in_force(desk, station)?;
    let Kind::Http(http) = &manifest.kind else {
        return Err(Refusal::new(format!("the manifest of '{}' has changed: try again", station.tool)));
    };
    let (room, place) = enter(desk, station, &manifest).await?;
    let credentials = desk.vault().of(&manifest).await.map_err(Refusal::new)?;
    let chamber = room.chamber(|| spec::chamber(desk, station, &project, &manifest, &credentials)).await;
    let chamber = chamber.map_err(refused)?;
    let failed = |error: io::Error| Refusal::new(format!("cannot hand the connection on: {error}"));
    let client = || stream.as_fd().try_clone_to_owned().map_err(failed);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let told = BufReader::new(UnixStream::from_std(ours).map_err(failed)?);
    let streams = [client()?, client()?, theirs.into()];
    let command = forwarder::command(desk, http, manifest.timeout, streams).map_err(Refusal::new)?;
    let running = chamber.run(command).await.map_err(refused)?;
    Ok(Connection { desk, station, manifest, told, call: None, _running: running, _place: place, _chamber: chamber })
}

impl Connection<'_> {
    /// Until the forwarder has ended, or may not go on.
    async fn attend(&mut self) {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut self.told).take(LINE_MAX).read_until(b'\n', &mut line).await;
            if !matches!(read, Ok(1..)) {
                return;
            }
            let taken = match serde_json::from_slice(&line) {
                Ok(told) => self.take(told).await,
                Err(error) => Err(format!("what it tells is not understood: {error}")),
            };
            if let Err(why) = taken {
                tracing::warn!("a connection of {} is broken off: {why}", self.station.tool);
                return;
            }
        }
    }

    /// Puts on record what became of a request. Where it is about to be forwarded, that is on the disk first.
    async fn take(&mut self, told: Told) -> Result<(), String> {
        let Told { method, path, became } = told;
        if self.call.is_none() {
            self.desk.keep_pace(&self.station.session, path.len()).await;
        }
        match (became, self.call) {
            (Became::Allowed, _) => {
                let call = self.number(method, path, false);
                if let Err(why) = self.still_holds() {
                    self.desk.audit.note(Event::Refused { call, why: why.clone() });
                    return Err(why);
                }
                self.call = Some(call.call);
                self.desk.audit.record(Event::Called(call)).await.map_err(|error| error.to_string())?;
                self.told.get_mut().write_all(b"\n").await.map_err(|error| error.to_string())
            }
            (became, Some(call)) => {
                self.call = None;
                let decision = serde_json::to_value(became).map_err(|error| error.to_string())?;
                let (session, tool) = (self.station.session.clone(), self.station.tool.clone());
                self.desk.audit.note(Event::Decided { call, session, tool, decision });
                Ok(())
            }
            (Became::Refused(why) | Became::Failed(why), None) => {
                let call = self.number(method, path, true);
                self.desk.audit.note(Event::Refused { call, why });
                Ok(())
            }
            (Became::Answered { .. }, None) => Err("a request was answered that was not asked".to_owned()),
        }
    }

    fn number(&self, method: String, path: String, refused: bool) -> Call {
        self.desk.count(&self.station.tool, refused);
        Call::new(self.desk.next_call(), &self.station.session, &self.station.tool, &[method, path], "")
    }

    /// Connections last: what has changed since this one began holds for its next request.
    fn still_holds(&self) -> Result<(), String> {
        let (manifest, _) = in_force(self.desk, self.station).map_err(|refusal| refusal.why)?;
        let same = *manifest == *self.manifest;
        same.then_some(()).ok_or_else(|| "its manifest has changed".to_owned())
    }
}

/// Answers whatever the client asks.
pub(super) async fn refuse(mut stream: UnixStream, refusal: &Refusal) {
    // After others that took all the time there is, it can be tried again.
    let status = if refusal.exit_code == 124 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::FORBIDDEN };
    let farewell = own::farewell(status, "rcc_refused", &refusal.why);
    let _ = timeout(FAREWELL, async {
        stream.write_all(&farewell).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(UNREAD_MAX), &mut tokio::io::sink()).await
    })
    .await;
}
