//! Bytes to frames and back. Pure: whoever has the socket reads into [`Decoder::space`] and writes what the
//! encoders return.

use super::allowance::{Allowance, Charge};
use super::{CHUNK_MAX, REQUEST_MAX, RESPONSE_MAX};
use serde::Serialize;
use std::ops::Range;

/// Bytes of a length.
const LENGTH: usize = 4;
/// Bytes in front of the payload of a frame of the streaming form.
pub const HEADER: usize = LENGTH + 1;
/// The room for the first read.
const FIRST: usize = 4 << 10;
/// The room for reads while no longer frame is known to come: one of the longest chunks.
const AHEAD: usize = HEADER + CHUNK_MAX;

/// The first byte of a frame of the streaming form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// JSON: a [`Control`](super::Control) from the client, an [`Event`](super::Event) to it.
    Control = b'c',
    /// From the client: a piece of standard input; an empty one is its end.
    Input = b'0',
    /// To the client: a piece of standard output.
    Output = b'1',
    /// To the client: a piece of standard error.
    Error = b'2',
}

/// Whose frames are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The broker reads them.
    Client,
    /// A client reads them.
    Broker,
}

impl Sender {
    fn tag(self, byte: u8) -> Option<Tag> {
        match (self, byte) {
            (_, b'c') => Some(Tag::Control),
            (Self::Client, b'0') => Some(Tag::Input),
            (Self::Broker, b'1') => Some(Tag::Output),
            (Self::Broker, b'2') => Some(Tag::Error),
            _ => None,
        }
    }

    /// The longest message.
    fn message_max(self) -> usize {
        match self {
            Self::Client => REQUEST_MAX,
            Self::Broker => RESPONSE_MAX,
        }
    }

    /// The longest frame of the streaming form, with its tag.
    fn frame_max(self, tag: Tag) -> usize {
        match (self, tag) {
            (Self::Client, Tag::Control) => REQUEST_MAX,
            _ => 1 + CHUNK_MAX,
        }
    }
}

/// What is no frame. The connection is to be closed: where the next one begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It has no content, or no tag.
    #[error("a frame of length 0")]
    Empty,
    /// It is longer than allowed.
    #[error("a frame of {length} bytes where {limit} are the most")]
    TooLong {
        /// By its own word.
        length: usize,
        /// See the constants of the module.
        limit: usize,
    },
    /// It has a tag that there is not, or not from this side.
    #[error("a frame with the tag {0:#04x}, which there is not")]
    UnknownTag(u8),
    /// There is no memory left for it.
    #[error("too much is on its way in unfinished frames: finish one before the next")]
    NoAllowance,
}

/// One frame of the streaming form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub tag: Tag,
    /// As long as its tag allows.
    pub payload: &'a [u8],
}

/// Cuts what is read into frames. It holds at most one read, or twice what has come of one frame, whatever length
/// the frame claims to have.
#[derive(Debug)]
pub struct Decoder {
    sender: Sender,
    charge: Charge,
    /// All of it initialised; what was read is `begin..end`.
    held: Vec<u8>,
    begin: usize,
    end: usize,
    /// The length of the frame that has begun, as far as it is known.
    wanted: usize,
}

/// Where a frame of the streaming form was found.
pub(crate) type Found = (Tag, Range<usize>);

impl Decoder {
    /// Reads what the sender sends, and takes the memory from the allowance.
    pub fn new(sender: Sender, allowance: &Allowance) -> Self {
        Self { sender, charge: allowance.charge(), held: Vec::new(), begin: 0, end: 0, wanted: LENGTH }
    }

    /// Where the next read goes; never empty where the last answer was that no whole frame has come.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn space(&mut self) -> Result<&mut [u8], BadFrame> {
        if self.begin > 0 {
            // What moves came with the last read, so no byte moves twice.
            self.held.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.end == self.held.len() {
            let size = (2 * self.end).clamp(FIRST, AHEAD.max(self.wanted));
            if !self.charge.change(size.max(self.end)) {
                return Err(BadFrame::NoAllowance);
            }
            self.held.reserve_exact(size.saturating_sub(self.end));
            self.held.resize(size.max(self.end), 0);
        }
        Ok(&mut self.held[self.end..])
    }

    /// So many bytes were read into [`Decoder::space`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.held.len());
    }

    /// Whether a frame has begun and not come to its end.
    pub fn is_unfinished(&self) -> bool {
        self.begin < self.end
    }

    /// Gives the memory back where nothing is held. An idle connection costs none.
    pub fn rest(&mut self) {
        // Less is never.
        if !self.is_unfinished() && self.charge.change(0) {
            (self.held, self.begin, self.end) = (Vec::new(), 0, 0);
        }
    }

    /// The next message of the simple form; `None` if it has not come whole.
    ///
    /// # Errors
    /// If there is none there.
    pub fn message(&mut self) -> Result<Option<&[u8]>, BadFrame> {
        Ok(self.find_message()?.map(|range| self.at(range)))
    }

    /// The next frame of the streaming form; `None` if it has not come whole.
    ///
    /// # Errors
    /// If there is none there.
    pub fn frame(&mut self) -> Result<Option<Frame<'_>>, BadFrame> {
        Ok(self.find_frame()?.map(|found| self.framed(found)))
    }

    pub(crate) fn at(&self, range: Range<usize>) -> &[u8] {
        &self.held[range]
    }

    pub(crate) fn framed(&self, (tag, range): Found) -> Frame<'_> {
        Frame { tag, payload: self.at(range) }
    }

    pub(super) fn find_message(&mut self) -> Result<Option<Range<usize>>, BadFrame> {
        let Some(length) = self.length(self.sender.message_max())? else { return Ok(None) };
        Ok(self.take(LENGTH, length))
    }

    pub(crate) fn find_frame(&mut self) -> Result<Option<Found>, BadFrame> {
        // A control is the longest on either side.
        let Some(length) = self.length(self.sender.frame_max(Tag::Control))? else { return Ok(None) };
        let Some(&byte) = self.held[self.begin..self.end].get(LENGTH) else {
            self.wanted = HEADER;
            return Ok(None);
        };
        let tag = self.sender.tag(byte).ok_or(BadFrame::UnknownTag(byte))?;
        let limit = self.sender.frame_max(tag);
        if length > limit {
            return Err(BadFrame::TooLong { length, limit });
        }
        Ok(self.take(HEADER, length - 1).map(|range| (tag, range)))
    }

    /// What has come of a frame that has begun and not come whole, where its payload may be taken in pieces; and how
    /// many bytes of it are missing. They are for who asks: what is read into this after them is the next frame.
    ///
    /// # Errors
    /// If what has begun is no frame.
    #[cfg(any(test, target_os = "linux"))]
    pub(crate) fn split_frame(&mut self, takes: impl FnOnce(Tag) -> bool) -> Result<Option<(Found, usize)>, BadFrame> {
        if let Some(whole) = self.find_frame()? {
            return Ok(Some((whole, 0)));
        }
        let held = &self.held[self.begin..self.end];
        let (Some(bytes), Some(&byte)) = (held.first_chunk::<LENGTH>(), held.get(LENGTH)) else { return Ok(None) };
        let Some(tag) = self.sender.tag(byte).filter(|tag| takes(*tag)) else { return Ok(None) };
        let range = self.begin + HEADER..self.end;
        // What has come is less than all of it.
        let missing = u32::from_be_bytes(*bytes) as usize - 1 - range.len();
        (self.begin, self.wanted) = (self.end, LENGTH);
        Ok(Some(((tag, range), missing)))
    }

    fn length(&mut self, limit: usize) -> Result<Option<usize>, BadFrame> {
        let Some(bytes) = self.held[self.begin..self.end].first_chunk::<LENGTH>() else {
            self.wanted = LENGTH;
            return Ok(None);
        };
        match u32::from_be_bytes(*bytes) as usize {
            0 => Err(BadFrame::Empty),
            length if length > limit => Err(BadFrame::TooLong { length, limit }),
            length => Ok(Some(length)),
        }
    }

    fn take(&mut self, header: usize, length: usize) -> Option<Range<usize>> {
        let from = self.begin + header;
        if self.end < from + length {
            self.wanted = header + length;
            return None;
        }
        self.begin = from + length;
        Some(from..from + length)
    }
}

/// A message of the simple form as one frame.
///
/// # Errors
/// If it is longer than this sender may send.
pub fn message(sender: Sender, message: &impl Serialize) -> Result<Vec<u8>, BadFrame> {
    encode(&[], message, sender.message_max())
}

/// A [`Control`](super::Control) or an [`Event`](super::Event) as one frame of the streaming form.
///
/// # Errors
/// If it is longer than this sender may send.
pub fn control(sender: Sender, said: &impl Serialize) -> Result<Vec<u8>, BadFrame> {
    encode(&[Tag::Control as u8], said, sender.frame_max(Tag::Control))
}

fn encode(tag: &[u8], said: &impl Serialize, limit: usize) -> Result<Vec<u8>, BadFrame> {
    let mut frame = [&[0; LENGTH], tag].concat();
    serde_json::to_writer(&mut frame, said).expect("its keys are texts, and memory takes all");
    let length = frame.len() - LENGTH;
    match u32::try_from(length).ok().filter(|_| length <= limit) {
        Some(bytes) => frame[..LENGTH].copy_from_slice(&bytes.to_be_bytes()),
        None => return Err(BadFrame::TooLong { length, limit }),
    }
    Ok(frame)
}

/// Cuts bytes into frames: a header for each, and where its payload lies, for writev(2). No bytes are one empty
/// frame.
pub fn chunks(tag: Tag, bytes: &[u8]) -> impl Iterator<Item = ([u8; HEADER], &[u8])> {
    let empty = bytes.is_empty().then_some(bytes);
    bytes.chunks(CHUNK_MAX).chain(empty).map(move |payload| (header(tag, payload), payload))
}

fn header(tag: Tag, payload: &[u8]) -> [u8; HEADER] {
    // At most CHUNK_MAX.
    let [a, b, c, d] = (1 + payload.len() as u32).to_be_bytes();
    [a, b, c, d, tag as u8]
}

#[cfg(test)]
mod tests;
