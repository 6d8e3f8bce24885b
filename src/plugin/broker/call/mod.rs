//! One client of one tool's socket: who it is, which form it speaks, and what becomes of its calls.
//!
//! ```text
//! accept ─ who ─┬─ first frame ─┬─ simple ─────┐
//!               │               └─ streaming ──┴─ begin (may it?) ─ underway: streams ─ end
//!               └─ http (the socket itself goes to the forwarder)
//! ```

pub(super) mod begin;
mod http;
mod input;
mod simple;
mod streaming;
mod underway;

use super::desk::Desk;
use crate::peer;
use crate::plugin::manifest::Kind;
use crate::plugin::name::ToolName;
use crate::plugin::wire::stream::{ReadError, Reader, Writer};
use crate::plugin::wire::{First, Response};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a client may take for its first frame, and for each that it has begun.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts where there is no descriptor left for a client.
const RETRY: Duration = Duration::from_millis(100);

/// What a call is refused with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// 126 where it may not run, 127 where there is no such tool, 124 after the time that it has.
    pub exit_code: u8,
    pub why: String,
}

impl Refusal {
    /// It may not run.
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { exit_code: 126, why: why.into() }
    }
}

/// A tool in a session.
#[derive(Clone, Debug)]
pub(super) struct Station {
    pub session: String,
    /// The session's own: another one may have its name later.
    pub number: u64,
    pub tool: ToolName,
}

/// Takes the clients of a session's tool until it is ended.
pub(super) async fn accept(desk: Rc<Desk>, station: Station, places: Arc<Semaphore>, listener: UnixListener) {
    let station = Rc::new(station);
    loop {
        // Whoever comes beyond that waits in the socket's queue.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot take a client of {}: {error}", station.tool);
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let (desk, station) = (desk.clone(), station.clone());
        tokio::task::spawn_local(async move {
            serve(&desk, &station, stream).await;
            drop(place);
        });
    }
}

async fn serve(desk: &Rc<Desk>, station: &Station, stream: UnixStream) {
    let Some(allowance) = desk.allowance(&station.session) else { return };
    let known = peer::uid(&stream).map_err(|error| error.to_string()).and_then(|uid| {
        let own = peer::is_of(uid, desk.own.uid, &desk.own.user);
        own.then_some(()).ok_or_else(|| format!("this broker is that of uid {}, and you are uid {uid}", desk.own.uid))
    });
    // What comes over such a socket is no frames of ours.
    if desk.manifest(&station.tool).is_some_and(|manifest| matches!(manifest.kind, Kind::Http(_))) {
        return match known {
            Ok(()) => http::serve(desk, station, stream).await,
            Err(why) => http::refuse(stream, &Refusal::new(why)).await,
        };
    }
    let (read, write) = stream.into_split();
    let mut writer = Writer::new(write);
    if let Err(why) = known {
        let _ = writer.message(&Response::refused(126, why)).await;
        return;
    }
    let mut reader = Reader::new(read, &allowance, PATIENCE);
    let first = match timeout(PATIENCE, reader.message()).await {
        Ok(Ok(Some(frame))) => First::parse(frame).map_err(|error| error.to_string()),
        Ok(Ok(None) | Err(ReadError::Io(_))) | Err(_) => return,
        Ok(Err(error)) => Err(error.to_string()),
    };
    match first {
        Ok(First::Exec(request)) => simple::serve(desk, station, request, reader, writer).await,
        Ok(First::Stream { version }) => streaming::serve(desk, station, version, reader, writer).await,
        Err(why) => drop(writer.message(&Response::refused(126, why)).await),
    }
}
