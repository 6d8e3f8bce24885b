//! The sockets that sandboxes ask at.

use super::asker::{Owners, Protocol};
use super::core::Core;
use super::fair::Fair;
use super::question::{self, QUERY_MAX, Question, Unanswerable};
use super::reply::Carrier;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Datagrams that are taken from the kernel before any of them is answered, so that a flood is seen as one:
/// more than come in while [`TURNS`] are answered, or the kernel would drop everybody's.
const BURST: usize = 1024;
/// Datagrams of one identity that wait for their turn.
const QUEUED_MAX: usize = 64;
/// Datagrams that are answered before the next burst is looked for.
const TURNS: usize = 8;
/// A connection that says nothing for so long, or does not take its answer, is closed (RFC 7766, 6.2.3
/// leaves the time to us).
const IDLE: Duration = Duration::from_secs(10);
/// After a connection could not be accepted, for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Asks the kernel whose sockets they are, and opens a new way to ask if the old one fails.
struct Doorkeeper {
    owners: RefCell<Owners>,
    own: SocketAddr,
}

impl Doorkeeper {
    fn new(own: SocketAddr) -> io::Result<Self> {
        Ok(Self { owners: RefCell::new(Owners::open()?), own })
    }

    /// The network identity at `peer`; nobody if it is none.
    fn identity(&self, core: &Core, protocol: Protocol, peer: SocketAddr) -> io::Result<Option<u32>> {
        if let Some(identity) = core.placed(peer.ip()) {
            return Ok(Some(identity));
        }
        let mut owners = self.owners.borrow_mut();
        let uid = match owners.uid(protocol, peer, self.own) {
            Ok(uid) => uid,
            Err(error) => {
                tracing::warn!("cannot ask the kernel who {peer} is: {error}");
                *owners = Owners::open()?;
                None
            }
        };
        Ok(uid.filter(|uid| core.is_identity(*uid)))
    }
}

/// Answers datagrams. Returns if the kernel cannot be asked any more. The socket must not block; that it
/// can be written to is of no interest, which saves waking up once for each answer.
pub(super) async fn udp(core: Rc<Core>, socket: Rc<UdpSocket>) -> io::Result<()> {
    // SAFETY: the socket is open as long as it is in there, and nobody gives it another descriptor.
    let readable = unsafe { AsyncFd::register_with_interest(Rc::clone(&socket), Interest::READABLE) }?;
    let door = Doorkeeper::new(socket.local_addr()?)?;
    let mut queue: Fair<(u32, SocketAddr, Vec<u8>)> = Fair::new(QUEUED_MAX);
    let mut buffer = vec![0; QUERY_MAX + 1];
    // Whose sockets they are, within one burst: a flood comes from few, and is to be dropped at little cost.
    let mut known: HashMap<SocketAddr, Option<u32>> = HashMap::new();
    loop {
        let mut ready = if queue.is_empty() { Some(readable.readable().await?) } else { None };
        known.clear();
        let mut first = true;
        for _ in 0..BURST {
            let (length, peer) = match socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(ready) = &mut ready {
                        ready.clear_ready();
                    }
                    break;
                }
                // An ICMP error of an answer that came too late.
                Err(_) => continue,
            };
            let identity = match known.get(&peer) {
                Some(identity) => *identity,
                None => *known.entry(peer).or_insert(door.identity(&core, Protocol::Udp, peer)?),
            };
            let Some(identity) = identity else { continue };
            // Nobody waits: nobody can be overtaken.
            if first && queue.is_empty() {
                first = false;
                datagram(&core, &socket, identity, peer, &buffer[..length]);
                continue;
            }
            // Too many of the same: they are dropped, whoever asked asks again.
            let _ = queue.push(identity, (identity, peer, buffer[..length].to_vec()));
        }
        for _ in 0..TURNS {
            let Some((identity, peer, bytes)) = queue.pop() else { break };
            datagram(&core, &socket, identity, peer, &bytes);
        }
        if !queue.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

fn datagram(core: &Rc<Core>, socket: &Rc<UdpSocket>, identity: u32, peer: SocketAddr, bytes: &[u8]) {
    let send = |reply: &[u8]| {
        // A full buffer: as if it had been lost on the way.
        let _ = socket.send_to(reply, peer);
    };
    if let Some(reply) = core.repeated(identity, bytes) {
        return send(&reply);
    }
    let question: Question = match question::read(bytes) {
        Ok(question) => question,
        Err(Unanswerable::Noise) => return,
        Err(Unanswerable::Reply(reply)) => return send(&reply),
    };
    if let Some(reply) = core.answer_now(identity, &question, bytes) {
        return send(&reply);
    }
    let (core, socket) = (Rc::clone(core), Rc::clone(socket));
    tokio::task::spawn_local(async move {
        if let Some(reply) = core.answer(identity, &question, Carrier::Udp).await {
            let _ = socket.send_to(&reply, peer);
        }
    });
}

/// Answers connections. Returns if the kernel cannot be asked any more.
pub(super) async fn tcp(core: Rc<Core>, listener: TcpListener) -> io::Result<()> {
    let door = Doorkeeper::new(listener.local_addr()?)?;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(identity) = door.identity(&core, Protocol::Tcp, peer)? else { continue };
        let Some(counted) = core.limits.connection(identity) else { continue };
        let core = Rc::clone(&core);
        tokio::task::spawn_local(async move {
            // However it ends, it is over.
            let _ = connection(&core, identity, stream).await;
            drop(counted);
        });
    }
}

/// Answers one question after the other, until the peer is silent or says what is no query.
async fn connection(core: &Core, identity: u32, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Ok(bytes) = timeout(IDLE, message(&mut stream)).await else { return Ok(()) };
        let reply = match question::read(&bytes?) {
            Ok(question) => core.answer(identity, &question, Carrier::Tcp).await,
            Err(Unanswerable::Noise) => None,
            Err(Unanswerable::Reply(reply)) => Some(reply),
        };
        let Some(reply) = reply else { return Ok(()) };
        let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &reply].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

/// One message; an error if it is longer than any query.
async fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > QUERY_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
