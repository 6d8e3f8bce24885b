//! The whole daemon, over its sockets.

mod attack;
mod cluster;
mod documents;
mod faults;
mod identity;
mod mail;
mod planned;

use super::super::place::{Place, SESSION_SOCKET};
use super::super::policy::Policy;
use super::{DaemonError, Start, serve};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing here takes that long; who waits in vain fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A relay in a directory of its own.
struct World {
    directory: tempfile::TempDir,
    policy: Policy,
    daemon: Option<JoinHandle<Result<(), DaemonError>>>,
}

impl World {
    fn new() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        let mut world = Self { directory: tempfile::tempdir().unwrap(), policy, daemon: None };
        world.start();
        world
    }

    fn place(&self) -> Place {
        Place { run: self.directory.path().join("run"), state: self.directory.path().join("state") }
    }

    fn start(&mut self) {
        let (place, policy) = (self.place(), self.policy.clone());
        let load = move || Ok(policy.clone());
        let start = move || serve(Start { place, system: false, load: Box::new(load) }, Vec::new());
        self.daemon = Some(std::thread::spawn(start));
        let socket = self.place().socket();
        until("the relay listens", || UnixStream::connect(&socket).is_ok());
    }

    fn stop(&mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        Client::connect(&self.place().socket()).done(json!({"type": "stop"}));
        daemon.join().unwrap().unwrap();
    }

    fn person(&self) -> Client {
        Client::connect(&self.place().socket())
    }

    /// A sandbox's session in that project.
    fn session(&self, name: &str, project: &str) -> Session {
        let root = format!("/home/dev/{project}");
        let open = json!({"type": "open", "session": name, "root": root, "project": project, "home": "/home/dev"});
        let opened = self.person().done(open);
        let directory = PathBuf::from(opened["directory"].as_str().unwrap());
        let lease = std::fs::File::open(opened["lease"].as_str().unwrap()).unwrap();
        rustix::fs::flock(&lease, rustix::fs::FlockOperation::LockShared).unwrap();
        Session {
            name: opened["session"].as_str().unwrap().to_owned(),
            directory,
            groups: opened["groups"].clone(),
            _lease: lease,
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

/// A session as its launcher holds it.
struct Session {
    name: String,
    directory: PathBuf,
    groups: Value,
    _lease: std::fs::File,
}

impl Session {
    fn worktable(&self, group: &str) -> Option<String> {
        let table = self.groups.as_array()?.iter().find(|table| table["name"] == group)?;
        Some(table["directory"].as_str()?.to_owned())
    }

    fn client(&self) -> Client {
        Client::connect(&self.directory.join(SESSION_SOCKET))
    }
}

/// A client that speaks the protocol and nothing else.
struct Client {
    lines: BufReader<UnixStream>,
    kept: Vec<Value>,
}

impl Client {
    fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { lines: BufReader::new(stream), kept: Vec::new() }
    }

    fn write(&mut self, line: &[u8]) {
        self.lines.get_mut().write_all(line).unwrap();
    }

    fn say(&mut self, request: &Value) {
        self.write(format!("{request}\n").as_bytes());
    }

    /// The next line; `None` at the end.
    fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    fn ask(&mut self, request: Value) -> Value {
        self.say(&request);
        loop {
            let answer = self.hear().expect("an answer");
            if answer["type"] == "response" {
                return answer;
            }
            self.kept.push(answer);
        }
    }

    fn done(&mut self, request: Value) -> Value {
        let answer = self.ask(request);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["data"].clone()
    }

    /// The reason for which it is refused.
    fn refused(&mut self, request: Value) -> String {
        let answer = self.ask(request);
        assert!(answer["error"].as_str().is_some_and(|why| !why.is_empty()), "{answer}");
        answer["reason"].as_str().expect("a reason").to_owned()
    }

    fn send(&mut self, to: &str, text: &str) -> Value {
        self.done(json!({"type": "send", "to": to, "text": text}))
    }

    /// The next message that is pushed.
    fn message(&mut self) -> Value {
        if !self.kept.is_empty() {
            return self.kept.remove(0);
        }
        let message = self.hear().expect("a message");
        assert_eq!(message["type"], "message", "{message}");
        message
    }

    fn texts(&mut self) -> Vec<String> {
        let inbox = self.done(json!({"type": "inbox"}));
        inbox["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
