//! What the processes that prepare and guard a sandbox tell the launcher.
//!
//! Only rcc's own code holds the writing end, and in the end only the supervisor: the sandbox's
//! PID 1 closes it before the agent exists.

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Longest message, tag included; longer texts are cut.
const MESSAGE_MAX: usize = 4096;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Everything is verified; the agent starts.
    Ready,
    /// Nothing was started, and why.
    Refused(String),
    /// The sandbox lost its network, and why.
    Cut(String),
    /// Every process of the sandbox has ended, and pasta was killed.
    Ended,
}

/// The launcher's end.
#[derive(Debug)]
pub struct Reports(OwnedFd);

/// The end that tells.
#[derive(Debug)]
pub struct Reporter(OwnedFd);

/// A connected pair.
pub fn channel() -> Result<(Reports, Reporter), Errno> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Reports(ours), Reporter(theirs)))
}

impl Reporter {
    /// Tells. A launcher that is gone needs no telling.
    pub fn tell(&self, report: &Report) {
        let (tag, text) = match report {
            Report::Ready => (b'R', ""),
            Report::Refused(text) => (b'X', text.as_str()),
            Report::Cut(text) => (b'C', text.as_str()),
            Report::Ended => (b'E', ""),
        };
        let mut message = vec![tag];
        message.extend(text.bytes().take(MESSAGE_MAX - 1));
        let _ = send(&self.0, &message, SendFlags::NOSIGNAL);
    }

    /// Closes this process's copy, for a forked child that only borrows the reporter.
    ///
    /// # Safety
    /// The process must neither use nor drop the reporter afterwards.
    pub unsafe fn close_copy(&self) {
        // SAFETY: the caller gives the descriptor up.
        unsafe { rustix::io::close(self.0.as_raw_fd()) };
    }
}

impl Reports {
    /// The next message; `None` when every teller is gone.
    pub fn next(&self) -> Result<Option<Report>, Errno> {
        let mut buffer = [0; MESSAGE_MAX];
        let length = loop {
            match recv(&self.0, &mut buffer, RecvFlags::empty()) {
                Ok((length, _)) => break length,
                Err(Errno::INTR) => (),
                Err(error) => return Err(error),
            }
        };
        let Some((tag, text)) = buffer[..length].split_first() else { return Ok(None) };
        let text = String::from_utf8_lossy(text).into_owned();
        Ok(Some(match tag {
            b'R' => Report::Ready,
            b'C' => Report::Cut(text),
            b'E' => Report::Ended,
            _ => Report::Refused(text),
        }))
    }
}

/// Of a descriptor that came from where [`channel`] was called.
impl From<OwnedFd> for Reporter {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl AsFd for Reporter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_in_order_and_end() {
        let (reports, reporter) = channel().unwrap();
        let told = [Report::Ready, Report::Cut("gone".into()), Report::Ended, Report::Refused("x".repeat(10_000))];
        told.iter().for_each(|report| reporter.tell(report));
        drop(reporter);
        assert_eq!(reports.next().unwrap(), Some(Report::Ready));
        assert_eq!(reports.next().unwrap(), Some(Report::Cut("gone".into())));
        assert_eq!(reports.next().unwrap(), Some(Report::Ended));
        assert_eq!(reports.next().unwrap(), Some(Report::Refused("x".repeat(MESSAGE_MAX - 1))));
        assert_eq!(reports.next().unwrap(), None);
    }
}
