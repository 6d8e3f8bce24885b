//! What a keeper and those who are attached tell each other.
//!
//! A frame is a tag byte, the payload's length as four bytes big-endian, and the payload. Both sides are rcc of the
//! same user; the limits are there all the same.

use std::io::{self, Read};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest payload, in bytes.
pub const PAYLOAD_MAX: usize = 64 << 10;

const KEYS: u8 = b'k';
const SIZE: u8 = b's';
const SCREEN: u8 = b'o';
const PAST: u8 = b'p';
const ENDED: u8 = b'e';
const LAGGED: u8 = b'l';
const FULL: u8 = b'f';

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// To the keeper: what was typed.
    Keys(Vec<u8>),
    /// To the keeper: rows and columns.
    Size(u16, u16),
    /// From the keeper: what is to be shown.
    Screen(Vec<u8>),
    /// From the keeper: what was shown before.
    Past(Vec<u8>),
    /// From the keeper, as the last one: the run has ended with this status.
    Ended(u8),
    /// From the keeper, as the last one: the other side did not read fast enough.
    Lagged,
    /// From the keeper, as the only one: as many are attached as may be.
    Full,
}

impl Frame {
    /// As bytes. A payload above [`PAYLOAD_MAX`] would be refused by the other side.
    pub fn bytes(&self) -> Vec<u8> {
        let size;
        let (tag, payload): (u8, &[u8]) = match self {
            Self::Keys(keys) => (KEYS, keys),
            Self::Size(rows, columns) => {
                let ([a, b], [c, d]) = (rows.to_be_bytes(), columns.to_be_bytes());
                size = [a, b, c, d];
                (SIZE, &size)
            }
            Self::Screen(bytes) => (SCREEN, bytes),
            Self::Past(bytes) => (PAST, bytes),
            Self::Ended(status) => (ENDED, std::slice::from_ref(status)),
            Self::Lagged => (LAGGED, &[]),
            Self::Full => (FULL, &[]),
        };
        let mut bytes = Vec::with_capacity(5 + payload.len());
        bytes.push(tag);
        bytes.extend((payload.len() as u32).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Reads one; `None` at the end of the stream.
    ///
    /// # Errors
    /// The stream's, or `InvalidData` for what is no frame.
    pub fn read(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; 5];
        match stream.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let mut payload = vec![0; length(head)?];
        stream.read_exact(&mut payload)?;
        Self::parse(head[0], payload).map(Some)
    }

    /// The same without waiting in this thread.
    ///
    /// # Errors
    /// As [`Frame::read`].
    pub async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut head = [0; 5];
        match stream.read_exact(&mut head).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        };
        let mut payload = vec![0; length(head)?];
        stream.read_exact(&mut payload).await?;
        Self::parse(head[0], payload).map(Some)
    }

    fn parse(tag: u8, payload: Vec<u8>) -> io::Result<Self> {
        match (tag, payload.as_slice()) {
            (KEYS, _) => Ok(Self::Keys(payload)),
            (SIZE, [a, b, c, d]) => Ok(Self::Size(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))),
            (SCREEN, _) => Ok(Self::Screen(payload)),
            (PAST, _) => Ok(Self::Past(payload)),
            (ENDED, [status]) => Ok(Self::Ended(*status)),
            (LAGGED, []) => Ok(Self::Lagged),
            (FULL, []) => Ok(Self::Full),
            _ => Err(no_frame()),
        }
    }
}

fn length([_, head @ ..]: [u8; 5]) -> io::Result<usize> {
    usize::try_from(u32::from_be_bytes(head)).ok().filter(|length| *length <= PAYLOAD_MAX).ok_or_else(no_frame)
}

fn no_frame() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other side is no rcc of this version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let frames = [
            Frame::Keys(b"ls\r".to_vec()),
            Frame::Size(24, 300),
            Frame::Screen(vec![0; PAYLOAD_MAX]),
            Frame::Ended(255),
            Frame::Past(b"then".to_vec()),
            Frame::Lagged,
            Frame::Full,
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        let mut stream = bytes.as_slice();
        for frame in frames {
            assert_eq!(Frame::read(&mut stream).unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut stream).unwrap(), None);
    }

    #[test]
    fn what_is_no_frame_takes_no_memory_and_is_refused() {
        for bytes in [&b"k\xff\xff\xff\xff"[..], b"s\0\0\0\x03abc", b"e\0\0\0\0", b"l\0\0\0\x01x", b"x\0\0\0\0"] {
            assert_eq!(Frame::read(&mut &*bytes).unwrap_err().kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        // One that breaks off is no end of the stream.
        assert!(Frame::read(&mut &b"k\0\0\0\x05ab"[..]).is_err());
    }
}
