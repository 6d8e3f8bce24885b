//! What asks, what is connected to, and what answers: in sandboxes, under identities and outside.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Where the far side accepts connections, at every address.
pub const FAR_PORT: u16 = 443;
/// Where the host's own resolver is, which is what the resolver of the sandboxes asks.
pub const UPSTREAM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)), 53);
/// The names of the policy are below this domain, `n` and a number each.
pub const DOMAIN: &str = "example.com";
/// The number of a name is added to this address: public ones, each name its own.
const FIRST_ADDRESS: u32 = 0x5db8_0001;

/// A question and the connection that follows it, in nanoseconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct First {
    pub answer: u64,
    pub connection: u64,
}

pub fn print(times: &impl Serialize) -> ExitCode {
    println!("{}", serde_json::to_string(times).expect("numbers"));
    ExitCode::SUCCESS
}

/// Accepts connections and reads until their end. Never returns.
pub fn far() -> ExitCode {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, FAR_PORT)).expect("the port is free out there");
    println!("ready");
    for stream in listener.incoming() {
        // Whoever connected has gone by itself.
        let _ = stream.and_then(|stream| stream.shutdown(Shutdown::Both));
    }
    ExitCode::SUCCESS
}

/// Times of connections to a place, one after the other.
pub fn connects(to: SocketAddr, count: usize) -> Vec<u64> {
    (0..count).map(|_| connection(to)).collect()
}

fn connection(to: SocketAddr) -> u64 {
    let start = Instant::now();
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).expect("the far side accepts");
    let elapsed = start.elapsed();
    // A connection that is reset leaves no TIME_WAIT, of which there would be too many.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
    elapsed.as_nanos() as u64
}

/// What it takes from the first question for a name until the first connection to it, name by name.
pub fn first_connections(server: SocketAddr, first: usize, count: usize) -> Vec<First> {
    let socket = socket(server);
    let each = (first..first + count).map(|number| {
        let query = query(&name(number));
        let start = Instant::now();
        let address = ask(&socket, &query).expect("the name resolves");
        let answer = start.elapsed().as_nanos() as u64;
        First { answer, connection: connection(SocketAddr::new(address.into(), FAR_PORT)) }
    });
    each.collect()
}

/// A socket that asks one server.
pub fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    socket
}

/// The first address; nothing if there is none, or no answer.
pub fn ask(socket: &UdpSocket, query: &[u8]) -> Option<Ipv4Addr> {
    let mut buffer = [0; 1500];
    socket.send(query).ok()?;
    let length = socket.recv(&mut buffer).ok()?;
    let answer = Message::from_vec(&buffer[..length]).ok()?;
    answer.answers.iter().find_map(|record| match &record.data {
        RData::A(A(address)) => Some(*address),
        _ => None,
    })
}

pub fn name(number: usize) -> String {
    format!("n{number}.{DOMAIN}")
}

pub fn query(name: &str) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).expect("a name"), RecordType::A));
    message.to_vec().expect("a query")
}

/// The first nameserver of resolv.conf(5).
pub fn nameserver() -> SocketAddr {
    let text = fs::read_to_string("/etc/resolv.conf").expect("sandboxes have one");
    let address = text.lines().find_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok());
    SocketAddr::new(address.expect("a nameserver"), 53)
}

/// Runs under a network identity, in a thread of its own.
pub fn under<T: Send>(identity: u32, run: impl FnOnce() -> T + Send) -> T {
    let act = || {
        // SAFETY: setfsuid(2) changes this thread alone, which ends below, and fails by doing nothing.
        unsafe { libc::setfsuid(identity) };
        run()
    };
    thread::scope(|scope| scope.spawn(act).join().expect("it returns"))
}

/// Starts the host's own resolver: answers every name with a public address of its own, for an hour.
pub fn upstream() {
    let socket = UdpSocket::bind(UPSTREAM).expect("the port is free in here");
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
            // Whoever asked may have gone.
            let _ = socket.send_to(&reply(&query), peer);
        }
    });
}

fn reply(query: &Message) -> Vec<u8> {
    let mut reply = Message::error_msg(query.metadata.id, query.metadata.op_code, ResponseCode::NoError);
    reply.metadata.recursion_available = true;
    reply.add_query(query.queries[0].clone());
    let owner = query.queries[0].name.clone();
    let label = owner.iter().next().unwrap_or_default();
    let digits: String = label.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
    let address = Ipv4Addr::from(FIRST_ADDRESS + digits.parse::<u32>().unwrap_or(0) % 0xffff);
    reply.add_answer(Record::from_rdata(owner, 3600, RData::A(A(address))));
    reply.to_vec().expect("a reply")
}
