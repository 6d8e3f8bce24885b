//! Bodies as they flow through: a request's with its bound, a response's without the credential.

use super::forward::{Forwarder, Outcome};
use crate::plugin::credential::Redactor;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep_until};

/// What is known of a request's body while it flows.
#[derive(Debug, Default)]
pub struct Sent {
    bytes: AtomicU64,
    too_long: AtomicBool,
}

impl Sent {
    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether it is longer than it may be.
    pub fn too_long(&self) -> bool {
        self.too_long.load(Ordering::Relaxed)
    }
}

/// A request's body. It breaks off where it is longer than it may be, so that the upstream never takes it for whole.
pub struct Capped {
    incoming: Incoming,
    max: u64,
    sent: Arc<Sent>,
}

impl Capped {
    pub fn new(incoming: Incoming, max: u64) -> (Self, Arc<Sent>) {
        let sent = Arc::new(Sent::default());
        (Self { incoming, max, sent: sent.clone() }, sent)
    }
}

impl Body for Capped {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.incoming).poll_frame(context)) else {
                return Poll::Ready(None);
            };
            // Trailers are headers that nobody has looked at.
            let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
            let bytes = self.sent.bytes.fetch_add(data.len() as u64, Ordering::Relaxed) + data.len() as u64;
            if bytes > self.max {
                self.sent.too_long.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(io::ErrorKind::FileTooLarge.into())));
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A response's body.
pub enum Answer {
    /// Our own.
    Own(Option<Bytes>),
    /// The upstream's.
    Upstreams(Box<Flowing>),
}

/// The upstream's body on its way. Its end, or its being given up, is put on record.
pub struct Flowing {
    incoming: Incoming,
    redactor: Redactor,
    ready: VecDeque<Bytes>,
    deadline: Pin<Box<Sleep>>,
    end: End,
    received: u64,
    recorded: Recorded,
}

/// What the record of a response is about.
pub struct Recorded {
    pub forwarder: Arc<Forwarder>,
    pub method: String,
    pub path: String,
    pub status: u16,
    pub sent: Arc<Sent>,
    /// How often the credential was in the headers.
    pub removed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Not,
    Whole,
    Broken,
}

impl Flowing {
    pub fn new(incoming: Incoming, redactor: Redactor, deadline: Instant, recorded: Recorded) -> Self {
        let deadline = Box::pin(sleep_until(deadline));
        let end = if incoming.is_end_stream() { End::Whole } else { End::Not };
        Self { incoming, redactor, ready: VecDeque::new(), deadline, end, received: 0, recorded }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.end != End::Not {
                return Poll::Ready(None);
            }
            if self.deadline.as_mut().poll(context).is_ready() {
                self.end = End::Broken;
                return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
            }
            match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        self.received += chunk.len() as u64;
                        let ready = &mut self.ready;
                        self.redactor.push(&chunk, &mut |part| ready.push_back(share(&chunk, part)));
                    }
                }
                Some(Err(error)) => {
                    self.end = End::Broken;
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
                None => {
                    let ready = &mut self.ready;
                    self.redactor.finish(&mut |part| ready.push_back(Bytes::copy_from_slice(part)));
                    self.end = End::Whole;
                }
            }
        }
    }
}

/// The part as a part of the chunk, where it is one.
fn share(chunk: &Bytes, part: &[u8]) -> Bytes {
    let whole = chunk.as_ptr_range();
    let within = whole.contains(&part.as_ptr()) && part.as_ptr_range().end <= whole.end;
    if within { chunk.slice_ref(part) } else { Bytes::copy_from_slice(part) }
}

impl Drop for Flowing {
    fn drop(&mut self) {
        let Recorded { forwarder, method, path, status, sent, removed } = &self.recorded;
        let outcome = Outcome::Answered {
            status: *status,
            sent: sent.bytes(),
            received: self.received,
            removed: removed + self.redactor.marks(),
            whole: self.end == End::Whole,
        };
        // It went out already.
        let _ = forwarder.record(method, path, outcome);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = match self.get_mut() {
            Self::Own(bytes) => bytes.take().map(Ok),
            Self::Upstreams(flowing) => ready!(flowing.poll(context)),
        };
        Poll::Ready(bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Upstreams(flowing) => flowing.ready.is_empty() && flowing.end == End::Whole,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            // How much is taken out is known at its end.
            Self::Upstreams(_) if self.is_end_stream() => SizeHint::with_exact(0),
            Self::Upstreams(_) => SizeHint::default(),
        }
    }
}
