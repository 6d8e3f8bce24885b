//! The broker's own socket: what the host's programs ask.

use super::desk::{Desk, NotSwitched};
use crate::peer;
use crate::plugin::control::{Ask, Done, Opened, Reply};
use crate::plugin::wire::allowance::Allowance;
use crate::plugin::wire::stream::{Reader, Writer};
use serde::Serialize;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

/// Bytes of unfinished frames of all clients here.
const BYTES: usize = 16 << 20;
/// How long a client may take for a frame.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts where there is no descriptor left for a client.
const RETRY: Duration = Duration::from_millis(100);

/// Takes the host's programs for as long as the broker runs.
pub(super) async fn accept(desk: Rc<Desk>, listener: UnixListener) {
    let allowance = Allowance::of(BYTES);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (desk, allowance) = (desk.clone(), allowance.clone());
                tokio::task::spawn_local(async move { serve(&desk, &allowance, stream).await });
            }
            Err(error) => {
                tracing::warn!("cannot take a client: {error}");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn serve(desk: &Rc<Desk>, allowance: &Allowance, stream: UnixStream) {
    // Its mode says so already; the mode of a socket that somebody passed need not.
    if peer::uid(&stream).ok() != Some(desk.own.uid) {
        return;
    }
    let (read, write) = stream.into_split();
    let mut hall = Hall { desk, writer: Writer::new(write), session: None };
    let mut reader = Reader::new(read, allowance, PATIENCE);
    while let Some(ask) = next(&mut reader).await {
        let answered = match ask {
            Ok(ask) => hall.answer(ask).await,
            Err(why) => hall.refuse(why).await,
        };
        if answered.is_err() {
            break;
        }
    }
    if let Some(session) = hall.session {
        desk.close(&session);
    }
}

async fn next(reader: &mut Reader<OwnedReadHalf>) -> Option<Result<Ask, String>> {
    match reader.message().await {
        Ok(frame) => frame.map(|frame| serde_json::from_slice(frame).map_err(|error| error.to_string())),
        Err(_) => None,
    }
}

struct Hall<'a> {
    desk: &'a Rc<Desk>,
    writer: Writer<OwnedWriteHalf>,
    /// The one that was opened here.
    session: Option<String>,
}

impl Hall<'_> {
    async fn answer(&mut self, ask: Ask) -> std::io::Result<()> {
        let desk = self.desk;
        match ask {
            Ask::Open { .. } if self.session.is_some() => {
                self.refuse("a session is open at this connection".to_owned()).await
            }
            Ask::Open { session, project, tools, directory } => {
                let tools = tools.map(BTreeSet::from_iter);
                match desk.open(&session, project, tools, directory.as_deref()).await {
                    Ok(directory) => {
                        let ports = desk.ports(&session);
                        self.session = Some(session);
                        self.tell(Opened { directory, ports }).await
                    }
                    Err(error) => self.refuse(error.to_string()).await,
                }
            }
            Ask::Status => self.tell(desk.status()).await,
            Ask::Disable { tool } | Ask::Enable { tool } if !desk.knows(&tool) => {
                self.refuse(format!("there is no plugin '{tool}'; `rcc plugin list` lists them")).await
            }
            Ask::Disable { tool } => {
                let switched = desk.disable(&tool).await;
                self.done(switched).await
            }
            Ask::Enable { tool } => {
                let switched = desk.enable(&tool).await;
                self.done(switched).await
            }
            Ask::Stop => {
                let told = self.tell(Done {}).await;
                desk.stop();
                told
            }
        }
    }

    async fn done(&mut self, done: Result<(), NotSwitched>) -> std::io::Result<()> {
        match done {
            Ok(()) => self.tell(Done {}).await,
            Err(error) => self.refuse(error.to_string()).await,
        }
    }

    async fn tell(&mut self, data: impl Serialize) -> std::io::Result<()> {
        self.writer.message(&Reply { data: Some(data), error: None }).await
    }

    async fn refuse(&mut self, why: String) -> std::io::Result<()> {
        self.writer.message(&Reply::<Done> { data: None, error: Some(why) }).await
    }
}
