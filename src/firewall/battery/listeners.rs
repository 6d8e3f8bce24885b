//! Listens on the host, outside the sandbox, and notes what arrives.

use super::attempt_of;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::time::{Duration, Instant};

/// TCP and UDP on every address of the host, and an abstract unix socket.
pub struct Listeners {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    unix: UnixListener,
    /// The port of all of them.
    pub port: u16,
    /// The name of the unix socket.
    pub abstract_socket: String,
    secret: u64,
}

impl Listeners {
    /// Opens them on a port that is free for all. `secret` is what tokens are made of.
    ///
    /// # Errors
    /// If no port is free, or a socket is refused.
    pub fn open(secret: u64) -> io::Result<Self> {
        let first = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).or_else(|_| TcpListener::bind(("0.0.0.0", 0)))?;
        let port = first.local_addr()?.port();
        let dual = first.local_addr()?.is_ipv6();
        let any: SocketAddr = if dual { (Ipv6Addr::UNSPECIFIED, port).into() } else { ([0, 0, 0, 0], port).into() };
        let mut tcp = vec![first];
        let mut udp = vec![UdpSocket::bind(any)?];
        // Where net.ipv6.bindv6only is set, [::] leaves IPv4 free.
        tcp.extend(TcpListener::bind(("0.0.0.0", port)).ok());
        udp.extend(UdpSocket::bind(("0.0.0.0", port)).ok());
        let abstract_socket = format!("rcc-verify-{secret:016x}");
        let unix = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&abstract_socket)?)?;
        tcp.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        udp.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        unix.set_nonblocking(true)?;
        Ok(Self { tcp, udp, unix, port, abstract_socket, secret })
    }

    /// The attempts whose tokens have arrived so far. To be called when the sandbox is done; what
    /// is still under way gets `patience`.
    ///
    /// # Errors
    /// If waiting fails.
    pub fn arrivals(&self, patience: Duration) -> io::Result<BTreeSet<usize>> {
        let mut arrived = BTreeSet::new();
        let deadline = Instant::now() + patience;
        loop {
            self.collect(&mut arrived);
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(arrived);
            }
            let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
            let mut fds: Vec<PollFd<'_>> = self.tcp.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
            fds.extend(self.udp.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
            fds.push(PollFd::new(&self.unix, PollFlags::IN));
            poll(&mut fds, Some(&timeout))?;
        }
    }

    fn collect(&self, arrived: &mut BTreeSet<usize>) {
        for socket in &self.udp {
            let mut datagram = [0; 16];
            while let Ok((length, _)) = socket.recv_from(&mut datagram) {
                arrived.extend(attempt_of(self.secret, &datagram[..length]));
            }
        }
        let accepted = self.tcp.iter().flat_map(|socket| std::iter::from_fn(|| socket.accept().ok()));
        for (mut stream, _) in accepted {
            arrived.extend(read_token(&mut stream, self.secret));
        }
        while let Ok((mut stream, _)) = self.unix.accept() {
            arrived.extend(read_token(&mut stream, self.secret));
        }
    }
}

/// The sender writes at once after connecting, and is done by the time that anybody looks.
fn read_token(stream: &mut impl Read, secret: u64) -> Option<usize> {
    let mut token = [0; 16];
    stream.read_exact(&mut token).ok()?;
    attempt_of(secret, &token)
}
