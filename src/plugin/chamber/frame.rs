//! What goes between the broker and the executor: frames on a pair of sockets.
//!
//! A frame is the length of its JSON and that of what follows the JSON, four bytes big-endian each, and both. Only
//! a credential follows, so that it is never part of a text. Descriptors come with a frame's first byte.
//!
//! Both ends are rcc's own and of one version. Lengths are capped all the same: the executor lives beside tools.

use crate::plugin::credential::SECRET_MAX;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// The longest JSON of a frame, in bytes: what a client may ask, escaped, and what the manifest adds.
pub(super) const JSON_MAX: usize = 8 << 20;
/// The length of a frame's head, in bytes.
pub(super) const HEAD: usize = 8;
/// Standard input, output and error.
pub(super) const STREAMS: usize = 3;

/// What the broker asks. Each has a number of its own, by which it is answered.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(super) enum Request {
    /// Keep the credential that follows.
    Secret { number: u64, name: String },
    /// Put a credential that is kept into a file of the credentials' directory, in the place of what is there.
    SecretFile { number: u64, name: String, file: String },
    /// Make a terminal.
    Terminal { number: u64 },
    /// Run a program; three descriptors come along.
    Start(Start),
    /// To the process group of a call.
    Signal { number: u64, signal: i32 },
    /// End a call and what it left running.
    Kill { number: u64 },
}

/// A call.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Start {
    pub number: u64,
    /// Absolute.
    pub program: PathBuf,
    /// With the name that the program is to have.
    pub argv: Vec<String>,
    /// All of the environment.
    pub environment: BTreeMap<String, String>,
    /// And of credentials: the variables and whose names they get.
    pub secret_environment: BTreeMap<String, String>,
    /// In the project, absolute; `None` is the home.
    pub directory: Option<PathBuf>,
    /// Whether one of the streams is to be its terminal.
    pub terminal: bool,
}

/// What the executor says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub(super) enum Reply {
    /// The first: the sandbox stands.
    Ready,
    /// A credential is kept or written; a program runs.
    Done { number: u64 },
    /// A terminal was made; its master comes along.
    Terminal { number: u64 },
    /// It is not.
    Failed { number: u64, exit_code: u8, error: String },
    /// A call with a terminal was stopped, as by a key.
    Stopped { number: u64 },
    /// A call has ended, and its process group with it.
    Exited { number: u64, code: Option<u8>, signal: Option<i32> },
}

/// A length that no honest end sends, or what cannot be read as JSON.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// See [`JSON_MAX`] and [`SECRET_MAX`].
    #[error("a frame of {json} and {rest} bytes is longer than any that is sent")]
    TooLong { json: usize, rest: usize },
    /// Not JSON, or not of this kind.
    #[error("a frame cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

/// A frame's head and JSON.
pub(super) fn encode<T: Serialize>(message: &T, rest: usize) -> Result<Vec<u8>, FrameError> {
    let json = serde_json::to_vec(message)?;
    check(json.len(), rest)?;
    let lengths = [json.len() as u32, rest as u32].map(u32::to_be_bytes);
    Ok([lengths.as_flattened(), &json].concat())
}

/// The two lengths of a head.
pub(super) fn lengths(head: [u8; HEAD]) -> Result<(usize, usize), FrameError> {
    let [json, rest] =
        [&head[..4], &head[4..]].map(|half| half.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)));
    check(json, rest)?;
    Ok((json, rest))
}

fn check(json: usize, rest: usize) -> Result<(), FrameError> {
    if json > JSON_MAX || rest > SECRET_MAX { Err(FrameError::TooLong { json, rest }) } else { Ok(()) }
}

/// Sends what the socket takes; the descriptors go with the first byte.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    along: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !along.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(along));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)
}

/// Receives what there is, and adds the descriptors that came along: at most [`STREAMS`] for one frame.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    along: &mut Vec<OwnedFd>,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            along.extend(descriptors);
        }
    }
    let whole = !received.flags.contains(ReturnFlags::CTRUNC) && along.len() <= STREAMS;
    if whole { Ok(received.bytes) } else { Err(Errno::BADMSG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_it_is() {
        let frame = encode(&Request::Secret { number: 7, name: "token".into() }, 5).unwrap();
        let (head, json) = frame.split_first_chunk().unwrap();
        assert_eq!(lengths(*head).unwrap(), (json.len(), 5));
        assert_eq!(
            serde_json::from_slice::<Request>(json).unwrap(),
            Request::Secret { number: 7, name: "token".into() }
        );
    }

    #[test]
    fn lengths_are_capped_before_anything_is_read() {
        for (json, rest) in [(JSON_MAX + 1, 0), (0, SECRET_MAX + 1), (u32::MAX as usize, u32::MAX as usize)] {
            let head = [json as u32, rest as u32].map(u32::to_be_bytes);
            let head = head.as_flattened().try_into().unwrap();
            assert!(matches!(lengths(head), Err(FrameError::TooLong { .. })), "{json} {rest}");
        }
    }
}
