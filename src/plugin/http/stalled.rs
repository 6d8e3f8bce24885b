//! A client's connection that is given up where the client takes nothing of what it is sent, or too long over it.
//!
//! Nothing else ends such a connection: while an answer waits for its client, its body, which knows how long it may
//! take, is not asked for more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a client may take nothing of its answer. What it can have in its buffer is a part of that: a client that
/// reads at all goes on.
pub const STALLED: Duration = Duration::from_secs(60);

/// When the answer that a connection waits to send must have been taken, however slowly it is.
#[derive(Clone, Default)]
pub struct Due(Arc<Mutex<Option<Instant>>>);

impl Due {
    /// From now on it is then.
    pub fn set(&self, due: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(due);
    }

    fn or_before(&self, other: Instant) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map_or(other, |due| due.min(other))
    }
}

/// A connection whose writes fail when none of them has made progress for [`STALLED`], or when one has to wait after the
/// answer was due.
pub struct Stalled<S> {
    stream: S,
    due: Due,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Stalled<S> {
    /// This connection.
    pub fn new(stream: S, due: Due) -> Self {
        Self { stream, due, waiting: None }
    }

    fn watch(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let until = || self.due.or_before(Instant::now() + STALLED);
        match self.waiting.get_or_insert_with(|| Box::pin(sleep_until(until()))).as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_after_a_while() {
        let (ours, _theirs) = duplex(8);
        let mut ours = Stalled::new(ours, Due::default());
        let begun = Instant::now();
        let error = ours.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((STALLED..STALLED * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_is_waited_for() {
        let (ours, mut theirs) = duplex(8);
        let mut ours = Stalled::new(ours, Due::default());
        let reading = tokio::spawn(async move {
            let mut read = 0;
            while read < 64 {
                sleep(STALLED - Duration::from_secs(1)).await;
                read += theirs.read(&mut [0; 8]).await.unwrap();
            }
        });
        ours.write_all(&[0; 64]).await.unwrap();
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_is_given_up_when_the_answer_was_due() {
        let (ours, mut theirs) = duplex(8);
        let (due, begun) = (Due::default(), Instant::now());
        due.set(begun + STALLED * 3);
        let mut ours = Stalled::new(ours, due);
        tokio::spawn(async move {
            while theirs.read(&mut [0; 8]).await.unwrap() > 0 {
                sleep(STALLED - Duration::from_secs(1)).await;
            }
        });
        let error = ours.write_all(&[0; 640]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((STALLED * 2..STALLED * 4).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}
