//! Whether the resolver answers, asked under a network identity.

use super::reply::{self, EXTENDED_ERROR, NAME};
use super::service::Config;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::BinDecodable;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long a service that is just being restarted may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest answer without EDNS (RFC 1035, 4.2.1).
const ANSWER_MAX: usize = 512;

/// It does not.
#[derive(Debug, thiserror::Error)]
#[error(
    "the resolver of the sandboxes does not answer at {address}: {source}; start the service with `sudo systemctl restart \
     rcc-firewall`, or without systemd by `sudo rcc firewall apply --watch`; its log says what it lacks",
    address = Config::ADDRESS
)]
pub struct NoAnswer {
    source: io::Error,
}

/// Asks for a name that the resolver knows by itself (`localhost`; RFC 6761, 6.3), for up to 3 s.
/// The answer has to be this resolver's: a DNS server that listens on every address of the host
/// keeps it from its port, and would answer sandboxes whatever their profile.
///
/// # Errors
/// If there is no answer, if it is another server's, or if the caller is no network identity.
pub fn ask() -> Result<(), NoAnswer> {
    ask_at(Config::ADDRESS, PATIENCE).map_err(|source| NoAnswer { source })
}

/// Whether it answers now, asked once as [`ask`] does.
pub fn answers() -> bool {
    matches!(once(Config::ADDRESS, PAUSE * 10), Ok(true))
}

pub(super) fn ask_at(address: SocketAddr, patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let failure = match once(address, PAUSE * 10) {
            Ok(true) => return Ok(()),
            Ok(false) => io::Error::other("something else answered"),
            Err(failure) => failure,
        };
        if Instant::now() + PAUSE > deadline {
            return Err(failure);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether something else answers in its place: the service has ended, and another DNS server listens
/// on every address. Silence is no such answer.
pub fn is_replaced() -> bool {
    matches!(once(Config::ADDRESS, PAUSE), Ok(false))
}

/// Whether the answer is this resolver's.
fn once(address: SocketAddr, patience: Duration) -> io::Result<bool> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    let mut question = Message::new(u16::from_ne_bytes(id), MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_ascii("localhost.").map_err(io::Error::other)?, RecordType::A));
    question.set_edns(reply::edns());
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(patience))?;
    socket.send(&bytes)?;
    let mut buffer = [0; ANSWER_MAX];
    let length = socket.recv(&mut buffer)?;
    let Ok(answer) = Message::from_bytes(&buffer[..length]) else { return Ok(false) };
    let to_us = answer.metadata.id == question.metadata.id && answer.metadata.message_type == MessageType::Response;
    Ok(to_us && is_ours(&answer))
}

/// RFC 8914, 2: a code of two octets, and text.
fn is_ours(answer: &Message) -> bool {
    let option = answer.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Unknown(EXTENDED_ERROR)));
    matches!(option, Some(EdnsOption::Unknown(_, data)) if data.get(2..) == Some(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{RData, Record};
    use std::thread::JoinHandle;

    /// Answers one query with these bytes made of it.
    fn server(answer: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; ANSWER_MAX];
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(&answer(&buffer[..length]), peer).unwrap();
        });
        (address, answering)
    }

    #[test]
    fn nobody_there_is_told() {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(ask_at(address, Duration::ZERO).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn neither_an_echo_nor_another_servers_answer_is_ours() {
        let another = |query: &[u8]| {
            let mut answer = Message::from_bytes(query).unwrap();
            answer.metadata.message_type = MessageType::Response;
            let localhost = RData::A(A(Ipv4Addr::LOCALHOST));
            answer.add_answer(Record::from_rdata(Name::from_ascii("localhost.").unwrap(), 60, localhost));
            answer.to_vec().unwrap()
        };
        for (address, answering) in [server(<[u8]>::to_vec), server(another)] {
            assert!(ask_at(address, Duration::ZERO).unwrap_err().to_string().contains("something else"));
            answering.join().unwrap();
        }
    }
}
