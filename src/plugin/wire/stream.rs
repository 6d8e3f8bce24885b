//! Frames over a socket of tokio's: the broker's side.

use super::allowance::Allowance;
use super::frames::{self, BadFrame, Decoder, Frame, Sender};
use super::{Event, Tag};
use serde::Serialize;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// How long a frame may take that has begun, at the broker.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client sent what is no frame: say so, and close.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// A frame took too long.
    #[error("a frame was not finished within {} s", .0.as_secs())]
    Slow(Duration),
    /// The client closed in the middle of a frame.
    #[error("the connection ended in the middle of a frame")]
    Unfinished,
    /// The system's.
    #[error("cannot read from the client: {0}")]
    Io(#[from] io::Error),
}

/// Reads a client's frames. Whatever is broken off while it waits has lost nothing.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    decoder: Decoder,
    patience: Duration,
    /// Until when the frame that has begun must have come.
    until: Option<Instant>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// A frame that has begun must have come within `patience`: [`PATIENCE`]. For how long none begins is the caller's to
    /// decide.
    pub fn new(from: R, allowance: &Allowance, patience: Duration) -> Self {
        Self { from, decoder: Decoder::new(Sender::Client, allowance), patience, until: None }
    }

    /// The next message of the simple form; `None` at the end.
    ///
    /// # Errors
    /// After any of them there is nothing more to read.
    pub async fn message(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let range = loop {
            if let Some(range) = self.decoder.find_message()? {
                break range;
            }
            if !self.fill().await? {
                return Ok(None);
            }
        };
        self.until = None;
        Ok(Some(self.decoder.at(range)))
    }

    /// The next frame of the streaming form; `None` at the end.
    ///
    /// # Errors
    /// After any of them there is nothing more to read.
    pub async fn frame(&mut self) -> Result<Option<Frame<'_>>, ReadError> {
        let found = loop {
            if let Some(found) = self.decoder.find_frame()? {
                break found;
            }
            if !self.fill().await? {
                return Ok(None);
            }
        };
        self.until = None;
        Ok(Some(self.decoder.framed(found)))
    }

    /// Reads once. False at the end.
    async fn fill(&mut self) -> Result<bool, ReadError> {
        let Self { from, decoder, patience, until } = self;
        if decoder.is_unfinished() {
            until.get_or_insert_with(|| Instant::now() + *patience);
        }
        let reading = poll_fn(|context| {
            let mut space = ReadBuf::new(decoder.space()?);
            let polled = Pin::new(&mut *from).poll_read(context, &mut space);
            let count = space.filled().len();
            if polled.is_pending() {
                decoder.rest();
            }
            polled.map(|read| read.map(|()| count).map_err(ReadError::Io))
        });
        let count = match *until {
            Some(until) => timeout_at(until, reading).await.unwrap_or(Err(ReadError::Slow(*patience)))?,
            None => reading.await?,
        };
        decoder.filled(count);
        match count {
            0 if decoder.is_unfinished() => Err(ReadError::Unfinished),
            count => Ok(count > 0),
        }
    }
}

/// Writes frames to a client. A write that is broken off leaves half a frame: nothing can be written after it.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    whole: bool,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Onto this.
    pub fn new(to: W) -> Self {
        Self { to, whole: true }
    }

    /// A message of the simple form.
    ///
    /// # Errors
    /// The system's, or if it is longer than allowed.
    pub async fn message(&mut self, said: &impl Serialize) -> io::Result<()> {
        let frame = frames::message(Sender::Broker, said).map_err(io::Error::other)?;
        self.write(&mut [IoSlice::new(&frame)]).await
    }

    /// An event.
    ///
    /// # Errors
    /// Those of [`Writer::message`].
    pub async fn event(&mut self, event: &Event) -> io::Result<()> {
        let frame = frames::control(Sender::Broker, event).map_err(io::Error::other)?;
        self.write(&mut [IoSlice::new(&frame)]).await
    }

    /// Output, in as many frames as it takes; it is not copied.
    ///
    /// # Errors
    /// The system's.
    pub async fn output(&mut self, tag: Tag, bytes: &[u8]) -> io::Result<()> {
        for (header, payload) in frames::chunks(tag, bytes) {
            self.write(&mut [IoSlice::new(&header), IoSlice::new(payload)]).await?;
        }
        Ok(())
    }

    async fn write(&mut self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        if !std::mem::replace(&mut self.whole, false) {
            return Err(io::Error::other("a frame was broken off before"));
        }
        while !parts.is_empty() {
            match self.to.write_vectored(parts).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => IoSlice::advance_slices(&mut parts, count),
            }
        }
        self.whole = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
