//! Carries frames between the broker and the executor, at the broker's end.

use super::frame::{self, HEAD, Reply};
use crate::plugin::credential::Secret;
use rustix::net::SendFlags;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// A frame on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub frame: Vec<u8>,
    pub secret: Option<Arc<Secret>>,
    pub streams: Vec<OwnedFd>,
}

/// Writes what is asked, whole frames, whoever stopped waiting.
pub(super) async fn write(writer: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing { frame, secret, mut streams }) = queue.recv().await {
        let parts = [Some(frame.as_slice()), secret.as_deref().map(Secret::expose)];
        for mut part in parts.into_iter().flatten() {
            while !part.is_empty() {
                let socket = writer.as_ref();
                let send = || {
                    let along: Vec<BorrowedFd<'_>> = streams.iter().map(AsFd::as_fd).collect();
                    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                    Ok(frame::send(socket.as_fd(), part, &along, flags)?)
                };
                let Ok(sent) = socket.async_io(Interest::WRITABLE, send).await else { return };
                part = &part[sent..];
                // They went with the first byte.
                streams.clear();
            }
        }
    }
}

/// What the executor says. Whoever gives up in the middle of a reply gives up the chamber: its rest would be taken for
/// the next one.
pub(super) struct Replies(OwnedReadHalf);

impl Replies {
    pub fn of(reader: OwnedReadHalf) -> Self {
        Self(reader)
    }

    /// The next reply, and what came along.
    pub async fn next(&mut self) -> io::Result<(Reply, Option<OwnedFd>)> {
        let (mut head, mut along) = ([0; HEAD], Vec::new());
        self.fill(&mut head, &mut along).await?;
        let (json, rest) = frame::lengths(head).map_err(io::Error::other)?;
        let mut text = vec![0; json];
        self.fill(&mut text, &mut along).await?;
        let reply: Reply = serde_json::from_slice(&text)?;
        let expected = usize::from(matches!(reply, Reply::Terminal { .. }));
        if rest != 0 || along.len() != expected {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((reply, along.pop()))
    }

    async fn fill(&self, mut buffer: &mut [u8], along: &mut Vec<OwnedFd>) -> io::Result<()> {
        let socket = self.0.as_ref();
        while !buffer.is_empty() {
            let receive = || Ok(frame::receive(socket.as_fd(), buffer, along)?);
            match socket.async_io(Interest::READABLE, receive).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                received => buffer = &mut buffer[received..],
            }
        }
        Ok(())
    }
}
