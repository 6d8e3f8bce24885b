//! Makes the attempts, inside the sandbox. No program is needed there.

use super::{Action, Attempt, Seen, token};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long an answer may take. Denials come at once; only what is lost on the way takes this.
const PATIENCE: Duration = Duration::from_millis(600);

/// Attempts under way at once: what is lost on the way is waited for together.
const AT_ONCE: usize = 32;

/// Makes all attempts and writes one JSON line for each to `out`. The first one is made alone: it
/// is the one that would change what the others meet.
///
/// # Errors
/// If `out` cannot be written.
pub fn run_inside(attempts: &[Attempt], secret: u64, out: OwnedFd) -> io::Result<()> {
    let out = Mutex::new(File::from(out));
    let make = |number: usize| -> io::Result<()> {
        let Some(attempt) = attempts.get(number) else { return Ok(()) };
        let outcome = make(&attempt.action, &token(secret, number));
        let reached = outcome.is_ok();
        let detail = outcome.unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".to_owned(),
            _ => error.to_string(),
        });
        let mut line = serde_json::to_vec(&Seen { attempt: number, reached, detail })?;
        line.push(b'\n');
        out.lock().map_err(|_| io::Error::other("another attempt failed"))?.write_all(&line)
    };
    make(0)?;
    let next = AtomicUsize::new(1);
    std::thread::scope(|scope| {
        let work = || loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                number if number < attempts.len() => make(number)?,
                _ => return Ok(()),
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, io::Result<()>>| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("an attempt panicked")))
        };
        workers.into_iter().try_for_each(join)
    })
}

/// What was received, or why nothing was.
fn make(action: &Action, token: &[u8]) -> io::Result<String> {
    match action {
        Action::Tcp(to) => tcp(*to, token),
        Action::Udp(to) => udp(*to, token),
        Action::Echo(to) => echo(*to),
        Action::AbstractSocket(name) => unix(&UnixAddr::from_abstract_name(name)?, token),
        Action::PathSocket(path) => unix(&UnixAddr::from_pathname(path)?, token),
        Action::RawSocket => open(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)),
        Action::PacketSocket => open(AddressFamily::PACKET, SocketType::RAW, None),
        Action::EnterNetns => enter_netns(),
        Action::FlushFilters => flush_filters(),
    }
}

fn tcp(to: SocketAddr, token: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.write_all(token)?;
    Ok("connected".to_owned())
}

/// To port 53 a query for the root's name servers is sent, which every DNS server answers.
fn udp(to: SocketAddr, token: &[u8]) -> io::Result<String> {
    let any: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_broadcast(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    const QUERY: [u8; 17] = [0x72, 0x63, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    socket.send_to(if to.port() == 53 { &QUERY } else { token }, to)?;
    let (length, from) = socket.recv_from(&mut [0; 512])?;
    Ok(format!("{length} bytes from {from}"))
}

/// An unprivileged ping socket (icmp(7)): the kernel fills in the identifier and the checksum.
fn echo(to: IpAddr) -> io::Result<String> {
    let (family, protocol, request) = match to {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, 8),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, 128),
    };
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(protocol))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    rustix::net::sendto(&socket, &[request, 0, 0, 0, 0, 0, 0, 1], SendFlags::NOSIGNAL, &SocketAddr::new(to, 0))?;
    let (length, ..) = rustix::net::recv(&socket, &mut [0; 64][..], RecvFlags::empty())?;
    Ok(format!("{length} bytes"))
}

fn unix(to: &UnixAddr, token: &[u8]) -> io::Result<String> {
    UnixStream::connect_addr(to)?.write_all(token)?;
    Ok("connected".to_owned())
}

fn open(family: AddressFamily, kind: SocketType, protocol: Option<rustix::net::Protocol>) -> io::Result<String> {
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    Ok("opened".to_owned())
}

fn enter_netns() -> io::Result<String> {
    let namespace = File::open("/proc/1/ns/net")?;
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)?;
    Ok("entered".to_owned())
}

fn flush_filters() -> io::Result<String> {
    let nft = crate::facts::program("nft").ok_or(io::ErrorKind::NotFound)?;
    let mut flush = Command::new(nft);
    flush.args(["flush", "ruleset"]).env_clear().stdin(Stdio::null());
    // SAFETY: one system call between fork and exec, on nothing that is shared.
    unsafe {
        flush.pre_exec(|| {
            // Where this is refused, the flush is tried without.
            let _ = rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWUSER);
            Ok(())
        });
    }
    let flush = flush.output()?;
    if flush.status.success() {
        return Ok("flushed".to_owned());
    }
    Err(io::Error::other(String::from_utf8_lossy(&flush.stderr).lines().next().unwrap_or("failed").to_owned()))
}
