//! One question to one upstream: over UDP from a port of its own, over TCP where that is not enough.

use super::answer::{Answer, BadAnswer};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// What is taken of the upstream over UDP: one packet on an Ethernet (DNS flag day 2020), so that no
/// fragment can be forged.
const UDP_SIZE: u16 = 1232;
/// Datagrams that do not answer the question before somebody is thought to guess, and TCP is used.
const STRANGE_MAX: u32 = 8;
/// Octets that the shortest record has (RFC 1035, 4.1.3), and the shortest question.
const RECORD_MIN: usize = 11;
const QUESTION_MIN: usize = 5;
/// Octets of a header.
const HEADER: usize = 12;

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The network.
    #[error("cannot ask {upstream}: {source}")]
    Io {
        /// Who was asked.
        upstream: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// What came is no DNS message, or answers something else.
    #[error("{upstream} does not answer what it was asked")]
    Strange {
        /// Who was asked.
        upstream: SocketAddr,
    },
    /// The upstream answered that it cannot.
    #[error("{upstream}: {source}")]
    Bad {
        /// Who was asked.
        upstream: SocketAddr,
        /// What it said.
        source: BadAnswer,
    },
}

/// Asks. Waits for as long as it takes: the caller sets the limit by dropping this.
pub async fn exchange(upstream: SocketAddr, query: &Query) -> Result<Answer, ExchangeError> {
    let (id, bytes) = encode(query);
    let io = |source| ExchangeError::Io { upstream, source };
    let message = match udp(upstream, query, id, &bytes).await.map_err(io)? {
        Some(message) => message,
        None => tcp(upstream, query, id, &bytes).await.map_err(io)?.ok_or(ExchangeError::Strange { upstream })?,
    };
    Answer::from_message(message, query).map_err(|source| ExchangeError::Bad { upstream, source })
}

/// A query with a random id. No DNSSEC data is asked for, since answers are filtered.
fn encode(query: &Query) -> (u16, Vec<u8>) {
    // The id is drawn from the thread's generator, which the kernel seeds (rand, `ThreadRng`).
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_SIZE).set_version(0);
    message.set_edns(edns);
    (message.metadata.id, message.to_vec().unwrap_or_default())
}

/// `None` if TCP has to be used: the answer was cut, or somebody guesses.
async fn udp(upstream: SocketAddr, query: &Query, id: u16, bytes: &[u8]) -> io::Result<Option<Message>> {
    let any: SocketAddr = match upstream {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // The kernel draws the port at random (udp_lib_get_port, net/ipv4/udp.c), and delivers to a connected
    // socket only what comes from that very address and port.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(upstream).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; usize::from(UDP_SIZE)];
    for _ in 0..STRANGE_MAX {
        let length = socket.recv(&mut buffer).await?;
        let Some(message) = decode(&buffer[..length], query, id) else { continue };
        return Ok((!message.metadata.truncation).then_some(message));
    }
    Ok(None)
}

/// `None` if what comes answers something else.
async fn tcp(upstream: SocketAddr, query: &Query, id: u16, bytes: &[u8]) -> io::Result<Option<Message>> {
    let mut stream = TcpStream::connect(upstream).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let length = stream.read_u16().await?;
    let mut buffer = Vec::new();
    // Grows with what arrives, not with what was announced.
    (&mut stream).take(length.into()).read_to_end(&mut buffer).await?;
    if buffer.len() < usize::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // There is no larger carrier: what was cut over TCP is all there is.
    Ok(decode(&buffer, query, id))
}

/// The message, if it answers this very question.
pub fn decode(bytes: &[u8], query: &Query, id: u16) -> Option<Message> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
    let records = count(6) + count(8) + count(10);
    if u16::from_be_bytes([header[0], header[1]]) != id || count(4) != 1 {
        return None;
    }
    // No more records than fit, whatever the header promises.
    if records * RECORD_MIN + QUESTION_MIN > bytes.len() - HEADER {
        return None;
    }
    let message = Message::from_vec(bytes).ok()?;
    let is_answer = message.metadata.message_type == MessageType::Response && message.metadata.op_code == OpCode::Query;
    // Names compare without regard to case, as they should here: some upstreams change it.
    (is_answer && message.queries.first() == Some(query)).then_some(message)
}
