//! The kernel's log of denials, by netlink. Needs CAP_NET_ADMIN in the network namespace.

use super::message::{self, Logged, Message};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// What waits in the kernel at most, in bytes; beyond, records are lost and nobody is slowed. The
/// kernel grants what `net.core.rmem_max` allows.
const BUFFER: usize = 1 << 20;
/// Longer than any datagram of the kernel's (`NLMSG_GOODSIZE`).
const DATAGRAM: usize = 1 << 16;

/// A subscription to one group.
#[derive(Debug)]
pub struct Nflog {
    socket: Socket,
    buffer: Vec<u8>,
    /// The number that the next record has if none is lost.
    next: Option<u32>,
}

/// Subscribes to a group of the calling thread's network namespace. Only one can at a time.
pub fn open(group: u16, snaplen: u32) -> io::Result<Nflog> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.set_rx_buf_sz(BUFFER as i32)?;
    socket.send_to(&message::bind(group, snaplen), &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let refused = message::parse(&answer).into_iter().find_map(|message| match message {
        Message::Answer(code) if code != 0 => Some(io::Error::from_raw_os_error(-code)),
        _ => None,
    });
    socket.set_non_blocking(true)?;
    match refused {
        Some(error) => Err(error),
        None => Ok(Nflog { socket, buffer: vec![0; DATAGRAM], next: None }),
    }
}

impl Nflog {
    /// Waits for records, or until `bell` is readable; for ever without a patience.
    pub fn wait(&self, bell: Option<BorrowedFd<'_>>, patience: Option<Duration>) -> io::Result<()> {
        let time = patience.map(|time| Timespec { tv_sec: time.as_secs() as _, tv_nsec: time.subsec_nanos().into() });
        let sources = [Some(self.as_fd()), bell].into_iter().flatten();
        let mut sources: Vec<PollFd<'_>> = sources.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut sources, time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Hands over the records that are there, some hundreds at most; how many were lost before
    /// them. An error is the end of the subscription.
    pub fn receive(&mut self, mut each: impl FnMut(Logged<'_>)) -> io::Result<u64> {
        let mut lost = 0;
        // A flood must not keep the caller from its other work.
        for _ in 0..256 {
            let mut space = &mut self.buffer[..];
            let (length, from) = match self.socket.recv_from(&mut space, 0) {
                Ok(received) => received,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => break,
                    // Records were lost: the next one's number tells how many.
                    Some(libc::ENOBUFS | libc::EINTR) => continue,
                    _ => return Err(error),
                },
            };
            if from.port_number() != 0 {
                continue;
            }
            for message in message::parse(self.buffer.get(..length).unwrap_or_default()) {
                let Message::Logged(logged) = message else { continue };
                if let Some(number) = logged.sequence {
                    lost += u64::from(self.next.map_or(0, |next| number.wrapping_sub(next)));
                    self.next = Some(number.wrapping_add(1));
                }
                each(logged);
            }
        }
        Ok(lost)
    }
}

impl AsFd for Nflog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as it is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}
