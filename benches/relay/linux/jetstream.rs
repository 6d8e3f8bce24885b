//! The other side: `nats-server` with a stream in files, and clients of its text protocol
//! (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).

use super::broker::{AHEAD, Broker, Ear, Heard, Mouth, Server, Session};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// When what was stored is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before the acknowledgement leaves, as the relay's receipts.
    Always,
    /// Two minutes later: what holds if nothing else is configured.
    Default,
}

pub struct JetStream {
    server: Server,
    address: SocketAddr,
    streams: usize,
    /// How [`Sync`] was brought about.
    pub how: &'static str,
}

impl JetStream {
    pub fn start(directory: &Path, sync: Sync) -> Self {
        let store = directory.join("store");
        std::fs::create_dir_all(&store).expect("the directory is ours");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let address = free.expect("a free port");
        let config = directory.join("nats.conf");
        let write = |more: &str| {
            let text = format!("listen: \"{address}\"\njetstream {{ store_dir: \"{}\" {more} }}\n", store.display());
            std::fs::write(&config, text).expect("the directory is ours");
        };
        let how = match sync {
            Sync::Default => {
                write("");
                "sync_interval 2m, its default"
            }
            Sync::Always => {
                write(", sync_interval: always");
                if knows(&config) {
                    "sync_interval: always"
                } else {
                    // Before 2.10 there is no such key. On a file with this attribute every write(2) waits for the
                    // disk (ext4(5)), and new files have it from their directory.
                    write("");
                    let directory = File::open(&store).expect("it is ours");
                    let flags = ioctl_getflags(&directory).expect("ext4");
                    ioctl_setflags(&directory, flags | IFlags::SYNC).expect("ext4");
                    "no sync_interval in this version: files with chattr +S"
                }
            }
        };
        let ready = || TcpStream::connect(address).is_ok();
        let server = Server::start(Command::new(program()).arg("-c").arg(&config), ready);
        Self { server, address, streams: 0, how }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_nodelay(true).expect("TCP");
        let lines = BufReader::with_capacity(64 << 10, stream.try_clone().expect("a descriptor"));
        let mut connection = Connection { stream, lines, line: Vec::new(), payload: Vec::new(), reply: String::new() };
        connection.write("CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB _I.r 1\r\n");
        connection
    }
}

pub fn program() -> PathBuf {
    std::env::var_os("NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from)
}

/// The server's version.
pub fn version() -> String {
    let said = Command::new(program()).arg("--version").output().expect("nats-server is installed");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

fn knows(config: &Path) -> bool {
    let mut test = Command::new(program());
    test.arg("-t").arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    test.status().expect("nats-server is installed").success()
}

impl Broker for JetStream {
    fn process(&self) -> u32 {
        self.server.process()
    }

    fn sessions(&mut self, count: usize, size: usize) -> Vec<Session> {
        self.streams += 1;
        let stream = format!("S{}", self.streams);
        let subjects = format!("m.{stream}.*");
        let mut host = self.connect();
        // One answers on `_I.r`: the subscription of everybody else has a number of its own.
        host.api(
            &format!("STREAM.CREATE.{stream}"),
            &json!({"name": stream, "subjects": [subjects], "storage": "file"}),
        );
        let each = (0..count).map(|number| {
            let (inbox, deliver) = (format!("_R.{stream}.{number}"), format!("_D.{stream}.{number}"));
            let mut connection = self.connect();
            connection.write(&format!("UNSUB 1\r\nSUB {inbox} 2\r\nSUB {deliver} 3\r\nPING\r\n"));
            connection.await_pong();
            let name = format!("c{number}");
            let consumer = json!({"stream_name": stream, "config": {
                "durable_name": name, "deliver_subject": deliver, "filter_subject": format!("m.{stream}.{number}"),
                "ack_policy": "all", "deliver_policy": "all", "max_ack_pending": (AHEAD / size).clamp(16, 1000),
            }});
            host.api(&format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"), &consumer);
            let writing = connection.stream.try_clone().expect("a descriptor");
            let mouth = NatsMouth { stream: writing, subject: format!("m.{stream}"), inbox, buffer: Vec::new() };
            (Box::new(mouth) as Box<dyn Mouth>, Box::new(NatsEar(connection)) as Box<dyn Ear>)
        });
        each.collect()
    }
}

struct Connection {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
    line: Vec<u8>,
    payload: Vec<u8>,
    reply: String,
}

impl Connection {
    fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("the server reads");
    }

    fn next_line(&mut self) {
        self.line.clear();
        let count = self.lines.read_until(b'\n', &mut self.line).expect("the server writes");
        assert!(count > 0, "the server hung up");
    }

    fn await_pong(&mut self) {
        while !self.line.starts_with(b"PONG") {
            self.next_line();
        }
    }

    /// The number of the subscription of the next message; its payload and where to answer are kept.
    fn message(&mut self) -> u32 {
        loop {
            self.next_line();
            if self.line.starts_with(b"PING") {
                self.write("PONG\r\n");
            }
            assert!(!self.line.starts_with(b"-ERR"), "{}", String::from_utf8_lossy(&self.line));
            let Some(rest) = self.line.strip_prefix(b"MSG ") else { continue };
            let words = std::str::from_utf8(rest).expect("text").split_whitespace();
            let words: Vec<&str> = words.collect();
            let size: usize = words[words.len() - 1].parse().expect("a size");
            let subscription = words[1].parse().expect("a number");
            self.reply.clear();
            self.reply.push_str(if words.len() == 4 { words[2] } else { "" });
            self.payload.resize(size + 2, 0);
            self.lines.read_exact(&mut self.payload).expect("as many bytes as it said");
            self.payload.truncate(size);
            return subscription;
        }
    }

    fn api(&mut self, what: &str, body: &Value) {
        let body = body.to_string();
        self.write(&format!("PUB $JS.API.{what} _I.r {}\r\n{body}\r\n", body.len()));
        self.message();
        let answer: Value = serde_json::from_slice(&self.payload).expect("JSON");
        assert!(answer.get("error").is_none(), "{what}: {answer}");
    }
}

struct NatsMouth {
    stream: TcpStream,
    subject: String,
    inbox: String,
    buffer: Vec<u8>,
}

impl Mouth for NatsMouth {
    fn say(&mut self, to: usize, text: &str) {
        write!(self.buffer, "PUB {}.{to} {} {}\r\n{text}\r\n", self.subject, self.inbox, text.len()).expect("memory");
    }

    fn flush(&mut self) {
        self.stream.write_all(&self.buffer).expect("the server reads");
        self.buffer.clear();
    }
}

struct NatsEar(Connection);

impl Ear for NatsEar {
    fn hear(&mut self) -> Heard {
        match self.0.message() {
            2 => {
                let payload = String::from_utf8_lossy(&self.0.payload);
                assert!(!payload.contains("\"error\""), "{payload}");
                Heard::Receipt
            }
            _ => Heard::Message,
        }
    }

    fn more(&self) -> bool {
        self.0.lines.buffer().contains(&b'\n')
    }

    fn text(&self) -> &[u8] {
        &self.0.payload
    }

    fn acknowledge(&mut self) {
        let line = format!("PUB {} 4\r\n+ACK\r\n", self.0.reply);
        self.0.write(&line);
    }
}
