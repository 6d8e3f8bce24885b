//! The executor's end of the pair of sockets.

use crate::plugin::chamber::frame::{self, HEAD, Reply, Request, STREAMS};
use crate::plugin::credential::wipe;
use crate::runtime::embedded::lockdown;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::SendFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the broker asked.
pub(super) struct Frame {
    pub request: Request,
    /// What follows the JSON: a credential.
    pub rest: Vec<u8>,
    /// Descriptors that came along.
    pub streams: Vec<OwnedFd>,
}

pub(super) struct Socket(OwnedFd);

impl Socket {
    /// Standard input, which is nothing afterwards; nothing else is left open of what was inherited.
    pub fn take_stdin() -> Result<Self, Errno> {
        // SAFETY: the process was forked for the executor and ends by _exit: nobody uses or drops what was open.
        unsafe { lockdown::close_inherited(&[]) }.map_err(|_| Errno::BADF)?;
        let socket = fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        crate::terminal::stdio::replace_with_null().map_err(|_| Errno::NODEV)?;
        Ok(Self(socket))
    }

    /// The next frame; `None` at the end. An error where the broker says what it must not.
    pub fn next(&self) -> Result<Option<Frame>, Errno> {
        let (mut head, mut streams) = ([0; HEAD], Vec::new());
        if !self.fill(&mut head, &mut streams)? {
            return Ok(None);
        }
        let (json, rest) = frame::lengths(head).map_err(|_| Errno::MSGSIZE)?;
        let mut text = vec![0; json];
        let mut bytes = vec![0; rest];
        if !self.fill(&mut text, &mut streams)? || !self.fill(&mut bytes, &mut streams)? {
            wipe(&mut bytes);
            return Err(Errno::PIPE);
        }
        let request: Request = serde_json::from_slice(&text).map_err(|_| Errno::BADMSG)?;
        let expected = if matches!(request, Request::Start(_)) { STREAMS } else { 0 };
        if streams.len() != expected {
            return Err(Errno::BADMSG);
        }
        Ok(Some(Frame { request, rest: bytes, streams }))
    }

    /// Reads so many bytes; `false` if the broker has closed its end.
    fn fill(&self, mut buffer: &mut [u8], streams: &mut Vec<OwnedFd>) -> Result<bool, Errno> {
        while !buffer.is_empty() {
            let received = match frame::receive(self.0.as_fd(), buffer, streams) {
                Err(Errno::INTR) => continue,
                received => received?,
            };
            if received == 0 {
                return Ok(false);
            }
            buffer = &mut buffer[received..];
        }
        Ok(true)
    }

    /// Tells the broker, which always reads. A descriptor goes with the first byte.
    pub fn tell(&self, reply: &Reply, mut along: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let frame = frame::encode(reply, 0).map_err(|_| Errno::MSGSIZE)?;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            match frame::send(self.0.as_fd(), rest, along.as_slice(), SendFlags::NOSIGNAL) {
                Ok(sent) => (rest, along) = (&rest[sent..], None),
                Err(Errno::INTR) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
