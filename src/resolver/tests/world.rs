//! The vocabulary: a policy, a resolver that has it, an upstream that answers as it is told.

use crate::firewall::grants::{Grant, GrantError};
use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use crate::policy::ruleset::{IdentityRange, Ruleset, Version};
use crate::policy::{Exception, Listed, Policy, Ports, Profile, ProfileName, Protocol, Reach, Target};
use crate::resolver::bell::Bell;
use crate::resolver::{Config, Resolver, Rules};
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub(super) fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn ports(port: &str) -> Ports {
    Ports::new(vec![port.parse().unwrap()]).unwrap()
}

/// `HOST:PORT`, as in the configuration.
fn place(text: &str) -> (&str, Ports) {
    let (host, port) = text.rsplit_once(':').unwrap();
    (host, ports(port))
}

fn exception(text: &str) -> Exception {
    let (host, ports) = place(text);
    let net = host.parse::<ipnet::IpNet>().or_else(|_| host.parse::<IpAddr>().map(Into::into));
    let target = net.map_or_else(|_| Target::Domain(host.parse().unwrap()), Target::Address);
    Exception { target, ports, protocol: Protocol::Tcp }
}

/// A policy of one profile: with these exceptions, and listed if `listed` is there.
pub(super) fn ruleset(exceptions: &[&str], listed: Option<&[&str]>) -> Ruleset {
    let reach = listed.map_or(Reach::Public, |listed| {
        Reach::Listed(
            listed
                .iter()
                .map(|text| {
                    let (host, ports) = place(text);
                    Listed { pattern: host.parse().unwrap(), ports, protocol: Protocol::Tcp }
                })
                .collect(),
        )
    });
    let exceptions = exceptions.iter().map(|text| exception(text)).collect();
    let policy = Policy {
        profiles: vec![Profile { name: ProfileName::public(), exceptions, reach }],
        users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).unwrap()],
        private: vec![],
        vpn_interfaces: vec![],
        bridging: None,
    };
    let mut ruleset = Ruleset::from(&policy);
    ruleset.profiles[0].identities.push(IdentityRange { first: me(), last: me() });
    ruleset
}

/// An upstream on loopback. What it answers is decided by a function of the query; several messages may
/// come of one datagram, over TCP only the first is sent.
pub(super) struct Upstream {
    pub address: SocketAddr,
    /// Every query that came, with whether it came over TCP.
    pub asked: Arc<Mutex<Vec<(Message, bool)>>>,
}

type Script = Box<dyn Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync>;

impl Upstream {
    pub fn start(script: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let script: Arc<Script> = Arc::new(Box::new(script));
        let (udp, tcp) = same_port();
        let address = udp.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (script_tcp, asked_tcp) = (Arc::clone(&script), Arc::clone(&asked));
        let asked_udp = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                asked_udp.lock().unwrap().push((query.clone(), false));
                for answer in script(&query, false) {
                    let _ = udp.send_to(&answer, peer);
                }
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let _ = serve_tcp(&mut stream.unwrap(), &script_tcp, &asked_tcp);
            }
        });
        Self { address, asked }
    }

    /// Answers what [`answer`] gives for the records.
    pub fn fixed(records: Vec<Record>) -> Self {
        Self::start(move |query, _| vec![answer(query, &records)])
    }

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn serve_tcp(stream: &mut TcpStream, script: &Script, asked: &Mutex<Vec<(Message, bool)>>) -> std::io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes)?;
    let query = Message::from_vec(&bytes).unwrap();
    asked.lock().unwrap().push((query.clone(), true));
    if let Some(answer) = script(&query, true).first() {
        stream.write_all(&(answer.len() as u16).to_be_bytes())?;
        stream.write_all(answer)?;
    }
    Ok(())
}

fn same_port() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

/// The reply to a query with these records in the answer section.
pub(super) fn reply(query: &Message, records: &[Record]) -> Message {
    let mut message = Message::error_msg(query.metadata.id, query.metadata.op_code, ResponseCode::NoError);
    message.add_query(query.queries[0].clone());
    message.answers = records.to_vec();
    message
}

pub(super) fn answer(query: &Message, records: &[Record]) -> Vec<u8> {
    reply(query, records).to_vec().unwrap()
}

/// An address record.
pub(super) fn at(owner: &str, address: &str, ttl: u32) -> Record {
    let data = match address.parse().unwrap() {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    };
    Record::from_rdata(name(owner), ttl, data)
}

pub(super) fn alias(owner: &str, target: &str, ttl: u32) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}

/// A resolver, what it has opened, and a client.
pub(super) struct World {
    pub resolver: Resolver,
    pub granted: Arc<Mutex<Vec<Grant>>>,
}

impl World {
    pub fn start(ruleset: Ruleset, upstreams: &[SocketAddr]) -> Self {
        let granted = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&granted);
        let opener = move |_: &Ruleset, _: &Version, grants: &[Grant]| {
            recorder.lock().unwrap().extend_from_slice(grants);
            Ok(())
        };
        Self { resolver: start(ruleset, upstreams, opener), granted }
    }

    pub fn ask(&self, text: &str, kind: RecordType) -> Message {
        self.send(&query(text, kind)).expect("an answer")
    }

    pub fn send(&self, query: &Message) -> Option<Message> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.send_from(&socket, query)
    }

    pub fn send_from(&self, socket: &UdpSocket, query: &Message) -> Option<Message> {
        socket.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
        socket.send_to(&query.to_vec().unwrap(), self.resolver.address()).unwrap();
        let mut buffer = [0; 65_535];
        let length = socket.recv(&mut buffer).ok()?;
        let message = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(message.metadata.id, query.metadata.id);
        Some(message)
    }

    pub fn ask_tcp(&self, query: &Message) -> Message {
        let mut stream = TcpStream::connect(self.resolver.address()).unwrap();
        exchange_tcp(&mut stream, query)
    }

    pub fn addresses(&self, text: &str, kind: RecordType) -> Vec<String> {
        addresses(&self.ask(text, kind))
    }

    pub fn granted(&self) -> Vec<String> {
        let granted = self.granted.lock().unwrap();
        granted.iter().map(|grant| format!("{:?} {}", grant.kind, grant.address)).collect()
    }
}

/// As if they were loaded.
pub(super) fn rules(ruleset: Ruleset) -> Rules {
    let on_link = vec!["198.51.100.0/24".parse().unwrap()];
    Rules { ruleset: Arc::new(ruleset), version: Version::new([0; 32]), on_link, own: vec![] }
}

pub(super) fn start(
    ruleset: Ruleset,
    upstreams: &[SocketAddr],
    opener: impl FnMut(&Ruleset, &Version, &[Grant]) -> Result<(), GrantError> + Send + 'static,
) -> Resolver {
    // A port that is free for both, and still is a moment later.
    let listen = same_port().0.local_addr().unwrap();
    Resolver::start(Config {
        listen,
        rules: rules(ruleset),
        upstreams: upstreams.to_vec(),
        opener: Box::new(opener),
        bell: Bell::new().unwrap(),
    })
    .unwrap()
}

pub(super) fn exchange_tcp(stream: &mut TcpStream, query: &Message) -> Message {
    let bytes = query.to_vec().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
    stream.write_all(&(bytes.len() as u16).to_be_bytes()).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes).unwrap();
    Message::from_vec(&bytes).unwrap()
}

pub(super) fn addresses(message: &Message) -> Vec<String> {
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(address.to_string()),
        RData::AAAA(address) => Some(address.to_string()),
        _ => None,
    };
    message.answers.iter().filter_map(address).collect()
}

pub(super) fn query(text: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(text), kind));
    message
}

pub(super) fn with_edns(mut query: Message, size: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(size);
    query.set_edns(edns);
    query
}

/// The code of RFC 8914, where there is one.
pub(super) fn extended_error(message: &Message) -> Option<u16> {
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
    match message.edns.as_ref()?.option(EdnsCode::Unknown(15))? {
        EdnsOption::Unknown(_, data) => Some(u16::from_be_bytes([data[0], data[1]])),
        _ => None,
    }
}
