//! Our side: the daemon as a child, and clients that do as little as they can.

use super::broker::{Broker, Ear, Heard, Mouth, Server, Session};
use rcc::relay::client::stream;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const CONFIG: &str = r#"[relay]
rate_limit = 1000000
rate_burst = 1000000
stored_messages = 1000000
stored_bytes = "8GiB"
max_sessions = 100000
"#;

/// A tmpfs.
const MEMORY: &str = "/dev/shm";

pub struct Relay {
    server: Server,
    socket: PathBuf,
    _runtime: TempDir,
    names: usize,
}

impl Relay {
    /// In that directory, which becomes its user's home. What a login has in memory (pam_systemd(8)) is there.
    pub fn start(directory: &Path) -> Self {
        let config = directory.join("rcc");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config).expect("the directory is ours");
        std::fs::write(config.join("config.toml"), CONFIG).expect("it is ours");
        let runtime = tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir_in(directory));
        let runtime = runtime.expect("the directory is ours");
        let socket = runtime.path().join("rcc/relay/relay.sock");
        let mut command = Command::new(std::env::var_os("RCC").expect("set on the way in"));
        command.args(["relay", "start"]).env_clear().current_dir(directory);
        command.env("HOME", directory).env("XDG_CONFIG_HOME", directory).env("XDG_RUNTIME_DIR", runtime.path());
        command.env("XDG_DATA_HOME", directory.join("data"));
        let server = Server::start(&mut command, || UnixStream::connect(&socket).is_ok());
        Self { server, socket, _runtime: runtime, names: 0 }
    }

    /// The host's own connection.
    pub fn host(&self) -> Connection {
        Connection::open(&self.socket)
    }

    /// Opens a session as its launcher does; its name and its socket.
    pub fn open(&mut self, host: &mut Connection) -> (String, PathBuf) {
        self.names += 1;
        let (name, root) = (format!("s{}", self.names), format!("/home/nobody/p{}", self.names));
        let open = json!({"type": "open", "session": name, "root": root, "project": name, "home": "/home/nobody"});
        let opened = host.ask(&open);
        let directory = opened["data"]["directory"].as_str().unwrap_or_else(|| panic!("{opened}"));
        (name, Path::new(directory).join("sock"))
    }
}

impl Broker for Relay {
    fn process(&self) -> u32 {
        self.server.process()
    }

    fn sessions(&mut self, count: usize, _size: usize) -> Vec<Session> {
        let mut host = self.host();
        let opened: Vec<(String, PathBuf)> = (0..count).map(|_| self.open(&mut host)).collect();
        let names: Vec<String> = opened.iter().map(|(name, _)| name.clone()).collect();
        let each = opened.into_iter().map(|(_, socket)| {
            let mut connection = Connection::open(&socket);
            let subscribed = connection.ask(&json!({"type": "subscribe"}));
            assert_eq!(subscribed["data"]["waiting"], 0, "{subscribed}");
            connection.session(names.clone())
        });
        each.collect()
    }
}

/// A client's connection.
pub struct Connection {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    line: Vec<u8>,
}

impl Connection {
    pub fn open(socket: &Path) -> Self {
        let stream = stream(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        let lines = BufReader::with_capacity(64 << 10, stream.try_clone().expect("a descriptor"));
        Self { stream, lines, line: Vec::new() }
    }

    pub fn ask(&mut self, request: &Value) -> Value {
        self.stream.write_all(format!("{request}\n").as_bytes()).expect("the relay reads");
        self.next();
        serde_json::from_slice(&self.line).expect("JSON")
    }

    fn next(&mut self) {
        self.line.clear();
        let count = self.lines.read_until(b'\n', &mut self.line).expect("the relay writes");
        assert!(count > 0, "the relay hung up");
    }

    fn session(self, names: Vec<String>) -> Session {
        let stream = self.stream.try_clone().expect("a descriptor");
        let mouth = RelayMouth { stream, names, buffer: Vec::new() };
        let ear = RelayEar { connection: self, ids: Vec::new() };
        (Box::new(mouth), Box::new(ear))
    }
}

struct RelayMouth {
    stream: UnixStream,
    names: Vec<String>,
    buffer: Vec<u8>,
}

impl Mouth for RelayMouth {
    fn say(&mut self, to: usize, text: &str) {
        write!(self.buffer, r#"{{"type":"send","to":"{}","text":"#, self.names[to]).expect("memory");
        serde_json::to_writer(&mut self.buffer, text).expect("a text");
        self.buffer.extend_from_slice(b"}\n");
    }

    fn flush(&mut self) {
        self.stream.write_all(&self.buffer).expect("the relay reads");
        self.buffer.clear();
    }
}

struct RelayEar {
    connection: Connection,
    ids: Vec<u8>,
}

const MESSAGE: &[u8] = br#"{"type":"message","id":"#;
const SENT: &[u8] = br#"{"type":"response","query":"send","#;
const ACKED: &[u8] = br#"{"type":"response","query":"ack","#;
const TEXT: &[u8] = br#","text":""#;

impl Ear for RelayEar {
    fn hear(&mut self) -> Heard {
        loop {
            self.connection.next();
            let line = &self.connection.line;
            if let Some(rest) = line.strip_prefix(MESSAGE) {
                let end = rest.iter().position(|byte| *byte == b',').expect("more follows");
                self.ids.extend_from_slice(if self.ids.is_empty() { b"" } else { b"," });
                self.ids.extend_from_slice(&rest[..end]);
                return Heard::Message;
            }
            let receipt = line.starts_with(SENT);
            assert!(receipt || line.starts_with(ACKED), "{}", String::from_utf8_lossy(line));
            let done = find(line, br#""data":"#).is_some();
            assert!(done, "refused: {}", String::from_utf8_lossy(line));
            if receipt {
                return Heard::Receipt;
            }
        }
    }

    fn more(&self) -> bool {
        self.connection.lines.buffer().contains(&b'\n')
    }

    fn text(&self) -> &[u8] {
        let line = &self.connection.line;
        let begin = find(line, TEXT).expect("a message has a text") + TEXT.len();
        let end = line[begin..].iter().position(|byte| *byte == b'"').expect("it ends");
        &line[begin..begin + end]
    }

    fn acknowledge(&mut self) {
        let line = [br#"{"type":"ack","ids":["#, &self.ids[..], b"]}\n"].concat();
        self.ids.clear();
        self.connection.stream.write_all(&line).expect("the relay reads");
    }
}

/// Only in what stands before the text.
fn find(line: &[u8], part: &[u8]) -> Option<usize> {
    line[..line.len().min(600)].windows(part.len()).position(|window| window == part)
}
